"""Conversation: a chat, or a question, answered by the rules of the tokenizer's chat template.

[{"generated_text": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "…"}]}]
"""

from __future__ import annotations

from typing import Any

from ..base.errors import InputError
from . import text_generation
from .task import Prepared, Task, Tools, kind
from .writing import WriteOptions, chat_of, checked


def prepare(given: Any, tools: Tools, options: WriteOptions) -> Prepared:
    """A prompt; a text is what the user says."""
    chat = [{"role": "user", "content": given}] if isinstance(given, str) else chat_of(given)
    if chat is None:
        raise InputError(f"the input should be text, or a list of messages with role and content, not {kind(given)}")
    return text_generation.prepare(chat, tools, options)


TASK = Task(
    name="conversational",
    aliases=("chat",),
    options=WriteOptions,
    heads=text_generation.TASK.heads,
    wants="text",
    default="Qwen/Qwen2.5-0.5B-Instruct",
    prepare=prepare,
    postprocess=text_generation.postprocess,
    rows=(("text",), ("messages",), ("prompt",)),
    chats=True,
    metrics=text_generation.metrics,
    once=checked,
)

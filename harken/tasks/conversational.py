"""Conversation: a chat, or a question, answered in the way the model is talked to: by its chat template, or as a dialogue with a persona.

    [{"generated_text": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "…"}]}]
    {"generated_text": "…", "conversation": {…}}     of {"text": …, "past_user_inputs": […], "generated_responses": […]}
A conversation that outgrows the context loses its oldest exchanges, which is counted and said.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ..base.errors import InputError
from ..decode.options import DecodeOptions, Generated
from . import text_generation
from .speech import Speech
from .task import Prepared, Task, Tools, kind
from .writing import WriteOptions, chat_of, checked, new_text

PAST = ("text", "past_user_inputs", "generated_responses")
"""The fields of a conversation as it was passed around before there were messages."""


def prepare(given: Any, tools: Tools, options: WriteOptions) -> Prepared:
    """A prompt; a text is what the user says."""
    messages, speech = messages_of(given), Speech(tools.model, tools.tokenizer)
    fit = speech.fit(messages, options.decoding)
    tools.ledger.add("inputs", "tokens", fit.tokens)
    if fit.turns:
        tools.ledger.add("inputs", "cut", 1)
        tools.ledger.add("inputs", "tokens cut off", fit.tokens_out)
    return Prepared([fit.prompt], (given, messages, speech))


def postprocess(prepared: Prepared, outputs: Sequence[Sequence[Generated]], tools: Tools, options: WriteOptions) -> Any:
    """The messages with the reply, or the reply alone, for each of `num_return_sequences`; a conversation of the old form in its form."""
    given, messages, speech = prepared.facts
    if options.return_tensors:
        return [{"generated_token_ids": list(one.ids)} for one in outputs[0]]
    texts = [speech.unprefixed(new_text(one, "", options)) for one in outputs[0]]
    if isinstance(given, Mapping):
        said = {name: list(given.get(name) or ()) for name in PAST[1:]}
        past = {PAST[1]: [*said[PAST[1]], given["text"]], PAST[2]: [*said[PAST[2]], texts[0]]}
        return {"generated_text": texts[0], "conversation": past}
    if options.return_full_text is False:
        return [{"generated_text": text} for text in texts]
    return [{"generated_text": [*map(dict, messages), {"role": "assistant", "content": text}]} for text in texts]


def messages_of(given: Any) -> list[dict[str, Any]]:
    """The messages of a text, of a chat, or of a conversation of the old form. InputError when it is none of them."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if isinstance(given, Mapping):
        if not isinstance(given.get("text"), str) or (unknown := [name for name in given if name not in PAST]):
            what = f"has a field {unknown[0]!r}" if isinstance(given.get("text"), str) else "has no text"
            raise InputError(f"the conversation {what}: its fields are {', '.join(PAST)}")
        asked, replied = (list(given.get(name) or ()) for name in PAST[1:])
        if len(asked) != len(replied):
            raise InputError(
                f"the conversation has {len(asked):,} past_user_inputs and {len(replied):,} generated_responses: give equally many"
            )
        said = [*itertools.chain.from_iterable(zip(asked, replied, strict=True)), given["text"]]
        return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
    chat = chat_of(given)
    if chat is None:
        raise InputError(f"the input should be text, or a list of messages with role and content, not {kind(given)}")
    return chat


def once(tools: Tools, options: WriteOptions) -> WriteOptions:
    """Options with what ends a reply of this model."""
    speech = Speech(tools.model, tools.tokenizer)
    if options.overflow is not None:
        raise InputError("a conversation that outgrows the context leaves out its oldest exchanges: leave overflow out")
    ending = speech.ending(checked(tools, options).decoding)
    values = {field.name: getattr(ending, field.name) for field in dataclasses.fields(DecodeOptions)}
    return dataclasses.replace(options, **values, stop_sequence=())


TASK = Task(
    name="conversational",
    aliases=("chat",),
    options=WriteOptions,
    heads=text_generation.TASK.heads,
    wants="text",
    default="Qwen/Qwen2.5-0.5B-Instruct",
    prepare=prepare,
    postprocess=postprocess,
    rows=(("text",), ("messages",), ("prompt",)),
    chats=True,
    metrics=text_generation.metrics,
    once=once,
)

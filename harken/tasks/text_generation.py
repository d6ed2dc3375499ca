"""Text generation: texts continued, chats answered.

    [{"generated_text": "Once upon a time …"}]      one for each of num_return_sequences; return_full_text=False: only what is new
    [{"generated_text": [{"role": "user", …}, {"role": "assistant", "content": "…"}]}]      of a chat
`max_length` counts the prompt, `max_new_tokens` does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..decode.options import Generated
from .task import Prepared, Task, Tools
from .writing import WriteOptions, chat_of, checked, new_text, prompt_of

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric


def prepare(given: Any, tools: Tools, options: WriteOptions) -> Prepared:
    """A prompt. `facts`: what stands in front of an answer, and the input itself."""
    chat = chat_of(given)
    prompt, shown = prompt_of(tools, given if chat is None else chat, options)
    return Prepared([prompt], (shown, given if chat is None else chat))


def postprocess(prepared: Prepared, outputs: Sequence[Sequence[Generated]], tools: Tools, options: WriteOptions) -> list[dict[str, Any]]:
    """[{"generated_text"}], or [{"generated_token_ids"}] of the new tokens."""
    shown, given = prepared.facts
    if options.return_tensors:
        return [{"generated_token_ids": list(one.ids)} for one in outputs[0]]
    texts = [new_text(one, shown, options) for one in outputs[0]]
    if options.return_full_text is False:
        return [{"generated_text": text} for text in texts]
    if isinstance(given, list):
        return [{"generated_text": [*map(dict, given), {"role": "assistant", "content": text}]} for text in texts]
    return [{"generated_text": given + text} for text in texts]


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """How likely the model finds a text."""
    from ..measure.metrics.likelihood import Likelihood

    return [Likelihood()]


TASK = Task(
    name="text-generation",
    options=WriteOptions,
    heads=("language-modeling", "double-heads"),
    wants="text",
    default="openai-community/gpt2",
    prepare=prepare,
    postprocess=postprocess,
    rows=(("text",), ("messages",), ("prompt",)),
    chats=True,
    metrics=metrics,
    once=checked,
)

"""Text to text: what a model that reads a source writes about it.

[{"generated_text": "…"}]      of one text; of a list, one object for each
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from ..decode.options import Generated
from .task import Prepared, Task, Tools, text_of
from .writing import WriteOptions, checked, new_text, prompt_of, with_task

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric


def once(tools: Tools, options: WriteOptions) -> WriteOptions:
    """Options with what config.json says for this task."""
    return with_task(tools, checked(tools, options))


def prepare(given: Any, tools: Tools, options: WriteOptions) -> Prepared:
    """A source, behind the task's prefix."""
    return Prepared([prompt_of(tools, text_of(given), options)[0]])


def answering(name: str) -> Callable[[Prepared, Sequence[Sequence[Generated]], Tools, WriteOptions], Any]:
    """How an answer is laid out under a key `{name}_text`; several of them as a list."""

    def postprocess(prepared: Prepared, outputs: Sequence[Sequence[Generated]], tools: Tools, options: WriteOptions) -> Any:
        if options.return_tensors:
            found: list[dict[str, Any]] = [{f"{name}_token_ids": list(one.ids)} for one in outputs[0]]
        else:
            found = [{f"{name}_text": new_text(one, "", options)} for one in outputs[0]]
        return found[0] if len(found) == 1 else found

    return postprocess


def alone(answer: Any, given: Any, asked: Collection[str]) -> Any:
    """A list, also of one."""
    return answer if isinstance(answer, list) else [answer]


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """The share of answers that are right to the letter, and of their characters."""
    from ..measure.metrics.classes import Accuracy
    from ..measure.metrics.translation import Chrf

    return [Accuracy("exact_match"), Chrf()]


TASK = Task(
    name="text2text-generation",
    options=WriteOptions,
    heads=("text2text",),
    wants="text",
    default="google-t5/t5-base",
    prepare=prepare,
    postprocess=answering("generated"),
    metrics=metrics,
    once=once,
    rows=(("text",), ("source",)),
    alone=alone,
)

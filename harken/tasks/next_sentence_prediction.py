"""Next sentence prediction: whether the second of two sentences follows the first, as BERT was taught it.

    {"label": "is_next", "score": 0.98}
ALBERT was taught another thing, whether the two are in their order.   https://arxiv.org/abs/1810.04805 section 3.1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError
from ..base.options import option
from .frame import pair_row
from .scores import best, softmax
from .task import Prepared, Task, Tools, pair_of

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric

LABELS = {"albert": ("in_order", "swapped")}
USUAL = ("is_next", "not_next")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to judge pairs of sentences."""

    truncation: bool = option(False, "cut pairs that are longer than the model reads")


def prepare(given: Any, tools: Tools, options: Options) -> Prepared:
    """One row of two segments."""
    first, second = pair_of(given)
    if second is None:
        raise InputError('the input is one text: give two, as {"text": …, "text_pair": …}')
    return Prepared([pair_row(tools, first, second, truncation=options.truncation)])


def postprocess(prepared: Prepared, outputs: Sequence[np.ndarray], tools: Tools, options: Options) -> dict[str, Any]:
    """{"label", "score"}."""
    scores = softmax(outputs[0])
    place = best(scores, 1)[0]
    return {"label": LABELS.get(tools.model.config.model_type, USUAL)[place], "score": float(scores[place])}


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """The share that is right."""
    from ..measure.metrics.classes import Accuracy

    return [Accuracy("next_sentence_accuracy")]


TASK = Task(
    name="next-sentence-prediction",
    options=Options,
    heads=("pretraining",),
    wants="answers",
    default="google-bert/bert-base-uncased",
    prepare=prepare,
    postprocess=postprocess,
    positions=("text", "text_pair"),
    rows=(("text", "text_pair"),),
    metrics=metrics,
)

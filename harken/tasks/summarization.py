"""Summarization: a long text in a few sentences.

[{"summary_text": "…"}]      of one text; of a list, one object for each
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .task import Task
from .text2text_generation import alone, answering, once, prepare
from .writing import WriteOptions

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """ROUGE."""
    from ..measure.metrics.summary import Rouge

    return [Rouge()]


TASK = Task(
    name="summarization",
    options=WriteOptions,
    heads=("text2text",),
    wants="text",
    default="sshleifer/distilbart-cnn-12-6",
    prepare=prepare,
    postprocess=answering("summary"),
    metrics=metrics,
    once=once,
    rows=(("text",), ("document",), ("article",), ("dialogue",)),
    alone=alone,
)

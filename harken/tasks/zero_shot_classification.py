"""Zero-shot classification: which of any labels fit a text, asked of a model that tells whether one sentence follows from another.

    {"sequence": "…", "labels": ["sports", "politics"], "scores": [0.9, 0.1]}      best first
https://arxiv.org/abs/1909.00161
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError
from ..base.options import option
from .frame import pair_row
from .scores import best, softmax
from .task import Prepared, Task, Tools, text_of

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to classify texts by labels that the model was never taught."""

    candidate_labels: Any = option(None, "the labels: a list, or a text with commas between them")
    hypothesis_template: str = option("This example is {}.", "the sentence that a label makes")
    multi_label: bool = option(False, "labels that do not exclude each other: each gets a score of its own")
    truncation: bool = option(False, "cut texts that are longer than the model reads; the hypothesis stays whole")


def once(tools: Tools, options: Options) -> Options:
    """The labels as a list. InputError for options that cannot be, and for a model that cannot say what follows."""
    entails(tools)
    try:
        different = options.hypothesis_template.format("a") != options.hypothesis_template.format("b")
    except (IndexError, KeyError, ValueError):
        different = False
    if not different:
        raise InputError(f"hypothesis_template must hold {{}} where the label goes, not {options.hypothesis_template!r}")
    labels = options.candidate_labels
    if labels is None:
        return options
    labels = labels.split(",") if isinstance(labels, str) else labels
    if not isinstance(labels, list | tuple) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"candidate_labels must be a list of texts, not {options.candidate_labels!r}")
    labels = tuple(dict.fromkeys(label.strip() for label in labels if label.strip()))
    if not labels:
        raise InputError("candidate_labels are empty: give at least one label")
    return replace(options, candidate_labels=labels)


def entails(tools: Tools) -> int:
    """Which of the model's labels says that a sentence follows. InputError when none does."""
    names = [label.lower() for label in tools.labels]
    found = next((i for i, name in enumerate(names) if name.startswith("entail")), None)
    if found is None:
        raise InputError(
            f"config.json names the labels {', '.join(tools.labels)}, none of which is entailment: take a model of natural language "
            "inference, or name its labels in id2label"
        )
    return found


def prepare(given: Any, tools: Tools, options: Options) -> Prepared:
    """A row for each label: the text, and the sentence that the label makes."""
    text = text_of(given)
    if not text.strip():
        raise InputError("the input is empty: give a text to classify")
    if options.candidate_labels is None:
        raise InputError('candidate_labels are missing: give those to choose from, as candidate_labels=["sports", "politics"]')
    sentences = [options.hypothesis_template.format(label) for label in options.candidate_labels]
    return Prepared([pair_row(tools, text, each, truncation=options.truncation, keep="second") for each in sentences], text)


def postprocess(prepared: Prepared, outputs: Sequence[np.ndarray], tools: Tools, options: Options) -> dict[str, Any]:
    """{"sequence", "labels", "scores"}."""
    logits, entailment = np.stack(outputs), entails(tools)  # (labels, N)
    if options.multi_label or len(outputs) == 1:
        against = -1 if entailment == 0 else 0
        scores = softmax(logits[:, [against, entailment]])[:, 1]
    else:
        scores = softmax(logits[:, entailment])
    order = best(scores)
    return {
        "sequence": prepared.facts,
        "labels": [options.candidate_labels[i] for i in order],
        "scores": [float(scores[i]) for i in order],
    }


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """As of any classification."""
    from ..measure.metrics.classes import Classification

    return [Classification(labels)]


TASK = Task(
    name="zero-shot-classification",
    options=Options,
    heads=("classification",),
    wants="answers",
    default="facebook/bart-large-mnli",
    prepare=prepare,
    postprocess=postprocess,
    positions=("text", "candidate_labels"),
    metrics=metrics,
    once=once,
)

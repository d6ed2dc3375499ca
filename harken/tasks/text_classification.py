"""Text classification: the label of a text, or of a pair; all labels that fit, or a number, as config.json says in problem_type.

    [{"label": "POSITIVE", "score": 0.98}]      top_k: that many, best first; None: all
Several labels: softmax; one label, or labels that do not exclude each other: sigmoid; regression: the number itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError
from ..base.options import option
from .frame import pair_row, row_of
from .scores import best, sigmoid, softmax
from .task import Prepared, Task, Tools, pair_of

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric

LIKELIEST = ""
"""`top_k` where nobody sets it: the best label, as one object and not as a list of them."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to classify texts."""

    top_k: Any = option(LIKELIEST, "how many labels, best first (None: all)")
    return_all_scores: bool | None = option(None, "all labels, in the order of the model")
    function_to_apply: str | None = option(None, "softmax, sigmoid or none (default: as the model's problem_type asks)")
    truncation: bool = option(False, "cut texts that are longer than the model reads")
    max_length: int | None = option(None, "tokens of a text at most, special ones included (default: what the model reads)", min=1)


def once(tools: Tools, options: Options) -> Options:
    """InputError for options that cannot be."""
    k, function = options.top_k, options.function_to_apply
    if k not in (LIKELIEST, None) and (type(k) is not int or k < 1):
        raise InputError(f"top_k must be a whole number of at least 1, or None for all labels, not {k!r}")
    if function is not None and function.lower() not in ("softmax", "sigmoid", "none"):
        raise InputError(f"function_to_apply must be softmax, sigmoid or none, not {function!r}")
    return options


def prepare(given: Any, tools: Tools, options: Options) -> Prepared:
    """One row."""
    first, second = pair_of(given)
    if second is None:
        return Prepared([row_of(tools, first, truncation=options.truncation, most=options.max_length)])
    return Prepared([pair_row(tools, first, second, truncation=options.truncation, most=options.max_length)])


def postprocess(prepared: Prepared, outputs: Sequence[np.ndarray], tools: Tools, options: Options) -> Any:
    """{"label", "score"} of the best label; a list of them where top_k or return_all_scores asks for one."""
    scores = scored(outputs[0], tools, options.function_to_apply)
    every = [{"label": tools.label(i), "score": float(score)} for i, score in enumerate(scores)]
    if options.return_all_scores:
        return every
    if options.top_k == LIKELIEST:
        return every[best(scores, 1)[0]]
    return [every[i] for i in best(scores, options.top_k)]


def alone(answer: Any, given: Any, asked: Collection[str]) -> Any:
    """Hugging Face wraps the answer to a text once more, unless the call itself says top_k."""
    return [answer] if isinstance(given, str) and "top_k" not in asked else answer


def scored(logits: np.ndarray, tools: Tools, function: str | None = None) -> np.ndarray:
    """(N,) logits as scores, by the function asked for or that of the model's kind of problem."""
    config = tools.model.config
    if function is None:
        several = config.problem_type == "multi_label_classification" or config.num_labels == 1
        function = "none" if config.problem_type == "regression" else "sigmoid" if several else "softmax"
    return {"softmax": softmax, "sigmoid": sigmoid, "none": np.asarray}[function.lower()](logits)


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """Of labels that exclude each other; one label is a number."""
    from ..measure.metrics.classes import Classification
    from ..measure.metrics.correlation import Correlation

    return [Classification(labels) if len(labels) > 1 else Correlation()]


TASK = Task(
    name="text-classification",
    aliases=("sentiment-analysis",),
    options=Options,
    heads=("classification",),
    wants="answers",
    default="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    prepare=prepare,
    postprocess=postprocess,
    positions=("text", "text_pair"),
    rows=(("text", "text_pair"), ("text",)),
    metrics=metrics,
    once=once,
    alone=alone,
)

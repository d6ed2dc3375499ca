"""Sentence similarity: the cosine between the mean vectors of two texts, or of one text and several others.

    {"score": 0.83}      of a pair: {"text", "text_pair"}, or two texts
    [0.83, 0.11]         of {"source_sentence", "sentences"}
https://arxiv.org/abs/1908.10084
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import InputError
from ..base.files import read_json
from ..base.options import option
from ..checkpoint.origin import origin
from .feature_extraction import Pooling, pooled, with_states
from .frame import row_of
from .task import Prepared, Task, Tools, fields_of, pair_of, text_of

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric

MODES: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
FIELDS = ("source_sentence", "sentences")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to compare texts."""

    pooling: Pooling | None = option(
        None, "what stands for a text: mean, max, first, cls or last of its tokens' vectors (default: as 1_Pooling says, else mean)"
    )
    truncation: bool = option(False, "cut texts that are longer than the model reads")


def once(tools: Tools, options: Options) -> Options:
    """How to pool. InputError where there would be no vector."""
    with_states(tools)
    if options.pooling == "none":
        raise InputError("pooling must be mean, max, first, cls or last: without it there is no vector to compare")
    return options if options.pooling else replace(options, pooling=said(tools))


def said(tools: Tools) -> Pooling:
    """How a model of sentence-transformers pools, by 1_Pooling/config.json in its folder; the mean where nothing says otherwise."""
    folder = origin(tools.model)
    path = None if folder is None else folder / "1_Pooling" / "config.json"
    if path is None or not path.is_file():
        return "mean"
    asked = [name for name, value in read_json(path).items() if name.startswith("pooling_mode_") and value is True]
    if len(asked) != 1 or asked[0] not in MODES:
        raise InputError(f"{path} asks for {' and '.join(asked) or 'no pooling'}, which is not done here: give pooling=")
    return MODES[asked[0]]


def prepare(given: Any, tools: Tools, options: Options) -> Prepared:
    """A row for each text. `facts`: whether it is one against several."""
    several = isinstance(given, dict) and any(name in given for name in FIELDS)
    if several:
        fields_of(given, FIELDS)
        others = given["sentences"]
        if not isinstance(others, list | tuple) or not others:
            raise InputError("sentences should be a list of texts, at least one")
        texts = [text_of(given[FIELDS[0]], FIELDS[0]), *(text_of(each, f"sentences[{i}]") for i, each in enumerate(others))]
    else:
        first, second = pair_of(given)
        if second is None:
            raise InputError('the input is one text: give {"text": …, "text_pair": …}, or {"source_sentence": …, "sentences": […]}')
        texts = [first, second]
    return Prepared([row_of(tools, text, truncation=options.truncation) for text in texts], several)


def postprocess(prepared: Prepared, outputs: Sequence[np.ndarray], tools: Tools, options: Options) -> Any:
    """Cosines, between -1 and 1."""
    how = options.pooling or "mean"
    first, *others = (pooled(states, how).astype(np.float64) for states in outputs)
    found = [float(first @ other / max(float(np.linalg.norm(first) * np.linalg.norm(other)), 1e-12)) for other in others]
    return found if prepared.facts else {"score": found[0]}


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """Against people's scores."""
    from ..measure.metrics.correlation import Correlation

    return [Correlation()]


TASK = Task(
    name="sentence-similarity",
    options=Options,
    heads=(),
    wants="states",
    default="sentence-transformers/all-MiniLM-L6-v2",
    prepare=prepare,
    postprocess=postprocess,
    positions=FIELDS,
    lists=("sentences",),
    rows=(FIELDS, ("text", "text_pair")),
    metrics=metrics,
    once=once,
)

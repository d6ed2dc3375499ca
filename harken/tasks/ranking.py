"""Ranking: how well each of several documents answers a query, judged by a model that reads the two together.

    [{"index": 2, "score": 0.97, "text": "…"}, …]      best first; top_k: that many
A model with one label says a number, made a probability unless function_to_apply is "none"; one with two, how likely the second is.
https://arxiv.org/abs/1901.04085
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..base.errors import InputError
from ..base.options import option
from .frame import pair_row, whole
from .scores import best, sigmoid, softmax
from .task import Prepared, Task, Tools, fields_of, text_of

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to rank documents."""

    top_k: int | None = option(None, "how many documents (default: all)", min=1)
    function_to_apply: Literal["sigmoid", "none"] = option("sigmoid", "of a model with one label: a probability, or its number as it is")
    truncation: bool = option(False, "cut documents so that they fit beside the query")


def once(tools: Tools, options: Options) -> Options:
    """InputError for a model that tells more than two labels apart."""
    if tools.model.config.num_labels > 2:
        raise InputError(f"the model tells {tools.model.config.num_labels} labels apart: to rank, take one with a single label, or two")
    return options


def prepare(given: Any, tools: Tools, options: Options) -> Prepared:
    """A row for each document."""
    fields = fields_of(given, ("query", "documents"))
    query, documents = text_of(fields["query"], "query"), fields["documents"]
    documents = [documents] if isinstance(documents, str) else documents
    if not isinstance(documents, list | tuple) or not documents:
        raise InputError("documents should be a list of texts, at least one")
    texts = [text_of(each, f"documents[{i}]") for i, each in enumerate(documents)]
    return Prepared([ranked_row(tools, query, text, options.truncation) for text in texts], texts)


def ranked_row(tools: Tools, query: str, text: str, truncation: bool) -> Any:
    """The query and a document, of which the document alone is cut."""
    from .frame import admit, checked

    frame = tools.double
    one, two = (tools.tokenizer.encode(each, special=False) for each in (query, text))
    room = tools.model.context - frame.size - len(one)
    if room < 1:
        raise InputError(f"the query has {len(one):,} tokens, which leaves no room for a document in {tools.model.context:,}: shorten it")
    if len(two) <= room:
        return pair_row(tools, query, text)
    admit(tools, len(two) - room, len(one) + len(two) + frame.size, truncation)
    return checked(whole(frame, one, two[:room]))


def postprocess(prepared: Prepared, outputs: Sequence[np.ndarray], tools: Tools, options: Options) -> list[dict[str, Any]]:
    """[{"index", "score", "text"}], best first."""
    logits = np.stack(outputs)  # (documents, N)
    if logits.shape[1] == 2:
        scores = softmax(logits)[:, 1]
    else:
        scores = sigmoid(logits[:, 0]) if options.function_to_apply == "sigmoid" else logits[:, 0]
    return [{"index": i, "score": float(scores[i]), "text": prepared.facts[i]} for i in best(scores, options.top_k)]


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """Mean reciprocal rank, nDCG, hits and recall."""
    from ..measure.metrics.ranking import Ranking

    return [Ranking()]


TASK = Task(
    name="ranking",
    aliases=("text-ranking",),
    options=Options,
    heads=("classification",),
    wants="answers",
    default="cross-encoder/ms-marco-MiniLM-L6-v2",
    prepare=prepare,
    postprocess=postprocess,
    positions=("query", "documents"),
    lists=("documents",),
    rows=(("query", "documents"),),
    metrics=metrics,
    once=once,
)

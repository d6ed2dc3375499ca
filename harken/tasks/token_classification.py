"""Token classification: which words of a text name something, and what.

    [{"entity": "B-PER", "score": 0.99, "index": 1, "word": "Bill", "start": 0, "end": 4}, …]      aggregation_strategy "none"
    [{"entity_group": "PER", "score": 0.99, "word": "Bill Gates", "start": 0, "end": 10}, …]       simple, first, average or max
`start` and `end` are characters of the text. A text longer than the model reads is read in windows that overlap by `stride` tokens; each
token is judged where it stands furthest from an edge, and entities are made of all tokens together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..base.errors import InputError
from ..base.options import option
from .entities import Strategy, Token, entities, grouped
from .frame import checked, windows
from .scores import softmax
from .task import Prepared, Task, Tools, text_of

if TYPE_CHECKING:
    from ..measure.metrics.metric import Metric


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to find entities."""

    aggregation_strategy: Strategy = option("none", "tags of tokens, or entities, by how the tokens of a word agree")
    grouped_entities: bool | None = option(None, "as aggregation_strategy=simple")
    ignore_subwords: bool | None = option(None, "beside grouped_entities: as aggregation_strategy=first")
    ignore_labels: tuple[str, ...] = option(("O",), "labels that are left out; may be given again")
    stride: int | None = option(None, "tokens that the windows of a long text share (default: a quarter of what is read at once)", min=0)


def once(tools: Tools, options: Options) -> Options:
    """The strategy that older options mean. InputError for options that cannot be."""
    if options.ignore_subwords and not options.grouped_entities:
        raise InputError("ignore_subwords is for grouped_entities: give aggregation_strategy instead, as in aggregation_strategy=first")
    if options.grouped_entities is not None:
        if options.aggregation_strategy != "none":
            raise InputError("grouped_entities is an older way to say aggregation_strategy: give the latter alone")
        meant: Literal["none", "simple", "first"] = "first" if options.ignore_subwords else "simple"
        options = replace(options, aggregation_strategy=meant if options.grouped_entities else "none")
    room = tools.model.context - tools.single.size
    if options.stride is not None:
        windows(room + 1, room, options.stride)
    return options


def prepare(given: Any, tools: Tools, options: Options) -> Prepared:
    """A row for each window. `facts`: the text, its ids and characters, its windows."""
    text = text_of(given)
    ids, frame = tools.tokenizer.encode(text, special=False), tools.single
    room = tools.model.context - frame.size
    found = windows(len(ids), room, room // 4 if options.stride is None else options.stride)
    tools.ledger.add("inputs", "tokens", len(ids) + frame.size * len(found))
    if len(found) > 1:
        tools.ledger.add("inputs", "read in windows", 1)
    rows = [checked(frame.row(ids[window.start : window.stop])) for window in found] if ids else []
    return Prepared(rows, (text, ids, tools.tokenizer.offsets(text), found))


def postprocess(prepared: Prepared, outputs: Sequence[np.ndarray], tools: Tools, options: Options) -> list[dict[str, Any]]:
    """Tags of tokens or entities, without the labels that are ignored."""
    text, ids, offsets, found = prepared.facts
    if not ids:
        return []
    front = tools.single.front
    parts = [
        softmax(logits)[front + window.first - window.start : front + window.last - window.start]
        for window, logits in zip(found, outputs, strict=True)
    ]
    scores = np.concatenate(parts)  # (T, N)
    tokens = [token_at(place, ids, offsets, scores, text, tools) for place in range(len(ids))]
    inner = tools.tokenizer.inner
    tagged = entities(tokens, options.aggregation_strategy, tools.labels, inner)
    if options.aggregation_strategy == "none":
        return [one for one in tagged if one["entity"] not in options.ignore_labels]
    return [one for one in grouped(tagged, inner) if one["entity_group"] not in options.ignore_labels]


def token_at(place: int, ids: Sequence[int], offsets: Sequence[tuple[int, int]], scores: np.ndarray, text: str, tools: Tools) -> Token:
    """A token, and whether it goes on with the word in front of it."""
    words, (start, end) = tools.tokenizer, offsets[place]
    name, shown = str(words.inner.id_to_token(ids[place])), text[start:end]
    if ids[place] == words.unk_id:
        inside, name = False, shown
    elif getattr(words.inner.model, "continuing_subword_prefix", None):
        inside = len(name) != len(shown)
    else:  # no tokenizer but WordPiece's says what a word is: what no blank parts is one
        inside = start > 0 and " " not in text[start - 1 : start + 1]
    return Token(name, scores[place], start, end, place + tools.single.front, inside)


def metrics(labels: Sequence[str]) -> Sequence[Metric]:
    """Of entities, by the tags of words."""
    from ..measure.metrics.entities import EntityF1

    return [EntityF1()]


TASK = Task(
    name="token-classification",
    aliases=("ner",),
    options=Options,
    heads=("token-classification",),
    wants="answers",
    default="dbmdz/bert-large-cased-finetuned-conll03-english",
    prepare=prepare,
    postprocess=postprocess,
    metrics=metrics,
    once=once,
)

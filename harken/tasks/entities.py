"""Tags of tokens to tags of words to entities, by the rules of Hugging Face's strategies.

simple: neighbours of one kind are an entity · first, average, max: the tokens of a word first agree, on the first one's tag, on the mean of
their scores, on the tag of the surest.   T tokens · N labels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Strategy = Literal["none", "simple", "first", "average", "max"]


@dataclass(frozen=True)
class Token:
    """`name`: in the vocabulary · `scores` (N,) · `start`, `end`: its characters · `index`: its place in the row · `inside`: whether it
    goes on with a word."""

    name: str
    scores: np.ndarray
    start: int
    end: int
    index: int
    inside: bool


def entities(tokens: Sequence[Token], strategy: Strategy, labels: Sequence[str], inner: Any) -> list[dict[str, Any]]:
    """A tag for each token, or each word. `inner`: the tokenizer, which spells words."""
    if strategy in ("none", "simple"):
        return [
            {
                "entity": labels[int(token.scores.argmax())],
                "score": float(token.scores.max()),
                "index": token.index,
                "word": token.name,
                "start": token.start,
                "end": token.end,
            }
            for token in tokens
        ]
    words: list[list[Token]] = []
    for token in tokens:
        if words and token.inside:
            words[-1].append(token)
        else:
            words.append([token])
    return [tagged(word, strategy, labels, inner) for word in words]


def tagged(word: Sequence[Token], strategy: Strategy, labels: Sequence[str], inner: Any) -> dict[str, Any]:
    """One tag for a word."""
    if strategy == "average":
        scores = np.stack([token.scores for token in word]).mean(0)
    elif strategy == "max":
        scores = max(word, key=lambda token: token.scores.max()).scores
    else:
        scores = word[0].scores
    return {
        "entity": labels[int(scores.argmax())],
        "score": float(scores.max()),
        "word": spelled([token.name for token in word], inner),
        "start": word[0].start,
        "end": word[-1].end,
    }


def grouped(tags: Sequence[dict[str, Any]], inner: Any) -> list[dict[str, Any]]:
    """Neighbours of one kind as one entity; B- begins another."""
    groups: list[list[dict[str, Any]]] = []
    for tag in tags:
        begins, kind = parts(tag["entity"])
        if groups and kind == parts(groups[-1][-1]["entity"])[1] and not begins:
            groups[-1].append(tag)
        else:
            groups.append([tag])
    return [
        {
            "entity_group": group[0]["entity"].split("-", 1)[-1],
            "score": float(np.mean([tag["score"] for tag in group])),
            "word": spelled([tag["word"] for tag in group], inner),
            "start": group[0]["start"],
            "end": group[-1]["end"],
        }
        for group in groups
    ]


def parts(tag: str) -> tuple[bool, str]:
    """Whether a tag begins an entity, and of which kind it is."""
    return tag.startswith("B-"), tag[2:] if tag[:2] in ("B-", "I-") else tag


def spelled(names: Sequence[str], inner: Any) -> str:
    """Tokens by their names as a text."""
    return inner.decoder.decode(list(names)) if inner.decoder is not None else " ".join(names)

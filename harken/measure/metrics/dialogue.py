"""Replies in a dialogue: words shared with the right reply, and how seldom a model repeats itself, both in 0–1.

Word F1 as in ConvAI2 (https://arxiv.org/abs/1902.00098): small letters, marks and articles do not count.
distinct-n = different n-grams of all replies / n-grams of all replies (Li et al., 2016, https://aclanthology.org/N16-1014).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...base.errors import InputError
from ..resample import Interval
from .words import plain, shared


class WordF1:
    """A reply against one or more right ones, of which the nearest counts."""

    kind = "float64"

    def row(self, prediction: str, reference: str | Sequence[str]) -> list[float]:
        references = [reference] if isinstance(reference, str) else list(reference)
        if not references:
            raise InputError("there is no reply to measure against: give at least one")
        said = plain(prediction, " ")
        return [max(shared(said, plain(each, " ")) for each in references)]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        return {"f1": float(rows.mean()) if len(rows) else math.nan}

    def signature(self, rows: np.ndarray) -> str:
        return "word F1|convai2"


class Chosen:
    """How likely the right replies are, in nats and tokens, and how often one scores above all its wrong candidates: hits@1 of
    `candidates` (1: none). Of equal scores the wrong one comes first."""

    kind = "float64"

    def __init__(self, candidates: int) -> None:
        self.candidates = candidates

    def row(self, prediction: Sequence[tuple[float, int, Sequence[float]]], reference: Any = None) -> list[float]:
        """`prediction`: of each reply of an example its nats, its tokens, and the scores of its candidates, the right one first."""
        hits = sum(all(right > each for each in wrong) for _, _, (right, *wrong) in prediction)
        return [sum(nats for nats, _, _ in prediction), sum(tokens for _, tokens, _ in prediction), hits, len(prediction)]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        nats, tokens, hits, replies = rows.sum(0).tolist()
        found = {"perplexity": math.exp(min(nats / tokens, 700.0)) if tokens else math.nan}
        return found | ({f"hits@1_of_{self.candidates}": hits / replies} if self.candidates > 1 else {})

    def signature(self, rows: np.ndarray) -> str:
        return f"hits@1|candidates:{self.candidates}|ties:worst"


class Distinct:
    """distinct-1 and distinct-2 of all replies together; it is used like a tally.

    It has no intervals: a sample drawn with replacement repeats replies, so it has fewer different words than a new sample would. More
    replies have fewer too: compare equal numbers of them. Kept are 8 bytes for each different n-gram, no text.
    """

    def __init__(self) -> None:
        self.examples = 0
        self._known = [np.zeros(0, np.int64), np.zeros(0, np.int64)]
        self._total = [0, 0]

    def update(self, predictions: Iterable[str], references: Iterable[Any] = ()) -> None:
        """Add replies; references play no part."""
        new: list[set[int]] = [set(), set()]
        for text in predictions:
            words = plain(text, " ")
            self.examples += 1
            for n, found in enumerate(new):
                grams = [hash(tuple(words[i : i + n + 1])) for i in range(len(words) - n)]
                found.update(grams)
                self._total[n] += len(grams)
        self._known = [np.union1d(known, np.array(list(found), np.int64)) for known, found in zip(self._known, new, strict=True)]

    def merge(self, other: Distinct) -> None:
        """Add the replies of another. Both must be of this process: the hashes are Python's."""
        self._known = [np.union1d(*both) for both in zip(self._known, other._known, strict=True)]
        self._total = [sum(both) for both in zip(self._total, other._total, strict=True)]
        self.examples += other.examples

    def value(self) -> dict[str, float]:
        """Both numbers; nan where no reply has an n-gram. InputError when there is no reply."""
        if not self.examples:
            raise InputError("there is nothing to measure: no example was given")
        shares = (len(known) / total if total else math.nan for known, total in zip(self._known, self._total, strict=True))
        return dict(zip(("distinct1", "distinct2"), shares, strict=True))

    def intervals(self, samples: int = 1_000, seed: int = 0) -> dict[str, Interval]:
        """None: see above."""
        return {}

    @property
    def signature(self) -> str:
        """The definition in short."""
        return "distinct|corpus|convai2 words"

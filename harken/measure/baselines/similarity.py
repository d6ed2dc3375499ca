"""Texts that share rare words are alike: the cosine of TF-IDF vectors, for pairs of texts and for candidates to a query.

weight = (1 + ln tf) · ln((N + 1) / df), vectors of length 1 (Salton and Buckley, 1988, https://doi.org/10.1016/0306-4573(88)90021-0).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from ...base.errors import InputError
from .words import words


@dataclass(frozen=True)
class TfIdf:
    """`rarity`: word -> ln((N + 1) / df), of N texts · `unseen`: that of a word in none of them."""

    rarity: dict[str, float]
    unseen: float

    def vector(self, text: str) -> dict[str, float]:
        """word -> weight; of length 1, or empty."""
        weights = {word: (1 + log(count)) * self.rarity.get(word, self.unseen) for word, count in Counter(words(text)).items()}
        length = sqrt(sum(weight * weight for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()} if length else {}

    def similarity(self, first: str, second: str) -> float:
        """The cosine, in 0–1."""
        one, other = sorted((self.vector(first), self.vector(second)), key=len)
        return sum(weight * other.get(word, 0.0) for word, weight in one.items())

    def scores(self, query: str, candidates: Iterable[str]) -> list[float]:
        """The cosine of the query with each candidate: for a list of its own; `Shelf` serves many queries over the same texts."""
        wanted = self.vector(query)
        return [sum(weight * wanted.get(word, 0.0) for word, weight in self.vector(each).items()) for each in candidates]


class Shelf:
    """Documents by their words: each query looks only at those it shares a word with."""

    def __init__(self, weights: TfIdf, documents: Sequence[str]) -> None:
        self.weights, self.size = weights, len(documents)
        lists: dict[str, tuple[list[int], list[float]]] = {}
        for number, document in enumerate(documents):
            for word, weight in weights.vector(document).items():
                numbers, found = lists.setdefault(word, ([], []))
                numbers.append(number)
                found.append(weight)
        self._lists = {word: (np.array(numbers), np.array(found)) for word, (numbers, found) in lists.items()}

    def scores(self, query: str) -> np.ndarray:
        """(documents,) cosines with the query."""
        found = np.zeros(self.size)
        for word, weight in self.weights.vector(query).items():
            if word in self._lists:
                numbers, weights = self._lists[word]
                found[numbers] += weight * weights
        return found


def tf_idf(texts: Iterable[str]) -> TfIdf:
    """Count in how many texts each word stands. InputError when there is no text."""
    counts: Counter[str] = Counter()
    number = 0
    for text in texts:
        number += 1
        counts.update(set(words(text)))
    if not number:
        raise InputError("how rare words are in no texts is unknown: give at least one")
    # One is added to N, as if no word stood in every text: two equal texts of common words are still alike.
    return TfIdf({word: log((number + 1) / count) for word, count in counts.items()}, log(number + 1))

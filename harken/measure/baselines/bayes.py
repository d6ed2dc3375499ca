"""Naive Bayes over words and pairs of words: P(c | text) ∝ P(c) · Π P(gram | c), each with 1 added to its count.

The multinomial model of McCallum and Nigam (1998); Wang and Manning (2012, https://aclanthology.org/P12-2018) show how hard it is to beat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...base.errors import InputError
from ..together import together
from .words import grams


@dataclass(frozen=True)
class NaiveBayes:
    """`places`: gram -> row of `weights` (grams, labels), log P(gram | label) · `prior` (labels,): log P(label)."""

    labels: tuple[Any, ...]
    places: dict[str, int]
    weights: np.ndarray
    prior: np.ndarray

    def scores(self, text: str) -> np.ndarray:
        """(labels,) log P(label, text), up to a constant. Grams that training has not seen say nothing."""
        rows = [self.places[gram] for gram in grams(text) if gram in self.places]
        return self.prior + self.weights[rows].sum(0)

    def predict(self, texts: Iterable[str]) -> list[Any]:
        """The likeliest label of each text; of equally likely ones, that which training met first."""
        return [self.labels[int(self.scores(text).argmax())] for text in texts]


def naive_bayes(texts: Iterable[str], labels: Iterable[Hashable]) -> NaiveBayes:
    """Count once through the training examples. InputError when there is none, or not a label for each text."""
    counts: dict[Hashable, Counter[str]] = {}
    examples: Counter[Hashable] = Counter()
    for text, label in together(texts, labels, ("texts", "labels")):
        examples[label] += 1
        counts.setdefault(label, Counter()).update(grams(text))
    if not counts:
        raise InputError("naive Bayes cannot learn from no training examples: give at least one")
    places = {gram: i for i, gram in enumerate(dict.fromkeys(gram for some in counts.values() for gram in some))}
    weights = np.ones((len(places), len(counts)))
    for column, some in enumerate(counts.values()):
        for gram, count in some.items():
            weights[places[gram], column] += count
    prior = np.array([examples[label] for label in counts], float)
    return NaiveBayes(tuple(counts), places, np.log(weights / weights.sum(0)), np.log(prior / prior.sum()))

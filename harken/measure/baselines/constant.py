"""The same answer to everything: the most frequent label, or the mean score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sized
from dataclasses import dataclass
from typing import Any

from ...base.errors import InputError


@dataclass(frozen=True)
class Constant:
    """`share`: of the training examples that have this very answer."""

    answer: Any
    share: float

    def predict(self, inputs: Sized) -> list[Any]:
        """The answer, as often as there are inputs."""
        return [self.answer] * len(inputs)


def majority(answers: Iterable[Hashable]) -> Constant:
    """The most frequent answer; of several, the one that was there first. A set of labels is one answer (frozenset)."""
    counts = Counter(answers)
    if not counts:
        raise InputError("the majority of no training examples is unknown: give at least one")
    answer, count = counts.most_common(1)[0]
    return Constant(answer, count / counts.total())


def mean(scores: Iterable[float]) -> Constant:
    """The mean score, which has the least squared error of all constants, and no correlation with anything."""
    given = list(map(float, scores))
    if not given:
        raise InputError("the mean of no training examples is unknown: give at least one")
    answer = sum(given) / len(given)
    return Constant(answer, given.count(answer) / len(given))

"""What every metric is: a few numbers an example (its sufficient statistics), and a value of any set of such rows.

A tally keeps the rows and no text, so that memory hardly grows with the data, and intervals and paired tests draw rows again instead of
measuring again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from ...base.errors import InputError
from ..resample import Interval, bootstrap
from ..together import together


class Metric(Protocol):
    """`kind`: the NumPy type of its numbers."""

    kind: str

    def row(self, prediction: Any, reference: Any, /) -> Sequence[float]:
        """The numbers of one example, equally many of each. InputError, in words about this example, when they cannot be had."""
        ...

    def value(self, rows: np.ndarray, /) -> dict[str, float]:
        """What the rows (examples, numbers) come to: the same names for any rows, nan for what has no meaning."""
        ...

    def signature(self, rows: np.ndarray, /) -> str:
        """The definition in short, so that numbers of different definitions are not compared."""
        ...


class Tally:
    """A metric over examples that come in batches: the order of the examples and where a batch ends do not matter."""

    def __init__(self, metric: Metric) -> None:
        self.metric, self.examples = metric, 0
        self._blocks: list[np.ndarray] = []

    def update(self, predictions: Iterable[Any], references: Iterable[Any]) -> None:
        """Add a batch, or nothing of it: InputError when its sides differ in length, or with the number of an example that is wrong."""
        rows = []
        for prediction, reference in together(predictions, references, ("predictions", "references")):
            try:
                rows.append(self.metric.row(prediction, reference))
            except InputError as error:
                raise InputError(f"example {self.examples + len(rows) + 1:,}: {error}") from None
        if rows:
            self._blocks.append(np.array(rows, self.metric.kind))
            self.examples += len(rows)

    def merge(self, other: Tally) -> None:
        """Add the examples of a tally of the same metric."""
        self._blocks += other._blocks
        self.examples += other.examples

    @property
    def rows(self) -> np.ndarray:
        """(examples, numbers). InputError when there is no example."""
        if not self._blocks:
            raise InputError("there is nothing to measure: no example was given")
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        return self._blocks[0]

    def value(self) -> dict[str, float]:
        """The metric over all examples so far."""
        return self.metric.value(self.rows)

    def intervals(self, samples: int = 1_000, seed: int = 0) -> dict[str, Interval]:
        """The 95 % interval of each number of `value`."""
        return bootstrap(self.rows, self.metric.value, samples, seed)

    @property
    def signature(self) -> str:
        """The metric's definition in short."""
        return self.metric.signature(self.rows)


def ratio(part: Any, whole: Any) -> float:
    """part / whole, and 0 of nothing, as the field counts a precision without predictions."""
    return float(part / whole) if whole else 0.0


def f1(right: float, predicted: float, wanted: float) -> float:
    """2PR / (P + R) = 2 · right / (predicted + wanted), in 0–1; 0 where nothing is predicted and nothing wanted."""
    return ratio(2 * right, predicted + wanted)

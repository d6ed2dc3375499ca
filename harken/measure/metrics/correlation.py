"""Whether scores rise with what they should rise with: Pearson's r of the values, and Spearman's ρ, which is r of their ranks.

r = Σ(x - x̄)(y - ȳ) / √(Σ(x - x̄)² Σ(y - ȳ)²). Equal values share the mean of their ranks, as in SciPy.
"""

from __future__ import annotations

import math

import numpy as np

from ...base.errors import InputError


class Correlation:
    """Predicted and right scores: Pearson, Spearman; nan where one side never changes."""

    kind = "float64"

    def row(self, prediction: float, reference: float) -> list[float]:
        pair = [float(prediction), float(reference)]
        if not all(map(math.isfinite, pair)):
            raise InputError(f"the scores {pair[0]} and {pair[1]} cannot be compared: both must be finite numbers")
        return pair

    def value(self, rows: np.ndarray) -> dict[str, float]:
        x, y = rows.T
        return {"pearson": pearson(x, y), "spearman": pearson(ranks(x), ranks(y))}

    def signature(self, rows: np.ndarray) -> str:
        return "correlation|ties:mean"


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """r, in -1–1; nan where one side is constant or empty."""
    if not len(x) or np.ptp(x) == 0 or np.ptp(y) == 0:  # asked before the mean is taken away, whose rounding would hide it
        return math.nan
    x, y = (side - side.mean() for side in (x, y))
    x, y = (side / np.linalg.norm(side) for side in (x, y))
    return float(np.clip(x @ y, -1, 1))


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, from 1; equal ones share the mean of theirs."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(first, append=len(values))
    found = np.empty(len(values))
    found[order] = np.repeat(first + (sizes + 1) / 2, sizes)
    return found

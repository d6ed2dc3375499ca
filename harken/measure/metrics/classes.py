"""Right or wrong, and how evenly over the labels: accuracy, precision, recall, F1, Matthews; for one label a text, and for several.

F1 = 2PR / (P + R), of one label (binary), of all decisions together (micro), or the mean of the labels' own (macro).
Matthews' correlation of several labels is Gorodkin's R_K (2004, https://doi.org/10.1016/j.compbiolchem.2004.09.006). All are in 0–1
(Matthews in -1–1), and equal scikit-learn's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence
from typing import Any

import numpy as np

from ...base.errors import InputError, did_you_mean
from .metric import f1, ratio


class Accuracy:
    """The share of predictions that equal their reference, under a name: next-sentence prediction, exact match of anything."""

    kind = "bool"

    def __init__(self, name: str = "accuracy") -> None:
        self.name = name

    def row(self, prediction: Any, reference: Any) -> list[float]:
        return [prediction == reference]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        return {self.name: float(rows.mean()) if len(rows) else math.nan}

    def signature(self, rows: np.ndarray) -> str:
        return self.name


class Classification:
    """One label a text: accuracy, macro and micro F1, Matthews, and of two labels precision, recall and F1 of the `positive` one.

    `positive` is the second of two labels when not named, as 1 follows 0. The macro F1 is the mean over the labels that occur, as a
    reference or as a prediction. InputError when there is only one label, or `positive` is none of them.
    """

    kind = "int32"

    def __init__(self, labels: Sequence[Hashable], positive: Hashable = None) -> None:
        self.labels = tuple(labels)
        self._places = {label: i for i, label in enumerate(self.labels)}
        if len(self._places) < 2:
            raise InputError(f"the labels are {list(self.labels)}; to tell them apart there must be two or more")
        if positive is not None and positive not in self._places:
            raise InputError(f"the positive label {positive!r} is none of the labels{known(positive, self.labels)}")
        self.positive = self.labels[1] if positive is None and len(self.labels) == 2 else positive

    def row(self, prediction: Hashable, reference: Hashable) -> list[float]:
        return [place(self._places, prediction, "predicted"), place(self._places, reference, "right")]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        size = len(self.labels)
        predicted, wanted = (np.bincount(rows[:, side], minlength=size).astype(float) for side in (0, 1))
        right = np.bincount(rows[rows[:, 0] == rows[:, 1], 0], minlength=size).astype(float)
        share = ratio(right.sum(), len(rows))
        there = predicted + wanted > 0
        found = {
            "accuracy": share,
            "f1_macro": float(np.mean(2 * right[there] / (predicted + wanted)[there])) if there.any() else 0.0,
            "f1_micro": share,  # each wrong label is one too many and one too few
            "matthews": matthews(right.sum(), predicted, wanted),
        }
        if self.positive is not None:
            i = self._places[self.positive]
            found["precision"], found["recall"] = ratio(right[i], predicted[i]), ratio(right[i], wanted[i])
            found["f1"] = f1(right[i], predicted[i], wanted[i])
        return found

    def signature(self, rows: np.ndarray) -> str:
        return f"labels:{len(self.labels)}" + ("" if self.positive is None else f"|positive:{self.positive}")


class MultiLabel:
    """Any number of labels a text: micro, macro and per-text F1, and the share of texts with exactly the right labels.

    A label that never occurs and is never predicted counts as 0 in the macro F1; a text without labels as 0 in the mean of the texts'.
    """

    kind = "uint8"  # of each label, 1 when predicted plus 2 when right

    def __init__(self, labels: Sequence[Hashable]) -> None:
        self.labels = tuple(labels)
        self._places = {label: i for i, label in enumerate(self.labels)}
        if not self.labels:
            raise InputError("no labels are given: name those that a text can have")

    def row(self, prediction: Collection[Hashable], reference: Collection[Hashable]) -> list[int]:
        codes = [0] * len(self.labels)
        for given, code, side in ((prediction, 1, "predicted"), (reference, 2, "right")):
            for label in set(given):
                codes[place(self._places, label, side)] += code
        return codes

    def value(self, rows: np.ndarray) -> dict[str, float]:
        right, there = rows == 3, (rows & 1) + (rows >> 1)
        both, either = right.sum(0), there.sum(0, dtype=np.int64)
        texts = there.sum(1, dtype=np.int64)
        return {
            "f1_micro": ratio(2 * both.sum(), either.sum()),
            "f1_macro": float(np.mean(2 * both / np.maximum(either, 1))),
            "f1_samples": float(np.mean(2 * right.sum(1) / np.maximum(texts, 1))) if len(rows) else 0.0,
            "exact_match": float(((rows == 0) | right).all(1).mean()) if len(rows) else 0.0,
        }

    def signature(self, rows: np.ndarray) -> str:
        return f"labels:{len(self.labels)}|several"


def matthews(right: float, predicted: np.ndarray, wanted: np.ndarray) -> float:
    """R_K from the number of right answers and the counts of each label; 0 where one label takes all."""
    total = float(wanted.sum())
    above = right * total - predicted @ wanted
    below = math.sqrt((total**2 - predicted @ predicted) * (total**2 - wanted @ wanted))
    return ratio(above, below)


def place(places: dict[Hashable, int], label: Hashable, side: str) -> int:
    """Where a label stands. InputError when it is unknown."""
    if label not in places:
        raise InputError(f"the {side} label {label!r} is none of the labels{known(label, tuple(places))}")
    return places[label]


def known(label: Hashable, labels: Sequence[Hashable]) -> str:
    """What is known, in words."""
    return did_you_mean(str(label), map(str, labels))

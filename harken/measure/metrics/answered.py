"""Answers of an assistant beside the right ones: what they share, whether they end, whether they say anything, and how long they are.

ROUGE-L in 0–1 (see `summary`) · `ends`: the share that the model ended by itself · `empty`: the share without a word · `length_ratio`: the
median of the characters of an answer over those of the right one.
"""

from __future__ import annotations

import numpy as np

from .summary import Rouge


class Answered:
    """An answer is its text and whether the model ended it. InputError where rouge-score is missing."""

    kind = "float64"

    def __init__(self) -> None:
        self._rouge = Rouge(unicode=True)

    def row(self, prediction: tuple[str, bool], reference: str) -> list[float]:
        text, ended = prediction
        shared = dict(zip(self._rouge.value(np.zeros((1, 4))), self._rouge.row(text, reference), strict=True))["rougeL"]
        return [shared, float(ended), float(not text.strip()), len(text.strip()) / max(1, len(reference.strip()))]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        shared, ends, empty, _ = rows.mean(0).tolist()
        return {"rougeL": shared, "ends": ends, "empty": empty, "length_ratio": float(np.median(rows[:, 3]))}

    def signature(self, rows: np.ndarray) -> str:
        return f"answers|{self._rouge.signature(np.zeros((1, 4)))}|length:characters, median"

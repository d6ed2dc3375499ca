"""Answers to questions about a text: exact match and word F1, as SQuAD's own evaluation counts them, in 0–100.

Capital letters, marks and articles do not count; of several right answers the nearest does. Rajpurkar et al., 2016
(https://aclanthology.org/D16-1264) and, where a question may have no answer, 2018 (https://aclanthology.org/P18-2124).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...base.errors import InputError
from .words import plain, shared


class Squad:
    """A text against the right answers. With `no_answer` (version 2), "" says that there is none, and so does an empty list of answers;
    both kinds of question are then also measured apart. InputError for a question without an answer in version 1."""

    kind = "float64"

    def __init__(self, no_answer: bool = False) -> None:
        self.no_answer = no_answer

    def row(self, prediction: str, reference: Sequence[str]) -> list[float]:
        answers = [reference] if isinstance(reference, str) else list(reference)
        if not answers and not self.no_answer:
            raise InputError("the question has no answer, as in SQuAD 2: measure with no_answer, or leave it out")
        words = [plain(answer, "") for answer in answers]
        if self.no_answer:
            words = [each for each in words if each] or [[]]
        said = plain(prediction, "")
        exact = float(said in words)
        # Version 1 finds nothing in common between two answers that hold no word; version 2 finds them equal.
        nearest = exact if self.no_answer and (not said or words == [[]]) else max(shared(said, each) for each in words)
        return [exact, nearest, float(any(map(str.strip, answers)))]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        found = {"exact_match": _percent(rows[:, 0]), "f1": _percent(rows[:, 1])}
        if self.no_answer:
            there = rows[:, 2] > 0
            found["exact_match_answerable"], found["f1_answerable"] = _percent(rows[there, 0]), _percent(rows[there, 1])
            found["exact_match_unanswerable"] = _percent(rows[~there, 0])
        return found

    def signature(self, rows: np.ndarray) -> str:
        return "squad|v2.0" if self.no_answer else "squad|v1.1"


def _percent(values: np.ndarray) -> float:
    return 100 * float(values.mean()) if len(values) else math.nan

"""Answers are measured by what they share with the right one, by their ends, and by their length."""

from __future__ import annotations

import pytest
from rouge_score.rouge_scorer import RougeScorer

from harken.measure.metrics.answered import Answered
from harken.measure.metrics.metric import Tally


def test_the_numbers_of_answers():
    tally = Tally(Answered())
    said = [("It is blue, I think.", True), (" ", True), ("green green green green", False)]
    right = ["The sky is blue.", "Nothing.", "green"]
    tally.update(said, right)
    scorer = RougeScorer(["rougeL"])
    shared = [scorer.score(wanted, text)["rougeL"].fmeasure for (text, _), wanted in zip(said, right, strict=True)]
    found = tally.value()
    assert found["rougeL"] == pytest.approx(sum(shared) / 3)
    assert found["ends"] == pytest.approx(2 / 3) and found["empty"] == pytest.approx(1 / 3)
    assert found["length_ratio"] == pytest.approx(20 / 16)
    assert set(tally.intervals(100)) == set(found)
    assert "rougeL" not in tally.signature and "rouge" in tally.signature and "median" in tally.signature

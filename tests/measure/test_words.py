"""Answers and replies by the words they share, worked by hand from the published definitions; distinct-n by its own."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.measure.metrics.answers import Squad
from harken.measure.metrics.dialogue import Distinct, WordF1
from harken.measure.metrics.metric import Tally
from harken.measure.metrics.words import plain


@pytest.mark.parametrize(
    ("said", "answers", "exact", "f1"),
    [
        ("The Eiffel Tower!", ["eiffel  tower"], 1, 1),
        ("in the year 1990", ["1990"], 0, 1 / 2),  # 1 of {in, year, 1990} and 1 of {1990}
        ("a b b c", ["b b d"], 0, 2 / 3),  # "a" is an article: 2 of {b, b, c} and 2 of {b, b, d}
        ("well-known", ["well known"], 0, 0),  # SQuAD takes marks out and leaves no space
        ("Denver", ["Denver Broncos", "Denver"], 1, 1),  # the nearest
        ("Denver Broncos won", ["Broncos", "Denver Broncos"], 0, 4 / 5),
        ("U.S.", ["us"], 1, 1),
        ("“Zoë”", ["Zoë"], 0, 0),  # marks are those of ASCII
        ("", ["x"], 0, 0),
        ("The", ["a"], 1, 0),  # no word on either side: version 1's two functions disagree
    ],
)
def test_squad(said, answers, exact, f1):
    found = Squad().row(said, answers)
    assert found[:2] == pytest.approx([exact, f1])
    if said and plain(said, ""):
        assert Squad(no_answer=True).row(said, answers)[:2] == pytest.approx([exact, f1])


@pytest.mark.parametrize(
    ("said", "answers", "row"),
    [
        ("", [], [1, 1, 0]),
        ("x", [], [0, 0, 0]),
        ("", ["x"], [0, 0, 1]),
        ("The", [], [1, 1, 0]),
        ("x", ["x", "the"], [1, 1, 1]),
        ("a", ["the"], [1, 1, 1]),
    ],
)
def test_squad_without_answers(said, answers, row):
    assert Squad(no_answer=True).row(said, answers) == row


def test_squad_apart():
    tally = Tally(Squad(no_answer=True))
    tally.update(["x y", "", "z"], [["x"], [], []])
    expected = {"exact_match": 100 / 3, "f1": 100 * (2 / 3 + 1) / 3}
    expected |= {"exact_match_answerable": 0, "f1_answerable": 200 / 3, "exact_match_unanswerable": 50}
    assert tally.value() == pytest.approx(expected)
    with pytest.raises(InputError, match="example 1: the question has no answer"):
        Tally(Squad()).update(["x"], [[]])
    only = Tally(Squad(no_answer=True))
    only.update(["x"], [["x"]])
    assert math.isnan(only.value()["exact_match_unanswerable"])


@pytest.mark.parametrize(
    ("said", "right", "f1"),
    [
        ("I love the dogs!", "i love dogs", 1),
        ("well-known", "well known", 1),  # ConvAI2 leaves a space for a mark
        ("don t", ["don't"], 1),
        ("hi hi hi", "hi there", 2 / 5),
        ("a cat", ["the dog", "my cat"], 2 / 3),
        ("the", "a", 0),
        ("", "hi", 0),
    ],
)
def test_convai2(said, right, f1):
    assert WordF1().row(said, right) == pytest.approx([f1])


replies = st.lists(st.lists(st.sampled_from(["hi", "The", "dog's", "ok!"]), max_size=5).map(" ".join), min_size=1, max_size=6)


@given(replies=replies)
def test_distinct(replies):
    found = Distinct()
    found.update(replies)
    for n, name in ((1, "distinct1"), (2, "distinct2")):
        grams = [tuple(words[i : i + n]) for words in (plain(text, " ") for text in replies) for i in range(len(words) - n + 1)]
        expected = len(set(grams)) / len(grams) if grams else math.nan
        assert found.value()[name] == pytest.approx(expected, nan_ok=True)
    assert found.intervals() == {}


def test_distinct_of_nothing():
    with pytest.raises(InputError, match="no example"):
        Distinct().value()
    with pytest.raises(InputError, match="give at least one"):
        WordF1().row("x", [])

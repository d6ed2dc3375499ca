"""Every metric, by one protocol: order, batches and merging do not matter, any rows have a value, and no text is kept."""

import math
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.measure.metrics.answers import Squad
from harken.measure.metrics.classes import Accuracy, Classification, MultiLabel
from harken.measure.metrics.correlation import Correlation
from harken.measure.metrics.dialogue import Distinct, WordF1
from harken.measure.metrics.entities import EntityF1
from harken.measure.metrics.likelihood import Likelihood, TokenAccuracy
from harken.measure.metrics.metric import Tally
from harken.measure.metrics.ranking import Ranking
from harken.measure.metrics.summary import Rouge
from harken.measure.metrics.translation import Bleu, Chrf

text = st.lists(st.sampled_from(["the", "cat", "sat", "on", "Mats.", "1990", "Zoë"]), min_size=1, max_size=6).map(" ".join)
texts = st.one_of(text, st.lists(text, min_size=1, max_size=3))
tag = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
score = st.integers(-5, 5).map(float)


def of_same_length(*each):
    return st.lists(st.tuples(*each), min_size=1, max_size=6).map(lambda rows: tuple(map(list, zip(*rows, strict=True))))


METRICS = {
    "accuracy": (Accuracy, st.tuples(st.booleans(), st.booleans())),
    "classes": (lambda: Classification("abc"), st.tuples(st.sampled_from("abc"), st.sampled_from("abc"))),
    "two classes": (lambda: Classification("ab"), st.tuples(st.sampled_from("ab"), st.sampled_from("ab"))),
    "several labels": (lambda: MultiLabel("abc"), st.tuples(st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abc")))),
    "correlation": (Correlation, st.tuples(score, score)),
    "entities": (lambda: EntityF1(("PER", "LOC")), of_same_length(tag, tag)),
    "squad": (Squad, st.tuples(text, texts)),
    "squad 2": (lambda: Squad(no_answer=True), st.tuples(st.one_of(st.just(""), text), st.one_of(st.just([]), texts))),
    "likelihood": (Likelihood, st.tuples(st.floats(0, 100), st.tuples(st.integers(1, 9), st.integers(1, 9)))),
    "masked": (TokenAccuracy, of_same_length(st.integers(0, 2), st.integers(0, 2))),
    "ranking": (Ranking, of_same_length(score, st.integers(0, 2)).map(lambda pair: (pair[0], [*pair[1], 1]))),
    "word f1": (WordF1, st.tuples(text, texts)),
    "bleu": (Bleu, st.tuples(text, texts)),
    "chrf": (Chrf, st.tuples(text, texts)),
    "rouge": (Rouge, st.tuples(text, texts)),
    "distinct": (Distinct, st.tuples(text, texts)),
}


def tally(name):
    made = METRICS[name][0]()
    return made if isinstance(made, Distinct) else Tally(made)


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value == pytest.approx(other[name], rel=1e-9, abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=30)
@given(data=st.data())
def test_order_batches_and_merging(name, data):
    pairs = data.draw(st.lists(METRICS[name][1], min_size=1, max_size=8))
    cut = data.draw(st.integers(0, len(pairs)))
    whole, split, merged, rest, shuffled = (tally(name) for _ in range(5))

    def add(to, some):
        to.update([prediction for prediction, _ in some], [reference for _, reference in some])

    add(whole, pairs)
    for some in (pairs[:cut], pairs[cut:]):
        add(split, some)
    add(merged, pairs[:cut])
    add(rest, pairs[cut:])
    merged.merge(rest)
    add(shuffled, data.draw(st.permutations(pairs)))
    for other in (split, merged, shuffled):
        same(whole.value(), other.value())
        assert (other.examples, other.signature) == (len(pairs), whole.signature)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "distinct"])
@settings(max_examples=30)
@given(data=st.data())
def test_rows_have_the_value_of_their_examples(name, data):
    pairs = data.draw(st.lists(METRICS[name][1], min_size=1, max_size=6))
    chosen = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=8))
    whole, again = tally(name), tally(name)
    whole.update(*zip(*pairs, strict=True))
    again.update(*zip(*(pairs[i] for i in chosen), strict=True))
    same(whole.metric.value(whole.rows[np.array(chosen)]), again.value())
    assert len(whole.rows) == len(pairs) and whole.rows.nbytes <= 200 * len(pairs)
    found = whole.intervals(samples=20)
    assert found.keys() == whole.value().keys()
    for low, high in found.values():
        assert math.isnan(low) or low <= high


def test_what_cannot_be_measured():
    found = Tally(Correlation())
    with pytest.raises(InputError, match="no example was given"):
        found.value()
    with pytest.raises(InputError, match="there are 1 references but more predictions: give one for each"):
        found.update([1, 2], [1])
    found.update([1, 2], [1, 2])
    with pytest.raises(InputError, match=r"^example 4: the scores nan and 1\.0 cannot be compared"):
        found.update([1, math.nan], [1, 1])
    assert found.examples == 2 and len(found.rows) == 2  # nothing of a batch that is wrong


def test_nothing_of_the_texts_is_kept():
    found = Tally(WordF1())
    tracemalloc.start()
    try:
        for start in range(0, 2_000, 100):
            found.update((f"{i} " * 500 for i in range(start, start + 100)), (str(i) for i in range(start, start + 100)))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.examples == 2_000 and kept < 200_000  # the texts are 5 MB


def test_trouble_of_the_reader_comes_through():
    """An error of what yields the examples is told as it is."""

    def broken():
        yield 1
        raise InputError("file.txt, line 2: nothing there")

    with pytest.raises(InputError, match=r"^file.txt, line 2"):
        Tally(Accuracy()).update(broken(), [1, 2])


def test_libraries_are_imported_when_asked_for():
    code = """
import importlib, pkgutil, sys, harken.measure
for module in pkgutil.walk_packages(harken.measure.__path__, "harken.measure."):
    importlib.import_module(module.name)
found = {"sacrebleu", "rouge_score", "nltk", "sklearn", "seqeval"} & set(sys.modules)
assert not found, found"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr

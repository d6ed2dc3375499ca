"""Accuracy, F1 and Matthews are scikit-learn's; correlations are SciPy's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn

from harken.base.errors import InputError
from harken.measure.metrics.classes import Accuracy, Classification, MultiLabel
from harken.measure.metrics.correlation import Correlation, ranks
from harken.measure.metrics.likelihood import Likelihood, TokenAccuracy
from harken.measure.metrics.metric import Tally

scores = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=20)


def measured(metric, pairs):
    tally = Tally(metric)
    tally.update(*zip(*pairs, strict=True))
    return tally.value()


def about(value):
    return pytest.approx(value, abs=1e-12)


@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_classes(pairs):
    found = measured(Classification(range(5)), pairs)
    predicted, right = zip(*pairs, strict=True)
    assert found["accuracy"] == about(sklearn.accuracy_score(right, predicted))
    for average in ("macro", "micro"):
        assert found[f"f1_{average}"] == about(sklearn.f1_score(right, predicted, average=average, zero_division=0))
    expected = 0.0 if len({*predicted, *right}) == 1 else sklearn.matthews_corrcoef(right, predicted)  # sklearn warns of one label
    assert found["matthews"] == about(expected)
    assert "f1" not in found


@given(pairs=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30), positive=st.sampled_from([None, 0, 1]))
def test_two_classes(pairs, positive):
    found = measured(Classification((0, 1), positive), pairs)
    predicted, right = zip(*pairs, strict=True)
    for name in ("precision", "recall", "f1"):
        expected = getattr(sklearn, f"{name}_score")(right, predicted, pos_label=1 if positive is None else positive, zero_division=0)
        assert found[name] == about(expected)


sets = st.sets(st.sampled_from("abcd"))


@given(pairs=st.lists(st.tuples(sets, sets), min_size=1, max_size=20))
def test_several_labels(pairs):
    found = measured(MultiLabel("abcd"), pairs)
    predicted, right = (np.array([[label in pair[side] for label in "abcd"] for pair in pairs], int) for side in (0, 1))
    for average in ("micro", "macro", "samples"):
        assert found[f"f1_{average}"] == about(sklearn.f1_score(right, predicted, average=average, zero_division=0))
    assert found["exact_match"] == about(sklearn.accuracy_score(right, predicted))


@given(pairs=scores)
def test_correlation(pairs):
    found = measured(Correlation(), pairs)
    x, y = np.array(pairs, float).T
    np.testing.assert_array_equal(ranks(x), stats.rankdata(x))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert math.isnan(found["pearson"]) and math.isnan(found["spearman"])
    else:
        assert found["pearson"] == about(stats.pearsonr(x, y).statistic)
        assert found["spearman"] == about(stats.spearmanr(x, y).statistic)


def test_correlation_far_from_zero():
    """A mean that is large beside the spread must not eat the digits."""
    x = 1e8 + np.arange(100.0)
    assert measured(Correlation(), list(zip(x, 2 * x, strict=True)))["pearson"] == pytest.approx(1, abs=1e-9)
    assert math.isnan(measured(Correlation(), [(0.1, 1), (0.1, 2), (0.1, 4)])["pearson"])


def test_likelihood():
    found = measured(Likelihood(), [(math.log(8), (2, 3)), (math.log(2), (2, 5))])
    assert found == {"loss": about(math.log(2)), "perplexity": about(2), "bits_per_byte": about(0.5)}
    assert math.isnan(measured(Likelihood(), [(1.0, (2, 3)), (1.0, (2, 0))])["bits_per_byte"])  # the bytes of one text are not known
    assert measured(Likelihood(), [(1e6, (1, 1))])["perplexity"] == math.inf
    with pytest.raises(InputError, match="example 1: nan nats"):
        measured(Likelihood(), [(math.nan, (1, 1))])


def test_tokens_and_names():
    assert measured(TokenAccuracy(), [([1, 2], [1, 3]), ([], []), ([5], [5])]) == {"masked_accuracy": about(2 / 3)}
    assert measured(Accuracy("next_sentence_accuracy"), [(1, 1), (0, 1)]) == {"next_sentence_accuracy": 0.5}
    with pytest.raises(InputError, match="1 predicted tokens stand against 2"):
        measured(TokenAccuracy(), [([1], [1, 2])])


def test_wrong_labels():
    with pytest.raises(InputError, match=r"example 2: the predicted label 'postive' .* \(did you mean 'positive'\?\)"):
        measured(Classification(("negative", "positive")), [("positive", "positive"), ("postive", "positive")])
    with pytest.raises(InputError, match="example 1: the right label 'e' is none of the labels"):
        measured(MultiLabel("abcd"), [("a", "be")])
    with pytest.raises(InputError, match="two or more"):
        Classification(["a", "a"])
    with pytest.raises(InputError, match="positive label 'c'"):
        Classification("ab", positive="c")
    with pytest.raises(InputError, match="no labels"):
        MultiLabel([])

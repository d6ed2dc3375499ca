"""Rankings: nDCG is scikit-learn's, the rest worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from harken.base.errors import InputError
from harken.measure.metrics.metric import Tally
from harken.measure.metrics.ranking import Ranking


def measured(k, scores, gains):
    tally = Tally(Ranking(k))
    tally.update([scores], [gains])
    return tally.value()


@given(gains=st.lists(st.integers(0, 3), min_size=2, max_size=12).filter(any), data=st.data(), k=st.integers(1, 12))
def test_ndcg(gains, data, k):
    scores = data.draw(st.permutations(range(len(gains))))
    found = measured((k,), scores, gains)
    assert found[f"ndcg@{k}"] == pytest.approx(ndcg_score([gains], [scores], k=k))
    order = np.argsort(scores)[::-1]
    right = np.array(gains)[order] > 0
    assert found["mrr"] == pytest.approx(1 / (1 + right.argmax()))
    assert found[f"hits@{k}"] == right[:k].any() and found[f"recall@{k}"] == pytest.approx(right[:k].sum() / right.sum())


def test_by_hand():
    found = measured((1, 2), [0.1, 0.9, 0.5], [1, 0, 1])
    assert found["mrr"] == 0.5 and found["hits@1"] == 0 and found["hits@2"] == 1 and found["recall@2"] == 0.5
    assert found["ndcg@2"] == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))


def test_equal_scores_find_nothing():
    """hits@1 of 20 candidates with one score for all is 0, wherever the right one stands."""
    for place in (0, 7, 19):
        gains = [int(i == place) for i in range(20)]
        found = measured((1, 10, 20), [0.5] * 20, gains)
        assert (found["hits@1"], found["hits@10"], found["hits@20"], found["mrr"]) == (0, 0, 1, 1 / 20)


def test_right_ones_that_were_not_retrieved():
    assert measured((10,), [2.0, 1.0], [0, 0, 1]) == {"mrr": 0, "ndcg@10": 0, "hits@10": 0, "recall@10": 0}
    assert measured((10,), [2.0, 1.0], [1, 0, 1])["recall@10"] == 0.5


def test_wrong_queries():
    for scores, gains, why in (
        ([1, 2], [0, 0], "no candidate is right"),
        ([1, 2], [1], "2 scores stand against 1"),
        ([math.nan], [1], "not a number"),
    ):
        with pytest.raises(InputError, match=f"example 1: .*{why}"):
            measured((1,), scores, gains)
    with pytest.raises(InputError, match="1 or more"):
        Ranking((0,))

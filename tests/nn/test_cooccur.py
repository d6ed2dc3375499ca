"""Counts of neighbours, PPMI and its decomposition, beside dictionaries and NumPy's own; and what must hold whatever the text."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.nn.cooccur import END, UNKNOWN, Sparse, cooccurrences, learn, ppmi, truncated_svd, without_common

TEXTS = st.lists(st.lists(st.sampled_from([UNKNOWN, *range(7)]), max_size=12), max_size=6)


def laid_out(texts: list[list[int]]) -> np.ndarray:
    return np.array([i for text in texts for i in (END, *text)], np.int32)


def in_dictionaries(texts: list[list[int]], window: int) -> Counter[tuple[int, int]]:
    """The slow twin: R · n(w, c)."""
    found: Counter[tuple[int, int]] = Counter()
    for text in texts:
        for i, word in enumerate(text):
            for j in range(max(0, i - window), min(len(text), i + window + 1)):
                if i != j and word >= 0 and text[j] >= 0:
                    found[word, text[j]] += window + 1 - abs(i - j)
    return found


def ppmi_of(found: Counter[tuple[int, int]], smoothing: float, shift: float) -> dict[tuple[int, int], float]:
    totals: Counter[int] = Counter()
    for (word, _), n in found.items():
        totals[word] += n
    drawn = {word: n**smoothing for word, n in totals.items()}
    whole = sum(drawn.values())
    values = {(w, c): math.log(n * whole / (totals[w] * drawn[c])) - math.log(shift) for (w, c), n in found.items()}
    return {pair: value for pair, value in values.items() if value > 1e-6}


def entries(matrix: Sparse) -> dict[tuple[int, int], float]:
    rows = np.repeat(np.arange(len(matrix.first) - 1), np.diff(matrix.first))
    return {(int(w), int(c)): v for w, c, v in zip(rows, matrix.columns, matrix.values.tolist(), strict=True)}


@given(TEXTS, st.integers(1, 4), st.sampled_from([0.75, 1.0]), st.sampled_from([1.0, 2.0]))
def test_counts_and_ppmi_are_those_of_dictionaries(texts: list[list[int]], window: int, smoothing: float, shift: float) -> None:
    counts, twin = cooccurrences(laid_out(texts), 7, window), in_dictionaries(texts, window)
    assert entries(counts) == twin
    got, want = entries(ppmi(counts, smoothing, shift)), ppmi_of(twin, smoothing, shift)
    assert {pair for pair, value in got.items() if value > 1e-6} == set(want)
    assert all(math.isclose(got[pair], value, rel_tol=1e-5, abs_tol=1e-6) for pair, value in want.items())


@given(TEXTS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_counts_are_symmetric_and_do_not_know_the_order_of_texts(texts: list[list[int]], window: int, random) -> None:
    counts = cooccurrences(laid_out(texts), 7, window)
    dense = counts.dense()
    assert (dense == dense.T).all()
    smooth = ppmi(counts, 1.0).dense()
    np.testing.assert_allclose(smooth, smooth.T, rtol=1e-5, atol=1e-6)  # α = 1 treats words and contexts alike
    assert (counts.transposed().dense() == dense.T).all()
    shuffled = random.sample(texts, len(texts))
    for other in (shuffled, [text[::-1] for text in texts]):
        again = cooccurrences(laid_out(other), 7, window)
        assert all(np.array_equal(a, b) for a, b in zip(vars(counts).values(), vars(again).values(), strict=True))


def test_an_unknown_word_keeps_its_place_and_a_text_ends() -> None:
    dense = cooccurrences(laid_out([[0, UNKNOWN, 1, 2], [3]]), 4, 2).dense()
    assert dense.tolist() == [[0, 1, 0, 0], [1, 0, 2, 0], [0, 2, 0, 0], [0, 0, 0, 0]]


@pytest.fixture(scope="module")
def matrix() -> Sparse:
    """PPMI of a text in which words of a group stand together, so that a few directions say much."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 12, 3000)
    words = (groups[:, None] * 10 + rng.zipf(1.6, (3000, 8)).clip(max=10) - 1).astype(np.int32)
    return ppmi(cooccurrences(laid_out(words.tolist()), 121, 4))


def test_the_product_is_that_of_the_dense_matrix(matrix: Sparse) -> None:
    dense = np.random.default_rng(1).standard_normal((121, 17)).astype(np.float32)
    np.testing.assert_allclose(matrix.times(dense), matrix.dense() @ dense, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [1, 12, 60, 121])
def test_the_largest_singular_values_and_their_directions(matrix: Sparse, rank: int) -> None:
    u, s, v = truncated_svd(matrix, rank)
    exact = np.linalg.svd(matrix.dense().astype(np.float64))
    np.testing.assert_allclose(s, exact[1][:rank], rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(u.T @ u, np.eye(rank), atol=1e-4)
    lost = np.square(matrix.dense() - (u * s) @ v.T).sum()
    least = np.square(exact[1][rank:]).sum()  # no other of that rank loses less: Eckart & Young
    assert least - 1e-2 <= lost <= 1.005 * least + 1e-2
    assert (u[np.abs(u).argmax(0), np.arange(rank)] > 0).all()


def test_the_same_text_gives_the_same_bits(matrix: Sparse) -> None:
    one, two, other = (truncated_svd(matrix, 12, seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    np.testing.assert_allclose(one, other, atol=1e-2)  # the seed only decides where the search begins


def test_words_that_stand_alone_have_no_direction() -> None:
    ids = laid_out([[0, 1, 2, 3], [1, 0, 3, 2], [4], [5]])
    found = learn(ids, 7, 2, window=1)
    assert found.vectors.shape == (7, 2) and found.vectors[:4].any(1).all() and not found.vectors[4:].any()
    assert found.pairs == 8 and 0 < found.explained <= 1
    with pytest.raises(InputError, match="4 words stand near others more often than by chance, too few for vectors of width 5"):
        learn(ids, 7, 5, window=1)
    with pytest.raises(InputError, match="the text holds word 5, the vocabulary ends at 3"):
        learn(ids, 4, 2)
    with pytest.raises(InputError, match="0 words stand near others"):
        learn(laid_out([]), 4, 1)


@pytest.mark.parametrize("directions", [0, 1, 3])
def test_what_all_words_have_in_common_is_taken_out(directions: int) -> None:
    random = np.random.default_rng(0)
    plain = random.standard_normal((40, 6)) + random.standard_normal(6) * 5
    found = without_common(plain * random.uniform(0.1, 9.0, (40, 1)), directions)
    unit = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    centred = unit - unit.mean(0)
    left, strength, right = np.linalg.svd(centred, full_matrices=False)
    strength[:directions] = 0
    np.testing.assert_allclose(found, left * strength @ right, atol=1e-9)


def test_a_word_that_was_never_seen_near_another_stays_nothing() -> None:
    ids = laid_out([[0, 1, 2, 0, 3, 1, 2, 3], [5]])
    plain, found = (learn(ids, 6, 2, window=2, common=common).vectors for common in (None, 0))
    assert not found[4:].any() and not plain[4:].any()
    assert plain[:4].any(1).all() and np.abs(found[:4].sum(0)).max() < 1e-5

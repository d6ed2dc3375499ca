"""Words as vectors, from counts alone: which words stand near which, how much more often than by chance, and the directions that say most.

    n(w, c) = Σ (R + 1 - distance) / R                 over all c within R words of w, and in its text
    M(w, c) = max(0, log n(w, c) · Σ n(c')^α / (n(w) · n(c)^α) - log k)          positive pointwise mutual information, PPMI
    M ≈ U S Vᵀ,   vectors = U S^p                      the D largest singular values
    x' = x / |x| - mean,   x'' = x' - Σ_i (x' · a_i) a_i         a_1 … a_m the directions in which all words differ most

What word2vec does by gradients: Levy & Goldberg 2014, https://papers.nips.cc/paper/5477; R, α, k and p: Levy, Goldberg & Dagan 2015,
https://aclanthology.org/Q15-1016; m, what all words have in common and says nothing of one: Mu & Viswanath 2018,
https://arxiv.org/abs/1702.01417. The decomposition: Halko, Martinsson & Tropp 2011, https://doi.org/10.1137/090771806, algorithm 4.4.

T tokens of all texts · V vocabulary · D width · Z stored pairs · K directions that are followed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any

import numba
import numpy as np

from ..base.errors import InputError
from .kernels.exact import helper, parallel, use_threads

UNKNOWN, END = -1, -2
"""In place of an id: a word that is not counted but keeps its place, and the end of a text, which no window reaches across."""
SPARE, ROUNDS = 32, 6
"""Directions followed beyond those that are kept, and how often they are turned towards the largest."""


@dataclass(frozen=True)
class Sparse:
    """A (V, V) matrix by rows: row r has `values[first[r] : first[r + 1]]` in the rising `columns` beside them, and zeros elsewhere."""

    first: np.ndarray  # (V + 1,) int64
    columns: np.ndarray  # (Z,) int32
    values: np.ndarray  # (Z,)

    def transposed(self) -> Sparse:
        """The same, by columns."""
        return Sparse(*_transposed(self.first, self.columns, self.values))

    def dense(self) -> np.ndarray:
        """(V, V), for small ones."""
        size = len(self.first) - 1
        out = np.zeros((size, size), self.values.dtype)
        out[np.repeat(np.arange(size), np.diff(self.first)), self.columns] = self.values
        return out

    def times(self, dense: np.ndarray) -> np.ndarray:
        """dense (V, K) float32 -> (V, K); every sum has a fixed order, so the bits do not depend on the threads."""
        out = np.empty_like(dense)
        use_threads(len(self.values) * dense.shape[1])
        _times(self.first, self.columns, self.values, dense, out)
        return out


@dataclass(frozen=True)
class Learned:
    """`vectors` (V, D) float32, a row of zeros for a word that was never seen near another · `pairs`: distinct ones that were counted ·
    `kept`: those more frequent than by chance · `explained`: the share of their squared PPMI that lies in the D directions."""

    vectors: np.ndarray
    pairs: int
    kept: int
    explained: float


def learn(
    ids: np.ndarray,
    vocab: int,
    dim: int,
    *,
    window: int = 5,
    smoothing: float = 0.75,
    shift: float = 1.0,
    power: float = 0.5,
    common: int | None = None,
    seed: int = 0,
    told: Callable[[str], None] = lambda line: None,
) -> Learned:
    """Vectors of the words 0 … `vocab` - 1 from ids (T,) int32 of texts laid end to end, with UNKNOWN and END among them.

    `window` R, `smoothing` α, `shift` k, `power` p, `common` m as above (None: not even the mean is taken off);
    `told` hears what is done. Memory: 8 bytes a token, 12 a
    pair, then 16 a pair that is kept. The same ids and seed give the same bits wherever NumPy's own decompositions do.
    InputError when fewer than `dim` words stand near others, so that there are no `dim` directions.
    """
    counts = cooccurrences(ids, vocab, window)
    told(f"counted {len(counts.columns):,} pairs of words that stand within {window} of each other")
    matrix = ppmi(counts, smoothing, shift)
    pairs, alone = len(counts.columns), np.diff(matrix.first) == 0
    words = len(alone) - int(alone.sum())
    del counts  # the larger half of the memory
    if words < dim:
        raise InputError(f"{words} words stand near others more often than by chance, too few for vectors of width {dim}: give more text")
    told(f"{len(matrix.columns):,} of them occur more often than by chance")
    u, s, _ = truncated_svd(matrix, dim, seed)
    whole = float(np.square(matrix.values, dtype=np.float64).sum())
    explained = float(np.square(s, dtype=np.float64).sum()) / whole
    u[alone] = 0  # but for rounding they are
    vectors = u * s**power
    if common is not None:
        vectors[~alone] = without_common(vectors[~alone], common)
    return Learned(np.ascontiguousarray(vectors, np.float32), pairs, len(matrix.columns), explained)


def without_common(vectors: np.ndarray, directions: int) -> np.ndarray:
    """(V, D) -> the same, each of length 1 before their mean and the `directions` in which they differ most are taken out."""
    x = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    x = x - x.mean(0, dtype=np.float64)
    top = np.linalg.eigh(x.T @ x)[1][:, len(x.T) - directions :]  # the eigenvalues rise
    return x - (x @ top) @ top.T


def cooccurrences(ids: np.ndarray, vocab: int, window: int) -> Sparse:
    """How often each word has each other one near it, R times n(w, c) as whole numbers (int64), so that no sum is ever rounded.

    Symmetric. Each word's places are visited together, with one counter for each neighbour, so the time is linear in T · R.
    InputError for 2^31 tokens and more, and for an id that is no word.
    """
    if len(ids) >= 2**31:
        raise InputError(f"{len(ids):,} words are too many to count at once; the most is {2**31 - 1:,}")
    if len(ids) and int(ids.max()) >= vocab:
        raise InputError(f"the text holds word {int(ids.max())}, the vocabulary ends at {vocab - 1}")
    begins, places = _places(ids, vocab)
    sizes, nothing = np.zeros(vocab + 1, np.int64), np.empty(0, np.int64)
    _gather(ids, begins, places, window, sizes, nothing.astype(np.int32), nothing)
    first = np.cumsum(sizes)
    columns, counts = np.empty(first[-1], np.int32), np.empty(first[-1], np.int64)
    _gather(ids, begins, places, window, first, columns, counts)
    return Sparse(first, columns, counts)


def ppmi(counts: Sparse, smoothing: float = 0.75, shift: float = 1.0) -> Sparse:
    """Positive pointwise mutual information (float32) of symmetric counts; what is not above zero is left out.

    `smoothing` α: contexts are drawn as often as n(c)^α, so that rare ones do not look special · `shift` k: log k is taken off.
    """
    totals = np.zeros(len(counts.first) - 1)
    there = counts.first[:-1] < counts.first[1:]
    if there.any():
        totals[there] = np.add.reduceat(counts.values, counts.first[:-1][there])
    drawn = np.where(there, totals, 1.0) ** smoothing
    lift = np.log(drawn[there].sum()) - np.log(drawn) - log(shift) if there.any() else drawn  # of each context
    word = np.log(np.where(there, totals, 1.0))
    return Sparse(*_positive(counts.first, counts.columns, counts.values, word, lift))


def truncated_svd(matrix: Sparse, rank: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(U (V, rank), S (rank,), V (V, rank)) of the largest singular values, falling; of each column of U the largest entry is positive.

    `seed` draws the first directions; each round turns them towards those in which the matrix is largest.
    """
    size = len(matrix.first) - 1
    turned, width = matrix.transposed(), min(rank + SPARE, size)
    q = np.random.default_rng(seed).standard_normal((size, width), dtype=np.float32)
    for _ in range(ROUNDS):
        q = _basis(turned.times(_basis(matrix.times(q))))
    q = _basis(matrix.times(q))
    right, small = np.linalg.qr(turned.times(q))  # QᵀM = smallᵀ rightᵀ
    u, s, v = np.linalg.svd(small.T)
    left, right = q @ u[:, :rank], right @ v[:rank].T
    signs = np.sign(left[np.abs(left).argmax(0), np.arange(rank)])
    return left * signs, s[:rank], right * signs


def _basis(columns: np.ndarray) -> np.ndarray:
    """An orthonormal basis of (V, K) columns."""
    return np.ascontiguousarray(np.linalg.qr(columns)[0])


@helper
def _places(ids: Any, vocab: int):
    """(begins (V + 1,), the places of each word in the text, words in order)."""
    begins = np.zeros(vocab + 1, np.int64)
    for word in ids:
        if word >= 0:
            begins[word + 1] += 1
    begins = np.cumsum(begins)
    free, places = begins.copy(), np.empty(begins[-1], np.int32)
    for t in range(len(ids)):
        word = ids[t]
        if word >= 0:
            places[free[word]] = t
            free[word] += 1
    return begins, places


@helper
def _gather(ids: Any, begins: Any, places: Any, window: int, first: Any, columns: Any, counts: Any):
    """The neighbours of every word and R · n(w, c); without room for them only how many there are, into `first[1:]`."""
    seen = np.zeros(len(begins) - 1, np.int64)
    met = np.empty(len(begins) - 1, np.int32)
    for word in range(len(begins) - 1):
        number = 0
        for i in range(begins[word], begins[word + 1]):
            for way in (-1, 1):
                t = np.int64(places[i])
                for distance in range(1, window + 1):
                    t += way
                    if t < 0 or t >= len(ids) or ids[t] == END:
                        break
                    near = ids[t]
                    if near >= 0:
                        if seen[near] == 0:
                            met[number] = near
                            number += 1
                        seen[near] += window + 1 - distance
        if len(columns) == 0:
            first[word + 1] = number
            for near in met[:number]:
                seen[near] = 0
        else:
            at = first[word]
            for near in np.sort(met[:number]):
                columns[at] = near
                counts[at] = seen[near]
                seen[near] = 0
                at += 1


@helper
def _positive(first: Any, columns: Any, counts: Any, word: Any, lift: Any):
    """log n(w, c) - word(w) + lift(c), where that is above zero."""
    begins = np.zeros(len(first), np.int64)
    for fill in (False, True):
        if not fill:
            kept, values = np.empty(0, np.int32), np.empty(0, np.float32)
        else:
            kept, values = np.empty(begins[-1], np.int32), np.empty(begins[-1], np.float32)
        at = 0
        for row in range(len(first) - 1):
            for i in range(first[row], first[row + 1]):
                value = np.float32(np.log(counts[i]) - word[row] + lift[columns[i]])
                if value > 0:
                    if fill:
                        kept[at] = columns[i]
                        values[at] = value
                    at += 1
            begins[row + 1] = at
    return begins, kept, values


@helper
def _transposed(first: Any, columns: Any, values: Any):
    begins = np.zeros(len(first), np.int64)
    for column in columns:
        begins[column + 1] += 1
    begins = np.cumsum(begins)
    free, rows, turned = begins.copy(), np.empty(len(columns), np.int32), np.empty(len(columns), values.dtype)
    for row in range(len(first) - 1):
        for i in range(first[row], first[row + 1]):
            at = free[columns[i]]
            rows[at] = row
            turned[at] = values[i]
            free[columns[i]] += 1
    return begins, rows, turned


@parallel
def _times(first, columns, values, dense, out):
    for row in numba.prange(len(first) - 1):
        total = out[row]
        total[:] = 0
        for i in range(first[row], first[row + 1]):
            value, other = values[i], dense[columns[i]]
            for k in range(len(total)):
                total[k] += value * other[k]

"""From counts to probabilities: what an n-gram keeps, and what its history leaves to the next shorter history.

    p(w | h) = (c(hw) - D) / m(h) + b(h) · p(w | h'),   h' is h without its oldest token, and below the empty history stands 1 / V'

    add_k        D = 0               m = c(h) + k V'     b = k V' / m      h' is nothing: only the longest history, then 1 / V'
    witten_bell  D = 0               m = c(h) + t(h)     b = t(h) / m      t(h): how many different tokens follow h
    kneser_ney   D1, D2, D3+ by c    m = c(h)            b = Σ D / m       below the longest n-grams c counts the different tokens in front

c(h) is the sum of c(hw) over w. V' is the number of tokens that can be predicted. A history never seen leaves everything: b = 1.
Kneser-Ney is the interpolated, modified one, with discounts from the counts of counts of each order.

Chen & Goodman 1999, https://doi.org/10.1006/csla.1999.0128; Witten & Bell 1991, https://doi.org/10.1109/18.87000

N positions · L tokens of a row · V vocabulary · W tokens of history
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .kernels.exact import helper

SMOOTHINGS = ("add_k", "witten_bell", "kneser_ney")


@dataclass(frozen=True)
class Trie:
    """Counts of all n-grams up to some order; node 0 is the empty one, then come the 1-grams, the 2-grams, … each level sorted.

    tokens (nodes,) the last token · first (contexts + 1,): the n-grams that continue node i are first[i] to first[i + 1] · counts
    (nodes,) occurrences · continuations (contexts,): different tokens in front, an occurrence at the start of a document counting by
    itself · levels (order + 1,): nodes of the levels 0 to n. A context is a node of any level but the last.
    """

    tokens: np.ndarray
    first: np.ndarray
    counts: np.ndarray
    continuations: np.ndarray
    levels: np.ndarray


@dataclass(frozen=True)
class Smoothed:
    """A trie read as an `order`-gram model. The arrays beside the trie's are float64: mass m and rest b of each context, discounts
    (order + 1, 4) of each level for the counts 0, 1, 2 and more, floor (V,): 1 / V', or 0 for what is never predicted.

    `lower`: the counts below the longest n-grams · `alone`: only the longest history speaks.
    """

    trie: Trie
    order: int
    alone: bool
    lower: np.ndarray
    discounts: np.ndarray
    mass: np.ndarray
    rest: np.ndarray
    floor: np.ndarray

    def score(self, ids: np.ndarray) -> np.ndarray:
        """ids (L,) int64 -> (L,) float64 natural log-probability of each token given those before it; 0 for the first."""
        out = np.zeros(len(ids))
        _score(ids, *self._arrays(), out)
        return out

    def spread(self, windows: np.ndarray, dtype: type = np.float64) -> np.ndarray:
        """windows (N, W) int64, the newest token last and -1 where there is none -> (N, V) log-probabilities of the next token."""
        out = np.empty((len(windows), len(self.floor)), dtype)
        _spread(np.ascontiguousarray(windows), *self._arrays(), out)
        return out

    def familiarity(self, windows: np.ndarray, grades: int) -> np.ndarray:
        """windows (N, W) int64 -> (N,) int64 how well each history is known: 0 for not at all, else 1 + grade + `grades` · the tokens in
        its longest ending that was ever continued; the grade is log2 of how often it was, at most `grades` - 1."""
        out = np.zeros(len(windows), np.int64)
        trie = self.trie
        _familiarity(np.ascontiguousarray(windows), trie.tokens, trie.first, trie.counts, self.order, grades, out)
        return out

    def follow(self, history: np.ndarray, most: int, share: float) -> np.ndarray:
        """history (L,) int64 -> at most `most` tokens that followed most often: each after the longest ending of the text that was ever
        continued, as long as it was the next one in that `share` of all times."""
        window, out = np.full(max(1, self.order - 1) + most, -1, np.int64), np.empty(most, np.int64)
        held = history[len(history) - min(len(history), self.order - 1) :]
        window[: len(held)] = held
        found = _follow(window, len(held), self.trie.tokens, self.trie.first, self.trie.counts, self.order, share, out)
        return out[:found]

    def _arrays(self) -> tuple:
        trie = self.trie
        return trie.tokens, trie.first, trie.counts, self.lower, self.discounts, self.mass, self.rest, self.floor, self.order, self.alone


def smooth(trie: Trie, order: int, smoothing: str, add_k: float, floor: np.ndarray) -> Smoothed:
    """Read the first `order` levels of a trie with one of SMOOTHINGS; a trie with fewer levels is read as far as it goes."""
    order = min(order, len(trie.levels) - 1)
    lower = trie.continuations if smoothing == "kneser_ney" else trie.counts
    used = discounts = np.zeros((order + 1, 4))
    if smoothing == "kneser_ney":
        discounts = np.zeros((order + 1, 4))
        for level in range(1, order + 1):
            used = trie.counts if level == order else lower
            discounts[level] = discounts_of(used[trie.levels[level - 1] : trie.levels[level]])
    contexts = int(trie.levels[order - 1]) if order else 0
    mass, rest = np.ones(contexts), np.ones(contexts)
    added = add_k * np.count_nonzero(floor) if smoothing == "add_k" else 0.0
    for level in range(order):
        begin, end = (int(trie.levels[level - 1]) if level else 0), int(trie.levels[level])
        used = trie.counts if level + 1 == order else lower
        _leave(trie.first, used, discounts[level + 1], added, smoothing == "witten_bell", begin, end, mass, rest)
    return Smoothed(trie, order, smoothing == "add_k", lower, discounts, mass, rest, floor)


def discounts_of(counts: np.ndarray) -> np.ndarray:
    """(4,) what to take from the counts 0, 1, 2, 3 and more:  D_k = k - (k + 1) Y n_{k+1} / n_k,  Y = n_1 / (n_1 + 2 n_2).

    n_k is how many n-grams have the count k.
    """
    n = np.bincount(counts[(counts > 0) & (counts < 5)], minlength=5).astype(np.float64)
    out = np.zeros(4)
    for k in (1, 2, 3):
        found = k - (k + 1) * n[1] / (n[1] + 2 * n[2]) * n[k + 1] / n[k] if n[1] and n[k] else 0.0
        out[k] = found if 0 < found <= k else k / 2
    return out


@helper
def _leave(first, counts, discounts, added, by_kinds, begin, end, mass, rest):
    """Fill the mass and the rest of the contexts `begin` to `end`."""
    for node in range(begin, end):
        total, taken, kinds = 0, 0.0, 0
        for child in range(first[node], first[node + 1]):
            count = counts[child]
            total += count
            taken += discounts[min(count, 3)]
            kinds += count > 0
        left = added + (kinds if by_kinds else 0)
        if total + left > 0:
            mass[node], rest[node] = total + left, (taken + left) / (total + left)


@helper
def _find(tokens, first, node, token):
    """The n-gram that continues `node` with `token`, or -1."""
    low, end = first[node], first[node + 1]
    high = end
    while low < high:
        middle = (low + high) // 2
        if tokens[middle] < token:
            low = middle + 1
        else:
            high = middle
    return low if low < end and tokens[low] == token else -1


@helper
def _score(ids, tokens, first, counts, lower, discounts, mass, rest, floor, order, alone, out):
    """One pass over a row: the n-grams that end at a token are the contexts of the next."""
    contexts, ending = np.full(order + 1, -1), np.full(order + 1, -1)  # by length
    contexts[0] = ending[0] = 0
    for t in range(len(ids)):
        longest = min(t, order - 1)
        p = floor[ids[t]]
        for length in range(longest + 1):
            node = contexts[length]
            child = _find(tokens, first, node, ids[t]) if node >= 0 else -1
            ending[length + 1] = child
            if node >= 0 and (length == longest or not alone):
                p *= rest[node]
                if child >= 0:
                    count = counts[child] if length == order - 1 else lower[child]
                    p += (count - discounts[length + 1, min(count, 3)]) / mass[node]
        contexts, ending = ending, contexts
        if t:
            out[t] = math.log(p) if p > 0 else -math.inf


@helper
def _available(windows, i, most):
    """Tokens in window `i`, at most `most`."""
    found, width = 0, windows.shape[1]
    while found < min(most, width) and windows[i, width - 1 - found] >= 0:
        found += 1
    return found


@helper
def _context(tokens, first, windows, i, length):
    """The n-gram that the last `length` tokens of window `i` are, or -1."""
    node, width = 0, windows.shape[1]
    for place in range(width - length, width):
        if node >= 0:
            node = _find(tokens, first, node, windows[i, place])
    return node


@helper
def _spread(windows, tokens, first, counts, lower, discounts, mass, rest, floor, order, alone, out):
    """The sums of `_score` in the same order, for every token at once."""
    p = np.empty(len(floor))
    for i in range(len(windows)):
        longest = _available(windows, i, order - 1)
        for token in range(len(p)):
            p[token] = floor[token]
        for length in range(longest if alone else 0, longest + 1 if order else 0):
            node = _context(tokens, first, windows, i, length)
            if node < 0:
                continue
            for token in range(len(p)):
                p[token] *= rest[node]
            for child in range(first[node], first[node + 1]):
                count = counts[child] if length == order - 1 else lower[child]
                p[tokens[child]] += (count - discounts[length + 1, min(count, 3)]) / mass[node]
        for token in range(len(p)):
            out[i, token] = math.log(p[token]) if p[token] > 0 else -math.inf


@helper
def _familiarity(windows, tokens, first, counts, order, grades, out):
    """From the longest ending down to the empty one, which every token continues."""
    for i in range(len(windows)):
        length, total = _available(windows, i, order - 1) if order else -1, 0
        while length >= 0:
            node = _context(tokens, first, windows, i, length)
            if node >= 0:
                for child in range(first[node], first[node + 1]):
                    total += counts[child]
            if total:
                break
            length -= 1
        grade = 0
        while total > 1 and grade < grades - 1:
            grade, total = grade + 1, total // 2
        if length >= 0:
            out[i] = 1 + grade + grades * length


@helper
def _follow(window, held, tokens, first, counts, order, share, out):
    """How many tokens were found; `window` has room for them behind the `held` ones."""
    for n in range(len(out)):
        best, count, total = -1, 0, 0
        for length in range(min(held, order - 1), 0, -1):
            node = 0
            for place in range(held - length, held):
                if node >= 0:
                    node = _find(tokens, first, node, window[place])
            if node >= 0:
                for child in range(first[node], first[node + 1]):
                    total += counts[child]
                    if counts[child] > count:
                        best, count = tokens[child], counts[child]
            if total:
                break
        if best < 0 or count < share * total:
            return n
        out[n] = window[held] = best
        held += 1
    return len(out)

"""What was just read comes again: counts of the text so far, of which older ones fade.

    p_1(w) = (c(w) + 1 / V') / (C + 1)         p_n(w | h) = (c(hw) + p_{n-1}(w | h')) / (c(h) + 1)         n = 2, 3

c are occurrences in this very text, each worth 2^(-d / H) after d further tokens, for 14 H tokens; C is the sum of c(w), h' is h without
its oldest token.   Kuhn & De Mori 1990, https://doi.org/10.1109/34.56193; over a neural model Grave, Joulin & Usunier 2016,
https://arxiv.org/abs/1612.04426

T tokens of a text · V vocabulary
"""

from __future__ import annotations

import numpy as np

from .kernels.exact import helper

GRADES = np.array([0.01, 0.1, 0.5, 1, 2, 4, 8, 16])
"""How much of the last token's earlier occurrences is left, c(h) of one token: the bounds between grades."""
PIECE = 1 << 16  # tokens of a long text that are counted at once
REACH = 14  # half-lives: what is left of a count then is 0.00006


class Recent:
    """`half_life` H in tokens · `floor` (V,): 1 / V', or 0 for what is never predicted, which is never counted either."""

    def __init__(self, half_life: int, floor: np.ndarray):
        self.decay, self.reach, self.floor = 0.5 ** (1 / half_life), REACH * half_life, floor

    def score(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ids (T,) of a whole text -> (T,) float64 probability of each token given those before it, and (T,) int64 the grade of its
        history. Memory for a piece at a time."""
        known, masses = np.ones(len(ids)), np.zeros(len(ids))
        for begin in range(0, len(ids), PIECE):
            first = max(0, begin - self.reach - 2)
            part = ids[first : begin + PIECE].astype(np.int64)
            into = slice(begin, first + len(part))
            _score(part, begin - first, self.decay, self.reach, self.floor, known[into], masses[into])
        return known, np.digitize(masses, GRADES)

    def spread(self, ids: np.ndarray, new: int) -> tuple[np.ndarray, np.ndarray]:
        """ids (T,) of a text so far -> (new, V) probabilities of what follows each of its last `new` tokens, and (new,) their grades."""
        out, masses = np.empty((new, len(self.floor))), np.zeros(new)
        _spread(ids.astype(np.int64), self.decay, self.reach, self.floor, out, masses)
        return out, np.digitize(masses, GRADES)


@helper
def _worth(decay, reach):
    """(reach,) of an occurrence, by its age."""
    out = np.ones(reach)
    for age in range(1, reach):
        out[age] = out[age - 1] * decay
    return out


@helper
def _score(ids, begin, decay, reach, floor, known, masses):
    """Fill what is known of ids[begin:], but of the text's first token."""
    worth = _worth(decay, reach)
    last, before = np.full(len(floor), -1, np.int64), np.full(len(ids), -1, np.int64)  # places of the same token
    whole = 0.0
    for t in range(len(ids)):
        token = ids[t]
        if t >= max(1, begin):
            count, u = 0.0, last[token]
            while u >= 0 and t - 1 - u < reach:
                count += worth[t - 1 - u]
                u = before[u]
            p = (count * (floor[token] > 0) + floor[token]) / (whole + 1)
            one, found_one, two, found_two, u = 0.0, 0.0, 0.0, 0.0, before[t - 1]
            while u >= 0 and t - 2 - u < reach:
                w = worth[t - 2 - u] * (floor[ids[u + 1]] > 0)
                one += w
                found_one += w * (ids[u + 1] == token)
                if u > 0 and ids[u - 1] == ids[t - 2]:
                    two += w
                    found_two += w * (ids[u + 1] == token)
                u = before[u]
            known[t - begin] = (found_two + (found_one + p) / (one + 1)) / (two + 1) if floor[token] > 0 else 0.0
            masses[t - begin] = one
        before[t], last[token] = last[token], t
        gone = t + 1 - reach  # what was worth something until now
        whole = (whole - (worth[reach - 1] if gone > 0 and floor[ids[gone - 1]] > 0 else 0.0)) * decay + (floor[token] > 0)


@helper
def _spread(ids, decay, reach, floor, out, masses):
    """Fill what follows each of the last len(out) tokens."""
    worth = _worth(decay, reach)
    for n in range(len(out)):
        t = len(ids) - len(out) + n + 1
        one, whole = 0.0, 0.0
        row = out[n]
        row[:] = floor
        for u in range(max(0, t - reach), t):
            if floor[ids[u]] > 0:
                row[ids[u]] += worth[t - 1 - u]
                whole += worth[t - 1 - u]
        row /= whole + 1
        for order in (2, 3):
            mass = 0.0
            for u in range(max(order - 2, t - 1 - reach), t - 1):
                same = ids[u] == ids[t - 1] and (order == 2 or ids[u - 1] == ids[t - 2])
                mass += worth[t - 2 - u] if same and floor[ids[u + 1]] > 0 else 0.0
            for u in range(max(order - 2, t - 1 - reach), t - 1):
                if ids[u] == ids[t - 1] and (order == 2 or ids[u - 1] == ids[t - 2]) and floor[ids[u + 1]] > 0:
                    row[ids[u + 1]] += worth[t - 2 - u]
            row /= mass + 1
            one = mass if order == 2 else one
        masses[n] = one

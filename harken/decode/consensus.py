"""Of several texts the one that the others share most with: minimum Bayes risk, with the tokens they share as its gain.

    gain(x, y) = mean over n of F1 of the n-grams of x and y        argmax_x Σ_y gain(x, y), over texts that the model drew

The likeliest text of all is often short or beside the point; what most of a model's texts say seldom is.
Kumar and Byrne 2004, https://aclanthology.org/N04-1022 · Eikema and Aziz 2020, https://arxiv.org/abs/2005.10283
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

LONGEST = 4
"""Tokens of an n-gram at most, as in BLEU."""


def agreed(texts: Sequence[Sequence[int]]) -> int:
    """Which of the texts, as token ids; of equals the first. What was drawn twice has two voices."""
    return int(gains(texts).sum(1).argmax())


def gains(texts: Sequence[Sequence[int]]) -> np.ndarray:
    """(N, N): what the texts share in pairs, in 0–1. Where both are shorter than n, n does not count; two empty texts are the same."""
    total, known = np.zeros((len(texts), len(texts))), np.zeros((len(texts), len(texts)))
    for n in range(1, LONGEST + 1):
        counts = counted(texts, n)
        shared = np.stack([np.minimum(counts, row).sum(1) for row in counts])
        sizes = counts.sum(1)
        both = sizes[:, None] + sizes
        total += 2 * shared / np.maximum(both, 1)
        known += both > 0
    return np.where(known > 0, total / np.maximum(known, 1), 1.0)


def counted(texts: Sequence[Sequence[int]], n: int) -> np.ndarray:
    """(N, different n-grams): how often each stands in each text."""
    each = [Counter(zip(*(text[k:] for k in range(n)), strict=False)) for text in texts]
    columns = {gram: i for i, gram in enumerate(dict.fromkeys(gram for one in each for gram in one))}
    counts = np.zeros((len(texts), len(columns)), np.int32)
    for row, one in zip(counts, each, strict=True):
        row[[columns[gram] for gram in one]] = list(one.values())
    return counts

"""Spans by how likely they begin at one token and end at another.   T tokens · A tokens of an answer at most"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .scores import softmax


def chances(logits: np.ndarray) -> np.ndarray:
    """(T,) logits of a span's beginning, or end, as probabilities."""
    return softmax(logits.astype(np.float64))


def best_spans(start: np.ndarray, end: np.ndarray, longest: int) -> Iterator[tuple[float, int, int]]:
    """(probability, first token, last token) of spans of at most `longest` tokens, the likeliest first; start and end are (T,)."""
    size = len(start)
    reach = min(longest, size)
    ends = np.arange(size)[:, None] + np.arange(reach)  # (T, A)
    scores = np.where(ends < size, start[:, None] * end[np.minimum(ends, size - 1)], -1.0)
    for place in np.argsort(-scores, axis=None, kind="stable"):
        first, more = divmod(int(place), reach)
        if scores[first, more] < 0:
            return
        yield float(scores[first, more]), first, first + more

"""Logits as scores: softmax, sigmoid, or as they are; and the best of them."""

from __future__ import annotations

import numpy as np


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), which overflows nowhere."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def best(scores: np.ndarray, k: int | None = None) -> list[int]:
    """Places by falling score, the `k` best; of equals the one that comes first."""
    return [int(i) for i in np.argsort(-scores, kind="stable")[:k]]

"""How alike are a query and a key? The answers of the years before and after "Attention Is All You Need".

    cosine(q, k) = q · k / (|q| |k|)      Graves et al. 2014, https://arxiv.org/abs/1410.5401 section 3.3.1
    additive     = v · tanh(W q + U k)    Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473 section A.1.2
    dot          = q · k                  Luong et al. 2015, https://arxiv.org/abs/1508.04025 section 3.1
    general      = q · W k
    concat       = v · tanh(W [q; k])     which is additive, W and U side by side in one matrix
    scaled dot   = q · k / √K             Vaswani et al. 2017, https://arxiv.org/abs/1706.03762: nn/attend.py

A score has two halves: what is worked out of the keys once, however many queries come, and the rest.
B batch · L queries · M keys · K width
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .linear import Linear, activate


def unit(x: Tensor, eps: float = 1e-12) -> Tensor:
    """x (..., K) -> x / |x|, by the mean of the squares: one kernel, whose sums run the same way in every batch."""
    width = x.shape[-1]
    return F.rms_norm(x, (width,), eps=eps) * width**-0.5


def cosine(q: Tensor, k: Tensor) -> Tensor:
    """q (..., L, K), k (..., M, K) -> (..., L, M), from -1 to 1: the angle between two vectors, however long they are."""
    return unit(q) @ unit(k).mT


class Dot(nn.Module):
    """q · k, of vectors of one width."""

    multiplies = True  # scores are products of queries and keys, which attention's kernels do themselves

    def keys(self, memory: Tensor) -> Tensor:
        """memory (B, M, K) -> keys, as they are."""
        return memory

    def forward(self, q: Tensor, keys: Tensor) -> Tensor:
        """q (B, L, K) -> (B, L, M)"""
        return q @ keys.mT


class General(nn.Module):
    """q · W k, of vectors of any two widths: what to look for is learned."""

    multiplies = True

    def __init__(self, query: int, key: int):
        super().__init__()
        self.form = Linear(key, query, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """memory (B, M, key) -> W k (B, M, query)"""
        return self.form(memory)

    def forward(self, q: Tensor, keys: Tensor) -> Tensor:
        """q (B, L, query) -> (B, L, M)"""
        return q @ keys.mT


class Additive(nn.Module):
    """v · tanh(W q + U k), a network with one layer, `hidden` wide; also Luong's concat."""

    multiplies = False

    def __init__(self, query: int, key: int, hidden: int):
        super().__init__()
        self.query, self.key = Linear(query, hidden, bias=False), Linear(key, hidden, bias=False)
        self.out = Linear(hidden, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """memory (B, M, key) -> U k (B, M, hidden)"""
        return self.key(memory)

    def forward(self, q: Tensor, keys: Tensor) -> Tensor:
        """q (B, L, query) -> (B, L, M)"""
        both = self.query(q)[:, :, None] + keys[:, None]  # (B, L, M, hidden)
        return self.out(activate(both, "tanh", self.out.packed is not None))[..., 0]


def score_of(name: str, query: int, key: int) -> Dot | General | Additive:
    """A score by its name: dot, general, concat or additive."""
    if name == "dot":
        return Dot()
    return General(query, key) if name == "general" else Additive(query, key, query)

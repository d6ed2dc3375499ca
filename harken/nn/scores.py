"""How alike are a query and a key? The answers of the years before and after "Attention Is All You Need", as functions.

    cosine(q, k) = q · k / (|q| |k|)      Graves et al. 2014, https://arxiv.org/abs/1410.5401 section 3.3.1

L queries · M keys · K width
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def unit(x: Tensor, eps: float = 1e-12) -> Tensor:
    """x (..., K) -> x / |x|, by the mean of the squares: one kernel, whose sums run the same way in every batch."""
    width = x.shape[-1]
    return F.rms_norm(x, (width,), eps=eps) * width**-0.5


def cosine(q: Tensor, k: Tensor) -> Tensor:
    """q (..., L, K), k (..., M, K) -> (..., L, M), from -1 to 1: the angle between two vectors, however long they are."""
    return unit(q) @ unit(k).mT

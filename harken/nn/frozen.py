"""Products with weights that do not learn, held in few bits while an adapter beside them learns: QLoRA, https://arxiv.org/abs/2305.14314.

    y = x Wᵀ        dx = dy W        W as `quant.values` gives it back, some of its rows at a time, for as long as they are multiplied with

Nothing of W is kept for the way back: it is decoded once more.   N outputs · K inputs · B blocks of 64 outputs
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .kernels.narrow import GROUP, LANES
from .quant import Bytes, Half, Held, Nibbles, values

AT_ONCE = 1 << 21
"""Weights that are decoded at once: 8 MB in float32."""


def pieces(held: Held, n: int, k: int, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """Rows of W and which they are, (rows, K) each, in order."""
    if not isinstance(held, (Bytes, Nibbles, Half)):
        yield slice(0, n), values(held, n, k).to(dtype)
        return
    step = max(1, AT_ONCE // (k * LANES))
    for first in range(0, len(held.w), step):
        found = _decoded(held, slice(first, first + step))  # (B, K', 64)
        rows = slice(first * LANES, min((first + step) * LANES, n))
        yield rows, found.to(dtype).mT.reshape(-1, found.shape[1])[: rows.stop - rows.start, :k]


def _decoded(held: Bytes | Nibbles | Half, blocks: slice) -> Tensor:
    """(B, K', 64) float32, a multiple of what `quant.decode` does, in the kernels' own layout."""
    words = held.w[blocks]
    if isinstance(held, Half):
        return _inputs(words, np.uint16).view(torch.bfloat16).float()
    codes = _inputs(words, np.uint8)
    if isinstance(held, Nibbles):  # of eight inputs the first four lie in the lower halves
        fours = codes.unflatten(1, (-1, 4))
        codes = torch.cat([fours & 15, fours >> 4], 2).flatten(1, 2)
    found = codes.float() if isinstance(held, Nibbles) else codes.float().sub_(128)
    found = found.unflatten(1, (-1, GROUP)).mul_(_wide(held.scales[blocks]))
    return (found.add_(_wide(held.lows[blocks])) if isinstance(held, Nibbles) else found).flatten(1, 2)


def _inputs(words: np.ndarray, kind: type) -> Tensor:
    """(B, columns, 64) of several inputs each -> (B, inputs, 64) of one."""
    parts = torch.from_numpy(words[..., None].view(kind))  # (B, columns, 64, parts)
    return parts.transpose(2, 3).flatten(1, 2)


def _wide(bits: np.ndarray) -> Tensor:
    """Bits of bfloat16 (B, groups, 64) -> (B, groups, 1, 64) float32."""
    return torch.from_numpy(bits).view(torch.bfloat16).float()[:, :, None]


def whole(held: Held, n: int, k: int, dtype: torch.dtype) -> Tensor:
    """W (N, K)."""
    out = torch.empty(n, k, dtype=dtype)
    for rows, some in pieces(held, n, k, dtype):
        out[rows] = some
    return out


def product(x: Tensor, held: Held, bias: Tensor | None, n: int) -> Tensor:
    """x (..., K) -> x Wᵀ + b (..., N), differentiable in x alone; under autocast in its type, as torch's own would be."""
    kind = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
    return _Product.apply(x.to(kind), held, bias, n)  # pyright: ignore[reportReturnType]


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        x, held, bias, n = given
        ctx.held, ctx.size = held, (n, x.shape[-1])
        y = x.new_empty(*x.shape[:-1], n)
        with torch.autocast(x.device.type, enabled=False):
            for rows, weight in pieces(held, n, x.shape[-1], x.dtype):
                y[..., rows] = x @ weight.T
        return y if bias is None else y.add_(bias.detach().to(y.dtype))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor):
        dy, dx = slopes[0], None
        n, k = ctx.size
        for rows, weight in pieces(ctx.held, n, k, dy.dtype):
            part = dy[..., rows] @ weight
            dx = part if dx is None else dx + part
        return dx, None, None, None

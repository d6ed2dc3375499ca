"""Multi-head attention: to the sequence itself, padded, packed, windowed or cached, with grouped queries when kv_heads < heads; and to
a source, whose keys and values are worked out once.

https://arxiv.org/abs/1706.03762, https://arxiv.org/abs/2305.13245    B batch · L tokens · S source tokens
D width · N heads · G kv heads · K head width
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .attend import attend
from .call import Call
from .dropout import dropout as drop
from .linear import Linear
from .norm import normalise
from .position import Rotary


def calm(width: int, scale: float | None) -> float:
    """What queries are to begin as and to move by where their products are multiplied by more than 1/√K, as in T5: so they are what they
    would be with that scale, and a step does not change a score √K times as much. https://arxiv.org/abs/1910.10683"""
    return 1.0 if scale is None else min(1.0, width**-0.5 / scale)


class SelfAttention(nn.Module):
    """x -> out(softmax(q kᵀ · scale) v), with q, k, v from one fused product [Q | K | V].

    `scale`: 1/√K unless given · `norm`: makes one norm for every query head and one for every key head, https://arxiv.org/abs/2010.04245
    `window`: tokens a query sees, itself and those before it, https://arxiv.org/abs/2004.05150 · `dropout`: of the weights, or a
    pair, also of what they say
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        kv_heads: int | None = None,
        *,
        width: int | None = None,
        bias: bool = False,
        out_bias: bool | None = None,
        rotary: Rotary | None = None,
        norm: Callable[[int], nn.Module] | None = None,
        window: int | None = None,
        scale: float | None = None,
        dropout: float | tuple[float, float] = 0.0,
    ):
        super().__init__()
        self.heads, self.kv_heads, self.width = heads, kv_heads or heads, width or dim // heads
        widths = (self.heads * self.width, self.kv_heads * self.width, self.kv_heads * self.width)
        self.qkv = Linear(dim, sum(widths), bias=bias, widths=widths)
        self.qkv.first = calm(self.width, scale)
        self.out = Linear(widths[0], dim, bias=bias if out_bias is None else out_bias)
        self.q_norm, self.k_norm = (None, None) if norm is None else (norm(self.width), norm(self.width))
        self.rotary, self.window, self.scale = rotary, window, scale
        self.dropout, self.out_dropout = dropout if isinstance(dropout, tuple) else (dropout, 0.0)

    def forward(self, x: Tensor, call: Call) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (-1, self.width))  # (B, L, N + 2G, K)
        qk, v = qkv.split([self.heads + self.kv_heads, self.kv_heads], 2)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = qk.split([self.heads, self.kv_heads], 2)
            qk = torch.cat([normalise(q, self.q_norm, call.exact), normalise(k, self.k_norm, call.exact)], 2)
        if self.rotary is not None:
            qk = self.rotary(qk, call.positions)
        q, k = qk.split([self.heads, self.kv_heads], 2)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # (B, heads, L, K)
        if call.cache is not None:
            k, v = call.cache.append(call.layer, k, v)
        dropout = self.dropout if self.training else 0.0
        y = attend(q, k, v, call.looks[self.window], scale=self.scale, bias=call.bias, dropout=dropout)  # (B, N, L, K)
        return drop(self.out(y.transpose(1, 2).flatten(2)), self.out_dropout, self.training)  # (B, L, D)


class CrossAttention(nn.Module):
    """x, source -> out(softmax(q kᵀ · scale) v): queries from x, keys and values from what was read of the source."""

    def __init__(
        self, dim: int, heads: int, *, width: int | None = None, bias: bool = False, scale: float | None = None, dropout: float = 0.0
    ):
        super().__init__()
        self.heads, self.width = heads, width or dim // heads
        inner = heads * self.width
        self.q = Linear(dim, inner, bias=bias)
        self.q.first = calm(self.width, scale)
        self.kv = Linear(dim, 2 * inner, bias=bias, widths=(inner, inner))
        self.out = Linear(inner, dim, bias=bias)
        self.scale, self.dropout = scale, dropout

    def project(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """source (B, S, D) -> keys and values (B, N, S, K), which every call takes as they are."""
        k, v = self.kv(source).unflatten(-1, (2, self.heads, self.width)).permute(2, 0, 3, 4, 1)  # (B, N, K, S)
        if torch.is_grad_enabled():  # where they are read once
            return k.mT, v.mT
        return k.contiguous().mT, v.mT.contiguous()  # keys lie transposed, as the exact kernel reads them

    def forward(self, x: Tensor, call: Call) -> Tensor:
        k, v = call.memory[call.layer]
        q = self.q(x).view(len(k), -1, self.heads, self.width).transpose(1, 2)  # (B, N, L, K): rows may share what was read
        assert call.source is not None
        y = attend(q, k, v, call.source, scale=self.scale, dropout=self.dropout if self.training else 0.0)  # (B, N, L, K)
        return self.out(y.transpose(1, 2).flatten(2).view(*x.shape[:-1], -1))  # (B, L, D)

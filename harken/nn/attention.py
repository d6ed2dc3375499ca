"""Multi-head self-attention over one sequence, padded, packed, windowed or cached; grouped queries when kv_heads < heads.

https://arxiv.org/abs/1706.03762, https://arxiv.org/abs/2305.13245    B batch · L tokens · D width · N heads · G kv heads · K head width
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .attend import attend
from .call import Call
from .linear import Linear
from .position import Rotary


class SelfAttention(nn.Module):
    """x -> out(softmax(q kᵀ · scale) v), with q, k, v from one fused product [Q | K | V].

    `scale`: 1/√K unless given · `norm`: makes one norm for every query head and one for every key head, https://arxiv.org/abs/2010.04245
    `window`: tokens a query sees, itself and those before it, https://arxiv.org/abs/2004.05150
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
        dropout: float = 0.0,
    ):
        super().__init__()
        self.heads, self.kv_heads, self.width = heads, kv_heads or heads, width or dim // heads
        widths = (self.heads * self.width, self.kv_heads * self.width, self.kv_heads * self.width)
        self.qkv = Linear(dim, sum(widths), bias=bias, widths=widths)
        self.out = Linear(widths[0], dim, bias=bias if out_bias is None else out_bias)
        self.q_norm, self.k_norm = (None, None) if norm is None else (norm(self.width), norm(self.width))
        self.rotary, self.window, self.scale, self.dropout = rotary, window, scale, dropout

    def forward(self, x: Tensor, call: Call) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (-1, self.width))  # (B, L, N + 2G, K)
        qk, v = qkv.split([self.heads + self.kv_heads, self.kv_heads], 2)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = qk.split([self.heads, self.kv_heads], 2)
            qk = torch.cat([self.q_norm(q), self.k_norm(k)], 2)
        if self.rotary is not None:
            qk = self.rotary(qk, call.positions)
        q, k = qk.split([self.heads, self.kv_heads], 2)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # (B, heads, L, K)
        if call.cache is not None:
            k, v = call.cache.append(call.layer, k, v)
        y = attend(q, k, v, call.looks[self.window], scale=self.scale, dropout=self.dropout if self.training else 0.0)  # (B, N, L, K)
        return self.out(y.transpose(1, 2).flatten(2))  # (B, L, D)

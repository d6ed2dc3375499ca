"""One layer of a Transformer: attention, attention to a source where there is one, and feed-forward, each beside a residual path.

order "post"  x = norm(x + f(x))   the paper, GPT, BERT   https://arxiv.org/abs/1706.03762
order "pre"   x = x + f(norm(x))   GPT-2, LLaMA           https://arxiv.org/abs/2002.04745
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from .call import Call
from .dropout import dropout
from .mlp import MLP
from .norm import normalise


class Block(nn.Module):
    """x (B, L, D) -> (B, L, D). `cross`: what looks at the source, between attention and feed-forward."""

    def __init__(
        self,
        attn: nn.Module,
        mlp: MLP,
        norm: Callable[[], nn.Module],
        *,
        cross: nn.Module | None = None,
        order: Literal["pre", "post"] = "pre",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.attn_norm, self.attn = norm(), attn
        self.cross_norm, self.cross = (None, None) if cross is None else (norm(), cross)
        self.mlp_norm, self.mlp = norm(), mlp
        self.order, self.dropout = order, dropout

    def forward(self, x: Tensor, call: Call) -> Tensor:
        if self.order == "post":
            x = normalise(x + self._drop(self.attn(x, call)), self.attn_norm, call.exact)
            if self.cross is not None and self.cross_norm is not None:
                x = normalise(x + self._drop(self.cross(x, call)), self.cross_norm, call.exact)
            return normalise(x + self._drop(self.mlp(x)), self.mlp_norm, call.exact)
        x = x + self._drop(self.attn(normalise(x, self.attn_norm, call.exact, narrow=True), call))
        if self.cross is not None and self.cross_norm is not None:
            x = x + self._drop(self.cross(normalise(x, self.cross_norm, call.exact, narrow=True), call))
        return x + self._drop(self.mlp(normalise(x, self.mlp_norm, call.exact, narrow=True)))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)

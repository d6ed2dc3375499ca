"""Position-wise feed-forward: down(act(up x)), or gated: down(act(gate x) · up x).

https://arxiv.org/abs/1706.03762 section 3.3, https://arxiv.org/abs/2002.05202
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from . import acting
from .dropout import dropout
from .linear import Linear, activate, known


class MLP(nn.Module):
    """dim -> hidden -> dim. `gated`: by a product of its own, or by the first half of one [gate | up] ("fused")."""

    def __init__(
        self,
        dim: int,
        hidden: int,
        act: str = "gelu",
        *,
        gated: bool | Literal["fused"] = False,
        bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.fused = gated == "fused"
        widths = (hidden, hidden) if self.fused else (hidden,)
        self.gate = Linear(dim, hidden, bias=bias) if gated and not self.fused else None
        self.up = Linear(dim, sum(widths), bias=bias, widths=widths)
        self.down = Linear(hidden, dim, bias=bias)
        self.act, self.dropout = known(act), dropout

    def forward(self, x: Tensor) -> Tensor:
        if acting.learns(x, self.down):
            if self.fused:
                gate, up = (half.contiguous() for half in self.up(x).chunk(2, -1))
            else:
                gate, up = None if self.gate is None else self.gate(x), self.up(x)
            return acting.down(up, gate, self.down, self.act, self.dropout if self.training else 0.0)
        if self.fused:
            gate, up = self.up(x).chunk(2, -1)
            h = activate(gate, self.act, self.up.packed is not None) * up  # (B, L, F)
        else:
            h = self.up(x, self.act) if self.gate is None else self.gate(x, self.act) * self.up(x)
        return self.down(dropout(h, self.dropout, self.training))

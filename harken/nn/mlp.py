"""Position-wise feed-forward: down(act(up x)), or gated: down(act(gate x) · up x).

https://arxiv.org/abs/1706.03762 section 3.3, https://arxiv.org/abs/2002.05202
"""

from __future__ import annotations

from torch import Tensor, nn

from . import acting
from .dropout import dropout
from .linear import Linear, known


class MLP(nn.Module):
    """dim -> hidden -> dim."""

    def __init__(self, dim: int, hidden: int, act: str = "gelu", *, gated: bool = False, bias: bool = True, dropout: float = 0.0):
        super().__init__()
        self.gate = Linear(dim, hidden, bias=bias) if gated else None
        self.up = Linear(dim, hidden, bias=bias)
        self.down = Linear(hidden, dim, bias=bias)
        self.act, self.dropout = known(act), dropout

    def forward(self, x: Tensor) -> Tensor:
        if acting.learns(x, self.down):
            gate = None if self.gate is None else self.gate(x)
            return acting.down(self.up(x), gate, self.down, self.act, self.dropout if self.training else 0.0)
        h = self.up(x, self.act) if self.gate is None else self.gate(x, self.act) * self.up(x)  # (B, L, F)
        return self.down(dropout(h, self.dropout, self.training))

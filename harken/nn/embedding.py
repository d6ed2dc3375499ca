"""ids -> vectors: the token's, plus the position's where positions are learned.   B batch · L tokens · D width · V vocabulary"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .linear import Linear
from .position import Learned


class Embedding(nn.Module):
    """`tokens` is a (V, D) matrix whose rows are looked up here, and which a tied head multiplies with."""

    def __init__(self, vocab: int, dim: int, *, positions: Learned | None = None, dropout: float = 0.0):
        super().__init__()
        self.tokens = Linear(dim, vocab, bias=False)
        self.positions = positions
        self.dropout = dropout

    def forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        x = self.tokens.rows(ids)  # (B, L, D)
        if self.positions is not None:
            x = x + self.positions(positions)
        return F.dropout(x, self.dropout, self.training)

"""One layer of a Transformer: attention and feed-forward, each beside a residual path.

order "pre"  x = x + f(norm(x))   GPT-2, LLaMA   https://arxiv.org/abs/2002.04745
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from .call import Call
from .mlp import MLP


class Block(nn.Module):
    """x (B, L, D) -> (B, L, D)."""

    def __init__(self, attn: nn.Module, mlp: MLP, norm: Callable[[], nn.Module], *, dropout: float = 0.0):
        super().__init__()
        self.attn_norm, self.attn = norm(), attn
        self.mlp_norm, self.mlp = norm(), mlp
        self.dropout = dropout

    def forward(self, x: Tensor, call: Call) -> Tensor:
        x = x + F.dropout(self.attn(self.attn_norm(x), call), self.dropout, self.training)
        return x + F.dropout(self.mlp(self.mlp_norm(x)), self.dropout, self.training)

"""Embed, run every block, normalise.   B batch · L tokens · D width"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from .block import Block
from .call import Call
from .embedding import Embedding


class Stack(nn.Module):
    """ids (B, L) -> hidden states (B, L, D)."""

    def __init__(self, embed: Embedding, blocks: Iterable[Block], *, norm: nn.Module):
        super().__init__()
        self.embed, self.blocks, self.norm = embed, nn.ModuleList(blocks), norm

    def forward(self, ids: Tensor, call: Call) -> Tensor:
        x = self.embed(ids, call.positions)
        for call.layer, block in enumerate(self.blocks):
            x = block(x, call)
        return self.norm(x)

"""Embed, run every layer, normalise.   B batch · L tokens · D width"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .block import Block
from .call import Call
from .embedding import Embedding
from .norm import normalise
from .relative import RelativeBias
from .rounded import learns_narrow, rounded


def run_block(block: nn.Module, x: Tensor, call: Call) -> Tensor:
    """A block as it is; what may be compiled, once for all blocks."""
    return block(x, call)


class Stack(nn.Module):
    """ids (B, L) -> hidden states (B, L, D).

    `layers`: the block that each layer runs, when layers share blocks, https://arxiv.org/abs/1909.11942; else one after the other.
    `bias`: what every layer adds to its scores, by the distance of query and key.
    """

    def __init__(
        self,
        embed: Embedding,
        blocks: Iterable[Block],
        *,
        norm: nn.Module | None = None,
        layers: Iterable[int] | None = None,
        bias: RelativeBias | None = None,
    ):
        super().__init__()
        self.embed, self.blocks, self.norm, self.bias = embed, nn.ModuleList(blocks), norm, bias
        self.layers = list(range(len(self.blocks)) if layers is None else layers)
        self.learn: Callable[[nn.Module, Tensor, Call], Tensor] = run_block  # how a block runs where something learns
        self.checkpoints = False  # whether blocks keep only what they read, and work anew on the way back, https://arxiv.org/abs/1604.06174

    def forward(self, ids: Tensor, call: Call) -> Tensor:
        x = self.embed(ids, call.positions, call.types)
        if self.bias is not None:
            look, learns = call.looks[None], torch.is_grad_enabled() and call.cache is None and not call.exact
            call.bias = self.bias.line(look.longest) if learns else self.bias(call.positions, look.keys)
        tokens = x.shape[1]
        if call.mask.starts is not None and not call.exact and learns_narrow(x.device):
            x = rounded(x)
            call.positions = F.pad(call.positions, (0, x.shape[1] - tokens))
        for call.layer, place in enumerate(self.layers):
            block = self.blocks[place]
            if not torch.is_grad_enabled():
                x = block(x, call)
            elif self.checkpoints:
                x = checkpoint(self.learn, block, x, dataclasses.replace(call), use_reentrant=False)
            else:
                x = self.learn(block, x, call)
        return self.finish(x[:, :tokens], exact=call.exact)

    def finish(self, x: Tensor, *, exact: bool) -> Tensor:
        """What comes after the last layer."""
        return x if self.norm is None else normalise(x, self.norm, exact)

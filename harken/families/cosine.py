"""Attention before queries, keys and values: every token mixes in the tokens before it, the more the more they are alike.

    x_t + Σ_{s <= t} softmax_s(β cos(x_t, x_s)) x_s      β > 0 learned

Content-based addressing of Neural Turing Machines, Graves et al. 2014, https://arxiv.org/abs/1410.5401 section 3.3.1
B batch · L tokens · D width
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from ..nn.attend import attend
from ..nn.block import Block
from ..nn.call import Call
from ..nn.decoder import Decoder
from ..nn.embedding import Embedding
from ..nn.mlp import MLP
from ..nn.position import Learned
from ..nn.scores import unit
from ..nn.stack import Stack
from .config import Config
from .heads import HEADS, decoder_head, decoder_names
from .names import Rule


@dataclass(kw_only=True)
class CosineConfig(Config):
    model_type: ClassVar[str] = "cosine"
    rate: ClassVar[float] = 2.5

    hidden_size: int = 64
    intermediate_size: int = 256
    num_hidden_layers: int = 2
    max_position_embeddings: int = 1024
    dropout: float = 0.0
    layer_norm_eps: float = 1e-5
    tie_word_embeddings: bool = True

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size; there are no heads."""
        return cls(
            vocab_size=vocab,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            max_position_embeddings=context,
            dropout=dropout,
        )


class Similar(nn.Module):
    """x (B, L, D) -> the mix of what stands before: one head whose queries, keys and values are x itself."""

    kv_heads = 1

    def __init__(self, dim: int):
        super().__init__()
        self.width = dim
        self.beta = nn.Parameter(torch.ones(1))  # no token is more like x_t than x_t: from a sharper start none learns to look elsewhere

    def forward(self, x: Tensor, call: Call) -> Tensor:
        v = x[:, None]  # (B, 1, L, D)
        k = unit(v)
        q = k * self.beta
        if call.cache is not None:
            k, v = call.cache.append(call.layer, k, v)
        return attend(q, k, v, call.looks[None], scale=1.0)[:, 0]  # (B, L, D)


def build(c: CosineConfig) -> Decoder:
    norm = partial(nn.LayerNorm, c.hidden_size, eps=c.layer_norm_eps)

    def block() -> Block:
        return Block(Similar(c.hidden_size), MLP(c.hidden_size, c.intermediate_size), norm, dropout=c.dropout)

    positions = Learned(c.max_position_embeddings, c.hidden_size)
    embed = Embedding(c.vocab_size, c.hidden_size, positions=positions, types="tokens", dropout=c.dropout)
    stack = Stack(embed, [block() for _ in range(c.num_hidden_layers)], norm=norm())
    return Decoder(stack, decoder_head(c, c.hidden_size, tied=c.tie_word_embeddings), context=c.max_position_embeddings)


def names(c: CosineConfig) -> dict[str, Rule]:
    parts = ("attn", "attn_norm", "mlp_norm", "mlp.up", "mlp.down")
    return {
        "stack.embed.tokens": "embed.tokens",
        "stack.embed.positions": "embed.positions",
        **{f"stack.blocks.*.{part}": f"blocks.*.{part}" for part in parts},
        "stack.norm": "norm",
        **decoder_names(c, words="head"),
    }


IGNORE = (r"^head\.", *HEADS)  # heads of other tasks
LEARNS = "gradients"

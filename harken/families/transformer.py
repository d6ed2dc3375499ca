"""The Transformer of 2017: a post-norm encoder-decoder with waves for positions and one matrix for source, target and head.

"Attention Is All You Need", Vaswani et al., https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

from torch import nn

from ..nn.attention import CrossAttention, SelfAttention
from ..nn.block import Block
from ..nn.embedding import Embedding
from ..nn.encoder_decoder import EncoderDecoder
from ..nn.heads import LanguageModel
from ..nn.linear import Linear
from ..nn.mlp import MLP
from ..nn.position import Sinusoidal
from ..nn.stack import Stack
from .config import SourceConfig, must_divide
from .names import Rule


@dataclass(kw_only=True)
class TransformerConfig(SourceConfig):
    """By default the paper's base model; layers on either side."""

    model_type: ClassVar[str] = "transformer"

    vocab_size: int = 37000
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 6
    num_attention_heads: int = 8
    hidden_act: str = "relu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    max_position_embeddings: int = 1024
    layer_norm_eps: float = 1e-5
    tie_word_embeddings: bool = True

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch; dropout where the paper has it: behind sub-layers and embeddings."""
        return cls(
            vocab_size=vocab,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            dropout=dropout,
            max_position_embeddings=context,
        )


def build(c: TransformerConfig) -> EncoderDecoder:
    must_divide("hidden_size", c.hidden_size, "num_attention_heads", c.num_attention_heads)
    tokens, norm = Linear(c.hidden_size, c.vocab_size, bias=False), partial(nn.LayerNorm, c.hidden_size, eps=c.layer_norm_eps)

    def block(writes: bool) -> Block:
        attn = SelfAttention(c.hidden_size, c.num_attention_heads, bias=True, dropout=c.attention_dropout)
        cross = CrossAttention(c.hidden_size, c.num_attention_heads, bias=True, dropout=c.attention_dropout) if writes else None
        mlp = MLP(c.hidden_size, c.intermediate_size, c.hidden_act)
        return Block(attn, mlp, norm, cross=cross, order="post", dropout=c.dropout)

    def stack(*, writes: bool) -> Stack:
        waves = Sinusoidal(c.max_position_embeddings, c.hidden_size)
        embed = Embedding(c.vocab_size, c.hidden_size, tokens=tokens, scale=c.hidden_size**0.5, positions=waves, dropout=c.dropout)
        return Stack(embed, [block(writes) for _ in range(c.num_hidden_layers)])

    head = LanguageModel(None if c.tie_word_embeddings else Linear(c.hidden_size, c.vocab_size, bias=False))
    return EncoderDecoder(stack(writes=False), stack(writes=True), head, context=c.max_position_embeddings)


def names(c: TransformerConfig) -> dict[str, Rule]:
    parts = ("attn.qkv", "attn.out", "attn_norm", "cross.q", "cross.kv", "cross.out", "cross_norm", "mlp.up", "mlp.down", "mlp_norm")
    sides = {"encoder": "encoder", "stack": "decoder"}
    return {
        **{f"{ours}.embed.tokens": "embed.tokens" for ours in sides},
        **{f"{ours}.blocks.*.{part}": f"{theirs}.blocks.*.{part}" for ours, theirs in sides.items() for part in parts},
        "head.out": "head",
    }


IGNORE = (r"^head\.",)  # a tied head once more
LEARNS = "gradients"

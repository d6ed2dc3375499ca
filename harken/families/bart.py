"""BART: a post-norm encoder-decoder with learned positions, taught to mend broken texts.   https://arxiv.org/abs/1910.13461"""

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
from ..nn.position import Learned
from ..nn.stack import Stack
from .config import SourceConfig, must_divide
from .heads import SOURCE_HEADS, source_head, source_names
from .names import Bare, Cat, Rule


@dataclass(kw_only=True)
class BartConfig(SourceConfig):
    """Also the parent of Marian."""

    model_type: ClassVar[str] = "bart"

    vocab_size: int = 50265
    d_model: int = 1024
    encoder_layers: int = 12
    decoder_layers: int = 12
    encoder_attention_heads: int = 16
    decoder_attention_heads: int = 16
    encoder_ffn_dim: int = 4096
    decoder_ffn_dim: int = 4096
    activation_function: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    max_position_embeddings: int = 1024
    scale_embedding: bool = False
    bos_token_id: int | None = 0
    pad_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    decoder_start_token_id: int | None = 2
    tie_word_embeddings: bool = True

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch: that many layers on either side."""
        return cls(
            vocab_size=vocab,
            d_model=width,
            encoder_layers=layers,
            decoder_layers=layers,
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_ffn_dim=4 * width,
            decoder_ffn_dim=4 * width,
            dropout=dropout,
            attention_dropout=dropout,
            max_position_embeddings=context,
            bos_token_id=None,
            pad_token_id=None,
            eos_token_id=None,
            decoder_start_token_id=None,
        )

    @property
    def shared(self) -> bool:
        """Where the head has a matrix of its own, so has either side."""
        return self.tie_word_embeddings

    @property
    def scale(self) -> float:
        """What token vectors are multiplied by."""
        return self.d_model**0.5 if self.scale_embedding else 1.0


def blocks(c: BartConfig, count: int, heads: int, hidden: int, *, cross: bool) -> list[Block]:
    """The layers of one side, which Marian has too."""
    must_divide("d_model", c.d_model, "attention_heads", heads)

    def block() -> Block:
        attn = SelfAttention(c.d_model, heads, bias=True, dropout=c.attention_dropout)
        look = CrossAttention(c.d_model, heads, bias=True, dropout=c.attention_dropout) if cross else None
        mlp = MLP(c.d_model, hidden, c.activation_function, dropout=c.activation_dropout)
        return Block(attn, mlp, partial(nn.LayerNorm, c.d_model), cross=look, order="post", dropout=c.dropout)

    return [block() for _ in range(count)]


def both(c: BartConfig, encoder: Embedding, decoder: Embedding, vocab: int) -> EncoderDecoder:
    """The model on its embeddings; it writes tokens of `vocab`."""
    reads = Stack(encoder, blocks(c, c.encoder_layers, c.encoder_attention_heads, c.encoder_ffn_dim, cross=False))
    writes = Stack(decoder, blocks(c, c.decoder_layers, c.decoder_attention_heads, c.decoder_ffn_dim, cross=True))
    words = LanguageModel(None if c.tie_word_embeddings else Linear(c.d_model, vocab, bias=False), shift=vocab)
    return EncoderDecoder(reads, writes, source_head(c, c.d_model, words), context=c.max_position_embeddings)


def build(c: BartConfig) -> EncoderDecoder:
    tokens = Linear(c.d_model, c.vocab_size, bias=False)

    def embed(tokens: Linear) -> Embedding:
        places, norm = Learned(c.max_position_embeddings, c.d_model, offset=2), nn.LayerNorm(c.d_model)
        return Embedding(c.vocab_size, c.d_model, tokens=tokens, scale=c.scale, positions=places, norm=norm, dropout=c.dropout)

    return both(c, embed(tokens), embed(tokens if c.shared else Linear(c.d_model, c.vocab_size, bias=False)), c.vocab_size)


def side(c: BartConfig, ours: str, theirs: str) -> dict[str, Rule]:
    """Names of the token vectors and layers of one side, which Marian has too."""
    at, there = f"{ours}.blocks.*", f"model.{theirs}.layers.*"
    return {
        f"{ours}.embed.tokens": "model.shared" if c.shared else f"model.{theirs}.embed_tokens",
        f"{at}.attn.qkv": Cat(*(f"{there}.self_attn.{x}_proj" for x in "qkv")),
        f"{at}.attn.out": f"{there}.self_attn.out_proj",
        f"{at}.attn_norm": f"{there}.self_attn_layer_norm",
        f"{at}.cross.q": f"{there}.encoder_attn.q_proj",
        f"{at}.cross.kv": Cat(*(f"{there}.encoder_attn.{x}_proj" for x in "kv")),
        f"{at}.cross.out": f"{there}.encoder_attn.out_proj",
        f"{at}.cross_norm": f"{there}.encoder_attn_layer_norm",
        f"{at}.mlp.up": f"{there}.fc1",
        f"{at}.mlp.down": f"{there}.fc2",
        f"{at}.mlp_norm": f"{there}.final_layer_norm",
    }


def names(c: BartConfig) -> dict[str, Rule]:
    sides = {"encoder": "encoder", "stack": "decoder"}
    return {
        **{f"{ours}.embed.positions": f"model.{theirs}.embed_positions" for ours, theirs in sides.items()},
        **{f"{ours}.embed.norm": f"model.{theirs}.layernorm_embedding" for ours, theirs in sides.items()},
        **side(c, "encoder", "encoder"),
        **side(c, "stack", "decoder"),
        "head": Bare("final_logits_bias"),
        **source_names(c),
    }


IGNORE = (r"(encoder|decoder)\.version$", *SOURCE_HEADS)  # the first is what old versions saved
LEARNS = "gradients"

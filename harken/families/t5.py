"""T5: a pre-norm encoder-decoder that turns every task into text, with RMSNorm, relative positions and attention without a scale.

Version 1.0 has a ReLU between two matrices and its head tied, https://arxiv.org/abs/1910.10683; 1.1 and FLAN-T5 a gated feed-forward,
https://arxiv.org/abs/2002.05202, and a head of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

from torch import nn

from ..base.errors import InputError
from ..nn.attention import CrossAttention, SelfAttention
from ..nn.block import Block
from ..nn.embedding import Embedding
from ..nn.encoder import Encoder
from ..nn.encoder_decoder import EncoderDecoder
from ..nn.heads import LanguageModel
from ..nn.linear import Linear
from ..nn.mlp import MLP
from ..nn.relative import RelativeBias
from ..nn.stack import Stack
from .config import SourceConfig
from .heads import SOURCE_HEADS, source_head, source_names
from .names import Cat, Rule

ANY = 100_000  # tokens it can read: distances have no end, memory has


@dataclass(kw_only=True)
class T5Config(SourceConfig):
    """`n_positions`: length of the rows it learned from · `scale_decoder_outputs`: whether the hidden states are divided by √d_model before
    the head, as they are in 1.0 (None: where the head is tied)."""

    model_type: ClassVar[str] = "t5"
    row: ClassVar[str] = "n_positions"

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int | None = None
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "relu"
    n_positions: int = 512
    pad_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 1
    decoder_start_token_id: int | None = 0
    tie_word_embeddings: bool = True
    scale_decoder_outputs: bool | None = None
    share_encoder_decoder_embeddings: bool | None = None

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch: version 1.1, that many layers on either side."""
        return cls(
            vocab_size=vocab,
            d_model=width,
            d_kv=width // heads,
            d_ff=-(-width * 8 // 3 // 32) * 32,
            num_layers=layers,
            num_heads=heads,
            dropout_rate=dropout,
            feed_forward_proj="gated-gelu",
            n_positions=context,
            pad_token_id=None,
            eos_token_id=None,
            decoder_start_token_id=None,
            tie_word_embeddings=False,
            scale_decoder_outputs=False,
        )

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """What the scale depends on is read before anything unties the head."""
        return super().read({"scale_decoder_outputs": values.get("tie_word_embeddings") is not False, **values})

    def check(self) -> None:
        """Refuse what cannot be built."""
        super().check()
        near, far = self.relative_attention_num_buckets, self.relative_attention_max_distance
        if near < 4 or far <= near // 2:
            wanted = "relative_attention_num_buckets must be at least 4, relative_attention_max_distance more than half of it"
            raise InputError(f"config.json: {wanted}, not {near} and {far}")


def build(c: T5Config) -> EncoderDecoder | Encoder:
    tokens, norm = Linear(c.d_model, c.vocab_size, bias=False), partial(nn.RMSNorm, c.d_model, eps=c.layer_norm_epsilon)
    gated, act = c.feed_forward_proj.startswith("gated-"), c.feed_forward_proj.removeprefix("gated-")
    act = "gelu_new" if gated and act == "gelu" else act  # the approximation by tanh

    def block(writes: bool) -> Block:
        attn = SelfAttention(c.d_model, c.num_heads, width=c.d_kv, scale=1.0, dropout=c.dropout_rate)
        cross = CrossAttention(c.d_model, c.num_heads, width=c.d_kv, scale=1.0, dropout=c.dropout_rate) if writes else None
        mlp = MLP(c.d_model, c.d_ff, act, gated=gated, bias=False, dropout=c.dropout_rate)
        return Block(attn, mlp, norm, cross=cross, dropout=c.dropout_rate)

    def stack(layers: int, *, writes: bool) -> Stack:
        bias = RelativeBias(c.relative_attention_num_buckets, c.num_heads, reach=c.relative_attention_max_distance, causal=writes)
        embed = Embedding(c.vocab_size, c.d_model, tokens=tokens if c.shared else None, dropout=c.dropout_rate)
        return Stack(embed, [block(writes) for _ in range(layers)], norm=norm(), bias=bias)

    scaled = c.tie_word_embeddings if c.scale_decoder_outputs is None else c.scale_decoder_outputs
    own = None if c.tie_word_embeddings else Linear(c.d_model, c.vocab_size, bias=False)
    head = source_head(c, c.d_model, LanguageModel(own, scale=c.d_model**-0.5 if scaled else 1.0))
    reads = stack(c.num_layers, writes=False)
    if c.task == "token-classification":
        return Encoder(reads, head, context=ANY)
    return EncoderDecoder(reads, stack(c.num_decoder_layers or c.num_layers, writes=True), head, context=ANY)


def names(c: T5Config) -> dict[str, Rule]:
    alone, table = c.task == "token-classification", source_names(c)
    body = "transformer." if c.task in ("classification", "token-classification") else ""
    for side, last in (("encoder", 1),) if alone else (("encoder", 1), ("decoder", 2)):
        ours, theirs = "encoder" if side == "encoder" and not alone else "stack", body + side
        at, there = f"{ours}.blocks.*", f"{theirs}.block.*.layer"
        table |= {
            f"{ours}.embed.tokens": f"{body}shared" if c.shared else f"{theirs}.embed_tokens",
            f"{ours}.bias": f"{theirs}.block.0.layer.0.SelfAttention.relative_attention_bias",
            f"{at}.attn_norm": f"{there}.0.layer_norm",
            f"{at}.attn.qkv": Cat(*(f"{there}.0.SelfAttention.{x}" for x in "qkv")),
            f"{at}.attn.out": f"{there}.0.SelfAttention.o",
            f"{at}.cross_norm": f"{there}.1.layer_norm",
            f"{at}.cross.q": f"{there}.1.EncDecAttention.q",
            f"{at}.cross.kv": Cat(*(f"{there}.1.EncDecAttention.{x}" for x in "kv")),
            f"{at}.cross.out": f"{there}.1.EncDecAttention.o",
            f"{at}.mlp_norm": f"{there}.{last}.layer_norm",
            f"{at}.mlp.gate": f"{there}.{last}.DenseReluDense.wi_0",
            f"{at}.mlp.up": f"{there}.{last}.DenseReluDense.{'wi_1' if c.feed_forward_proj.startswith('gated-') else 'wi'}",
            f"{at}.mlp.down": f"{there}.{last}.DenseReluDense.wo",
            f"{ours}.norm": f"{theirs}.final_layer_norm",
        }
    return table


IGNORE = (r"EncDecAttention\.relative_attention_bias\.weight$", *SOURCE_HEADS)  # the first is what old versions saved
LEARNS = "gradients"

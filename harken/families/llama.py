"""LLaMA: pre-norm decoder with RMSNorm, rotary positions, SwiGLU and grouped-query attention.   https://arxiv.org/abs/2302.13971"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

from torch import nn

from ..base.errors import InputError
from ..nn.attention import SelfAttention
from ..nn.block import Block
from ..nn.embedding import Embedding
from ..nn.linear import Linear
from ..nn.mlp import MLP
from ..nn.models import Decoder
from ..nn.position import Rotary
from ..nn.stack import Stack
from .config import Config, must_divide
from .names import Cat, Rule


@dataclass(kw_only=True)
class LlamaConfig(Config):
    model_type: ClassVar[str] = "llama"
    architecture: ClassVar[str] = "LlamaForCausalLM"

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    max_position_embeddings: int = 2048
    hidden_act: str = "silu"
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    attention_bias: bool = False
    mlp_bias: bool = False
    attention_dropout: float = 0.0
    tie_word_embeddings: bool = False

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch: grouped queries, tied head, a feed-forward of 8/3 the width."""
        return cls(
            vocab_size=vocab,
            hidden_size=width,
            intermediate_size=-(-width * 8 // 3 // 32) * 32,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2 if heads % 2 == 0 and heads > 2 else heads,
            max_position_embeddings=context,
            attention_dropout=dropout,
            tie_word_embeddings=True,
        )

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Also reads `rope_parameters`, the newer spelling of `rope_theta`; scaled rotary positions are refused, not guessed."""
        values = dict(values)
        for key in ("rope_parameters", "rope_scaling"):
            rope = values.get(key) or {}
            kind = rope.get("rope_type", rope.get("type", "default")) if isinstance(rope, dict) else rope
            if kind != "default" or not isinstance(rope, dict):
                raise InputError(f"config.json asks for rotary positions of type {kind!r}; this version reads only the default ones")
            values["rope_theta"] = rope.get("rope_theta", values.get("rope_theta"))
        return super().read(values)


def build(c: LlamaConfig) -> Decoder:
    width = c.head_dim or c.hidden_size // c.num_attention_heads
    kv_heads = c.num_key_value_heads or c.num_attention_heads
    must_divide("num_attention_heads", c.num_attention_heads, "num_key_value_heads", kv_heads)
    if c.head_dim is None:
        must_divide("hidden_size", c.hidden_size, "num_attention_heads", c.num_attention_heads)
    if width % 2:
        raise InputError(f"config.json: a head is {width} wide, but rotary positions turn pairs and need an even head_dim")
    norm = partial(nn.RMSNorm, c.hidden_size, eps=c.rms_norm_eps)
    rotary = Rotary(width, c.rope_theta)

    def block() -> Block:
        attn = SelfAttention(
            c.hidden_size, c.num_attention_heads, kv_heads, width=width, bias=c.attention_bias, rotary=rotary, dropout=c.attention_dropout
        )
        return Block(attn, MLP(c.hidden_size, c.intermediate_size, c.hidden_act, gated=True, bias=c.mlp_bias), norm)

    stack = Stack(Embedding(c.vocab_size, c.hidden_size), [block() for _ in range(c.num_hidden_layers)], norm=norm())
    head = None if c.tie_word_embeddings else Linear(c.hidden_size, c.vocab_size, bias=False)
    return Decoder(stack, head, context=c.max_position_embeddings)


def names(c: LlamaConfig) -> dict[str, Rule]:
    return {
        "stack.embed.tokens": "model.embed_tokens",
        "stack.blocks.*.attn_norm": "model.layers.*.input_layernorm",
        "stack.blocks.*.attn.qkv": Cat(*(f"model.layers.*.self_attn.{x}_proj" for x in "qkv")),
        "stack.blocks.*.attn.out": "model.layers.*.self_attn.o_proj",
        "stack.blocks.*.mlp_norm": "model.layers.*.post_attention_layernorm",
        "stack.blocks.*.mlp.gate": "model.layers.*.mlp.gate_proj",
        "stack.blocks.*.mlp.up": "model.layers.*.mlp.up_proj",
        "stack.blocks.*.mlp.down": "model.layers.*.mlp.down_proj",
        "stack.norm": "model.norm",
        "head": "lm_head",
    }


IGNORE = (r"rotary_emb\.inv_freq$", r"^lm_head\.weight$")  # a tied head may be on disk twice
LEARNS = "gradients"

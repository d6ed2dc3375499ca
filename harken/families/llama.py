"""LLaMA: pre-norm decoder with RMSNorm, rotary positions, SwiGLU and grouped-query attention.   https://arxiv.org/abs/2302.13971"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

from torch import nn

from ..nn.attention import SelfAttention
from ..nn.block import Block
from ..nn.decoder import Decoder
from ..nn.embedding import Embedding
from ..nn.mlp import MLP
from ..nn.position import Rotary
from ..nn.stack import Stack
from . import rope
from .config import Config, must_divide
from .heads import HEADS, decoder_head, decoder_names
from .names import Cat, Rule


@dataclass(kw_only=True)
class LlamaConfig(Config):
    """Also the parent of what grew from LLaMA; `out_bias`, `head_norm`, `window` and `body` are where they differ."""

    model_type: ClassVar[str] = "llama"
    head_norm: ClassVar[bool] = False  # a norm on every query and key

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
    rope_scaling: dict[str, Any] | None = None
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
        """Also reads `rope_parameters`, the newer spelling of `rope_theta` and `rope_scaling`."""
        return super().read(rope.read(values))

    @property
    def out_bias(self) -> bool:
        """Whether attention's last product has a bias."""
        return self.attention_bias

    def window(self, layer: int) -> int | None:
        """Tokens a query of this layer sees; None: all before it."""
        return None

    @property
    def body(self) -> str:
        """How tensors of the body begin on disk; Hugging Face kept an older name for question answering."""
        return "transformer" if self.task == "span" else "model"


def build(c: LlamaConfig) -> Decoder:
    width = c.head_dim or c.hidden_size // c.num_attention_heads
    kv_heads = c.num_key_value_heads or c.num_attention_heads
    must_divide("num_attention_heads", c.num_attention_heads, "num_key_value_heads", kv_heads)
    if c.head_dim is None:
        must_divide("hidden_size", c.hidden_size, "num_attention_heads", c.num_attention_heads)
    rope.must_turn(width)
    turn = rope.settings(c.rope_theta, c.rope_scaling, c.max_position_embeddings, c.extra)
    norm, rotary = partial(nn.RMSNorm, eps=c.rms_norm_eps), Rotary(width, turn)

    def block(layer: int) -> Block:
        attn = SelfAttention(
            c.hidden_size,
            c.num_attention_heads,
            kv_heads,
            width=width,
            bias=c.attention_bias,
            out_bias=c.out_bias,
            rotary=rotary,
            norm=norm if c.head_norm else None,
            window=c.window(layer),
            dropout=c.attention_dropout,
        )
        mlp = MLP(c.hidden_size, c.intermediate_size, c.hidden_act, gated=True, bias=c.mlp_bias)
        return Block(attn, mlp, partial(norm, c.hidden_size))

    embed, blocks = Embedding(c.vocab_size, c.hidden_size, types="tokens"), [block(layer) for layer in range(c.num_hidden_layers)]
    head = decoder_head(c, c.hidden_size, tied=c.tie_word_embeddings)
    return Decoder(Stack(embed, blocks, norm=norm(c.hidden_size)), head, context=rope.context(turn, c.max_position_embeddings))


def names(c: LlamaConfig) -> dict[str, Rule]:
    at = f"{c.body}.layers.*"
    return {
        "stack.embed.tokens": f"{c.body}.embed_tokens",
        "stack.blocks.*.attn_norm": f"{at}.input_layernorm",
        "stack.blocks.*.attn.qkv": Cat(*(f"{at}.self_attn.{x}_proj" for x in "qkv")),
        "stack.blocks.*.attn.q_norm": f"{at}.self_attn.q_norm",
        "stack.blocks.*.attn.k_norm": f"{at}.self_attn.k_norm",
        "stack.blocks.*.attn.out": f"{at}.self_attn.o_proj",
        "stack.blocks.*.mlp_norm": f"{at}.post_attention_layernorm",
        **{f"stack.blocks.*.mlp.{x}": f"{at}.mlp.{x}_proj" for x in ("gate", "up", "down")},
        "stack.norm": f"{c.body}.norm",
        **decoder_names(c),
    }


IGNORE = (r"rotary_emb\.inv_freq$", *HEADS)  # heads of other tasks, or a tied one once more
LEARNS = "gradients"

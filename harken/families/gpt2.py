"""GPT-2: pre-norm decoder, learned positions, GELU, tied head.

Radford et al., 2019, "Language Models are Unsupervised Multitask Learners"
https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

from torch import nn

from ..base.errors import InputError
from ..nn.attention import SelfAttention
from ..nn.block import Block
from ..nn.decoder import Decoder
from ..nn.embedding import Embedding
from ..nn.mlp import MLP
from ..nn.position import Learned
from ..nn.stack import Stack
from .config import Config, must_divide
from .heads import HEADS, decoder_head, decoder_names
from .names import Rule, Transposed


@dataclass(kw_only=True)
class GPT2Config(Config):
    model_type: ClassVar[str] = "gpt2"

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    tie_word_embeddings: bool = True

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch."""
        return cls(
            vocab_size=vocab,
            n_positions=context,
            n_embd=width,
            n_layer=layers,
            n_head=heads,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
        )

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Refuses what this file does not build, rather than answer wrongly."""
        if values.get("add_cross_attention"):
            raise InputError("config.json has add_cross_attention: true, but this GPT-2 reads no second text: there is no source for it")
        return super().read(values)


def build(c: GPT2Config) -> Decoder:
    must_divide("n_embd", c.n_embd, "n_head", c.n_head)
    norm = partial(nn.LayerNorm, c.n_embd, eps=c.layer_norm_epsilon)
    scale = (c.n_embd // c.n_head) ** -0.5 if c.scale_attn_weights else 1.0

    def block(layer: int) -> Block:
        calm = layer + 1 if c.scale_attn_by_inverse_layer_idx else 1  # https://crfm.stanford.edu/2021/08/26/mistral.html
        attn = SelfAttention(c.n_embd, c.n_head, bias=True, scale=scale / calm, dropout=c.attn_pdrop)
        mlp = MLP(c.n_embd, c.n_inner or 4 * c.n_embd, c.activation_function)
        return Block(attn, mlp, norm, dropout=c.resid_pdrop)

    positions = Learned(c.n_positions, c.n_embd)
    embed = Embedding(c.vocab_size, c.n_embd, positions=positions, types="tokens", dropout=c.embd_pdrop)
    stack = Stack(embed, [block(layer) for layer in range(c.n_layer)], norm=norm())
    return Decoder(stack, decoder_head(c, c.n_embd, tied=c.tie_word_embeddings), context=c.n_positions)


def names(c: GPT2Config) -> dict[str, Rule]:
    at = "transformer.h.*"
    return {
        "stack.embed.tokens": "transformer.wte",
        "stack.embed.positions": "transformer.wpe",
        "stack.blocks.*.attn_norm": f"{at}.ln_1",
        "stack.blocks.*.attn.qkv": Transposed(f"{at}.attn.c_attn"),
        "stack.blocks.*.attn.out": Transposed(f"{at}.attn.c_proj"),
        "stack.blocks.*.mlp_norm": f"{at}.ln_2",
        "stack.blocks.*.mlp.up": Transposed(f"{at}.mlp.c_fc"),
        "stack.blocks.*.mlp.down": Transposed(f"{at}.mlp.c_proj"),
        "stack.norm": "transformer.ln_f",
        **decoder_names(c, tags="classifier"),
    }


IGNORE = (r"attn\.(masked_)?bias$", *HEADS)  # a mask saved by old versions; heads of other tasks, or a tied one once more
LEARNS = "gradients"

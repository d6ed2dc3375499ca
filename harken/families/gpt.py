"""GPT: post-norm decoder, learned positions, GELU, tied head; the body of TransferTransfo, https://arxiv.org/abs/1901.08149.

Radford et al., 2018, "Improving Language Understanding by Generative Pre-Training"
https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Self

from torch import nn

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
class GPTConfig(Config):
    model_type: ClassVar[str] = "openai-gpt"

    vocab_size: int = 40478
    n_positions: int = 512
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    afn: str = "gelu"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
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


def build(c: GPTConfig) -> Decoder:
    must_divide("n_embd", c.n_embd, "n_head", c.n_head)
    norm = partial(nn.LayerNorm, c.n_embd, eps=c.layer_norm_epsilon)
    act = "gelu_new" if c.afn == "gelu" else c.afn  # what the paper's code calls gelu is the approximation by tanh

    def block() -> Block:
        attn = SelfAttention(c.n_embd, c.n_head, bias=True, dropout=c.attn_pdrop)
        return Block(attn, MLP(c.n_embd, 4 * c.n_embd, act), norm, order="post", dropout=c.resid_pdrop)

    positions = Learned(c.n_positions, c.n_embd)
    embed = Embedding(c.vocab_size, c.n_embd, positions=positions, types="tokens", dropout=c.embd_pdrop)
    stack = Stack(embed, [block() for _ in range(c.n_layer)])
    return Decoder(stack, decoder_head(c, c.n_embd, tied=c.tie_word_embeddings), context=c.n_positions)


def names(c: GPTConfig) -> dict[str, Rule]:
    at = "transformer.h.*"
    return {
        "stack.embed.tokens": "transformer.tokens_embed",
        "stack.embed.positions": "transformer.positions_embed",
        "stack.blocks.*.attn.qkv": Transposed(f"{at}.attn.c_attn"),
        "stack.blocks.*.attn.out": Transposed(f"{at}.attn.c_proj"),
        "stack.blocks.*.attn_norm": f"{at}.ln_1",
        "stack.blocks.*.mlp.up": Transposed(f"{at}.mlp.c_fc"),
        "stack.blocks.*.mlp.down": Transposed(f"{at}.mlp.c_proj"),
        "stack.blocks.*.mlp_norm": f"{at}.ln_2",
        **decoder_names(c),
    }


IGNORE = (
    r"attn\.bias$",
    r"position_ids$",
    *HEADS,
)  # masks and counters saved by old versions; heads of other tasks, or a tied one once more
LEARNS = "gradients"

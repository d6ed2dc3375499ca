"""BERT: a post-norm encoder with learned positions and two kinds of segment, taught to fill gaps.   https://arxiv.org/abs/1810.04805"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

from torch import nn

from ..base.errors import InputError
from ..nn.attention import SelfAttention
from ..nn.block import Block
from ..nn.embedding import Embedding
from ..nn.encoder import Encoder
from ..nn.heads import MaskedLanguageModel
from ..nn.mlp import MLP
from ..nn.position import Learned
from ..nn.stack import Stack
from .config import Config, must_divide
from .heads import encoder_head
from .names import Cat, Rule


@dataclass(kw_only=True)
class BertConfig(Config):
    """Also the parent of RoBERTa and ALBERT."""

    model_type: ClassVar[str] = "bert"

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = True

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch."""
        return cls(
            vocab_size=vocab,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            max_position_embeddings=context,
        )

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Refuses what this file does not build, rather than answer wrongly."""
        usual = {"is_decoder": False, "add_cross_attention": False, "position_embedding_type": "absolute"}
        for key, value in usual.items():
            if values.get(key, value) != value:
                raise InputError(f"config.json has {key}: {values[key]!r}; this version reads only {cls.model_type} models with {value!r}")
        return super().read(values)


def blocks(c: BertConfig, count: int) -> list[Block]:
    """The layers, which BERT, RoBERTa, DistilBERT and ALBERT have in common."""
    must_divide("hidden_size", c.hidden_size, "num_attention_heads", c.num_attention_heads)

    def block() -> Block:
        attn = SelfAttention(c.hidden_size, c.num_attention_heads, bias=True, dropout=c.attention_probs_dropout_prob)
        mlp = MLP(c.hidden_size, c.intermediate_size, c.hidden_act)
        return Block(attn, mlp, partial(nn.LayerNorm, c.hidden_size, eps=c.layer_norm_eps), order="post", dropout=c.hidden_dropout_prob)

    return [block() for _ in range(count)]


def body(c: BertConfig, positions: Learned, *, types: int) -> Stack:
    """Embeddings and layers."""
    norm = nn.LayerNorm(c.hidden_size, eps=c.layer_norm_eps)
    embed = Embedding(c.vocab_size, c.hidden_size, positions=positions, types=types, norm=norm, dropout=c.hidden_dropout_prob)
    return Stack(embed, blocks(c, c.num_hidden_layers))


def words(c: BertConfig, width: int, act: str) -> MaskedLanguageModel:
    """The head that fills gaps; `width`: of the token vectors."""
    return MaskedLanguageModel(c.hidden_size, c.vocab_size, width=width, act=act, eps=c.layer_norm_eps, tied=c.tie_word_embeddings)


def build(c: BertConfig) -> Encoder:
    drop = c.hidden_dropout_prob if c.classifier_dropout is None else c.classifier_dropout
    dropout = {"classification": drop, "multiple-choice": drop, "token-classification": drop}
    head = encoder_head(c, c.hidden_size, words=words(c, c.hidden_size, c.hidden_act), act="tanh", dropout=dropout)
    stack = body(c, Learned(c.max_position_embeddings, c.hidden_size), types=c.type_vocab_size)
    return Encoder(stack, head, context=c.max_position_embeddings)


def trunk(prefix: str) -> dict[str, Rule]:
    """Names of the body, which RoBERTa shares."""
    at = f"{prefix}.encoder.layer.*"
    return {
        "stack.embed.tokens": f"{prefix}.embeddings.word_embeddings",
        "stack.embed.positions": f"{prefix}.embeddings.position_embeddings",
        "stack.embed.types": f"{prefix}.embeddings.token_type_embeddings",
        "stack.embed.norm": f"{prefix}.embeddings.LayerNorm",
        "stack.blocks.*.attn.qkv": Cat(*(f"{at}.attention.self.{x}" for x in ("query", "key", "value"))),
        "stack.blocks.*.attn.out": f"{at}.attention.output.dense",
        "stack.blocks.*.attn_norm": f"{at}.attention.output.LayerNorm",
        "stack.blocks.*.mlp.up": f"{at}.intermediate.dense",
        "stack.blocks.*.mlp.down": f"{at}.output.dense",
        "stack.blocks.*.mlp_norm": f"{at}.output.LayerNorm",
    }


def names(c: BertConfig) -> dict[str, Rule]:
    at = "head.mlm" if c.task == "pretraining" else "head"
    fill: dict[str, Rule] = {
        at: "cls.predictions",
        f"{at}.dense": "cls.predictions.transform.dense",
        f"{at}.norm": "cls.predictions.transform.LayerNorm",
        f"{at}.out": "cls.predictions.decoder",
    }
    if c.task == "masked-language-modeling":
        return trunk("bert") | fill
    if c.task == "pretraining":
        return trunk("bert") | fill | {"head.nsp.dense": "bert.pooler.dense", "head.nsp.out": "cls.seq_relationship"}
    return trunk("bert") | {"head.dense": "bert.pooler.dense", "head.out": "qa_outputs" if c.task == "span" else "classifier"}


HEADS = (r"^(cls|classifier|qa_outputs|bert\.pooler)\.",)
IGNORE = (r"position_ids$", *HEADS)  # a counter saved by old versions; heads of other tasks, or what is tied once more
LEARNS = "gradients"

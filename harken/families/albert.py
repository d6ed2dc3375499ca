"""ALBERT: BERT with one block for all layers, or a few, and narrow token vectors projected up.   https://arxiv.org/abs/1909.11942"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from torch import nn

from ..base.errors import InputError
from ..nn.embedding import Embedding
from ..nn.encoder import Encoder
from ..nn.position import Learned
from ..nn.stack import Stack
from . import bert
from .heads import encoder_head
from .names import Cat, Rule


@dataclass(kw_only=True)
class AlbertConfig(bert.BertConfig):
    """The layers fall into `num_hidden_groups` runs; in a run each layer is the same `inner_group_num` blocks."""

    model_type: ClassVar[str] = "albert"

    vocab_size: int = 30000
    embedding_size: int = 128
    hidden_size: int = 4096
    num_hidden_groups: int = 1
    inner_group_num: int = 1
    num_attention_heads: int = 64
    intermediate_size: int = 16384
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    classifier_dropout_prob: float = 0.1
    bos_token_id: int | None = 2
    eos_token_id: int | list[int] | None = 3

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch; token vectors are half as wide."""
        return replace(super().sized(width, layers, heads, context, vocab, dropout), embedding_size=max(1, width // 2))

    def check(self) -> None:
        """Refuse what cannot be built."""
        super().check()
        if self.num_hidden_groups > self.num_hidden_layers:
            raise InputError(
                f"config.json: {self.num_hidden_groups} num_hidden_groups cannot share {self.num_hidden_layers} num_hidden_layers"
            )


def build(c: AlbertConfig) -> Encoder:
    embed = Embedding(
        c.vocab_size,
        c.embedding_size,
        positions=Learned(c.max_position_embeddings, c.embedding_size),
        types=c.type_vocab_size,
        norm=nn.LayerNorm(c.embedding_size, eps=c.layer_norm_eps),
        project=c.hidden_size,
        dropout=c.hidden_dropout_prob,
    )
    groups = [n * c.num_hidden_groups // c.num_hidden_layers for n in range(c.num_hidden_layers)]  # of each layer
    layers = [group * c.inner_group_num + inner for group in groups for inner in range(c.inner_group_num)]
    stack = Stack(embed, bert.blocks(c, c.num_hidden_groups * c.inner_group_num), layers=layers)
    drop = c.classifier_dropout_prob
    dropout = {"classification": drop, "multiple-choice": drop, "token-classification": drop, "pretraining": drop}
    words = bert.words(c, c.embedding_size, c.hidden_act)
    return Encoder(stack, encoder_head(c, c.hidden_size, words=words, act="tanh", dropout=dropout), context=c.max_position_embeddings)


def names(c: AlbertConfig) -> dict[str, Rule]:
    found: dict[str, Rule] = {
        f"stack.embed.{ours}": f"albert.embeddings.{theirs}"
        for ours, theirs in (
            ("tokens", "word_embeddings"),
            ("positions", "position_embeddings"),
            ("types", "token_type_embeddings"),
            ("norm", "LayerNorm"),
        )
    }
    found["stack.embed.project"] = "albert.encoder.embedding_hidden_mapping_in"
    for n in range(c.num_hidden_groups * c.inner_group_num):
        at = f"albert.encoder.albert_layer_groups.{n // c.inner_group_num}.albert_layers.{n % c.inner_group_num}"
        found |= {
            f"stack.blocks.{n}.attn.qkv": Cat(*(f"{at}.attention.{x}" for x in ("query", "key", "value"))),
            f"stack.blocks.{n}.attn.out": f"{at}.attention.dense",
            f"stack.blocks.{n}.attn_norm": f"{at}.attention.LayerNorm",
            f"stack.blocks.{n}.mlp.up": f"{at}.ffn",
            f"stack.blocks.{n}.mlp.down": f"{at}.ffn_output",
            f"stack.blocks.{n}.mlp_norm": f"{at}.full_layer_layer_norm",
        }
    if c.task in ("masked-language-modeling", "pretraining"):
        at = "head.mlm" if c.task == "pretraining" else "head"
        found |= {at: "predictions", f"{at}.dense": "predictions.dense", f"{at}.norm": "predictions.LayerNorm"}
        return found | {f"{at}.out": "predictions.decoder", "head.nsp.dense": "albert.pooler", "head.nsp.out": "sop_classifier.classifier"}
    return found | {"head.dense": "albert.pooler", "head.out": "qa_outputs" if c.task == "span" else "classifier"}


HEADS = (r"^(predictions|sop_classifier|classifier|qa_outputs|albert\.pooler)\.",)
IGNORE = (r"position_ids$", *HEADS)  # a counter saved by old versions; heads of other tasks, or what is tied once more
LEARNS = "gradients"

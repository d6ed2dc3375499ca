"""RoBERTa: BERT's body trained longer, on more, without the second sentence; positions begin behind that of padding.

https://arxiv.org/abs/1907.11692
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from ..base.errors import InputError
from ..nn.encoder import Encoder
from ..nn.position import Learned
from . import bert
from .heads import encoder_head
from .names import Rule


@dataclass(kw_only=True)
class RobertaConfig(bert.BertConfig):
    model_type: ClassVar[str] = "roberta"

    vocab_size: int = 50265
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-5
    bos_token_id: int | None = 0
    pad_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch; two positions are lost to padding."""
        return replace(super().sized(width, layers, heads, context, vocab, dropout), max_position_embeddings=context + 2)

    @property
    def offset(self) -> int:
        """Where positions begin: behind the padding token's id."""
        return 1 + (self.pad_token_id or 0)

    def check(self) -> None:
        """Refuse what cannot be built."""
        super().check()
        if self.max_position_embeddings <= self.offset:
            room = self.max_position_embeddings
            raise InputError(f"config.json: max_position_embeddings is {room}, but padding takes the first {self.offset} positions")


def build(c: RobertaConfig) -> Encoder:
    drop = c.hidden_dropout_prob if c.classifier_dropout is None else c.classifier_dropout
    dropout = {"classification": drop, "token-classification": drop, "multiple-choice": c.hidden_dropout_prob}
    head = encoder_head(c, c.hidden_size, words=bert.words(c, c.hidden_size, "gelu"), act="tanh", dropout=dropout, early=drop)
    context = c.max_position_embeddings - c.offset
    stack = bert.body(c, Learned(context, c.hidden_size, offset=c.offset), types=c.type_vocab_size)
    return Encoder(stack, head, context=context)


def names(c: RobertaConfig) -> dict[str, Rule]:
    head: dict[str, dict[str, Rule]] = {
        "masked-language-modeling": {
            "head": "lm_head",
            "head.dense": "lm_head.dense",
            "head.norm": "lm_head.layer_norm",
            "head.out": "lm_head.decoder",
        },
        "classification": {"head.dense": "classifier.dense", "head.out": "classifier.out_proj"},
        "multiple-choice": {"head.dense": "roberta.pooler.dense", "head.out": "classifier"},
        "token-classification": {"head.out": "classifier"},
        "span": {"head.out": "qa_outputs"},
    }
    return bert.trunk("roberta") | head[c.task]


HEADS = (r"^(lm_head|classifier|qa_outputs|roberta\.pooler)\.",)
IGNORE = (r"position_ids$", *HEADS)  # a counter saved by old versions; heads of other tasks, or what is tied once more
LEARNS = "gradients"

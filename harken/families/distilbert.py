"""DistilBERT: half of BERT's layers and one kind of segment, taught by BERT.   https://arxiv.org/abs/1910.01108"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from ..nn.encoder import Encoder
from ..nn.position import Learned
from . import bert
from .config import Config, must_divide
from .heads import encoder_head
from .names import Cat, Rule


@dataclass(kw_only=True)
class DistilBertConfig(Config):
    model_type: ClassVar[str] = "distilbert"

    vocab_size: int = 30522
    max_position_embeddings: int = 512
    n_layers: int = 6
    n_heads: int = 12
    dim: int = 768
    hidden_dim: int = 3072
    activation: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    qa_dropout: float = 0.1
    seq_classif_dropout: float = 0.2
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = True

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch."""
        return cls(
            vocab_size=vocab,
            max_position_embeddings=context,
            n_layers=layers,
            n_heads=heads,
            dim=width,
            hidden_dim=4 * width,
            dropout=dropout,
            attention_dropout=dropout,
        )

    def as_bert(self) -> bert.BertConfig:
        """The same sizes by BERT's names."""
        return bert.BertConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.dim,
            num_hidden_layers=self.n_layers,
            num_attention_heads=self.n_heads,
            intermediate_size=self.hidden_dim,
            hidden_act=self.activation,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.attention_dropout,
            tie_word_embeddings=self.tie_word_embeddings,
        )


def build(c: DistilBertConfig) -> Encoder:
    must_divide("dim", c.dim, "n_heads", c.n_heads)
    same = c.as_bert()
    judge = c.seq_classif_dropout
    dropout = {"classification": judge, "multiple-choice": judge, "token-classification": c.dropout, "span": c.qa_dropout}
    head = encoder_head(c, c.dim, words=bert.words(same, c.dim, c.activation), act="relu", dropout=dropout)
    return Encoder(bert.body(same, Learned(c.max_position_embeddings, c.dim), types=0), head, context=c.max_position_embeddings)


def names(c: DistilBertConfig) -> dict[str, Rule]:
    at = "distilbert.transformer.layer.*"
    fill: dict[str, Rule] = {
        "head": "vocab_projector",
        "head.dense": "vocab_transform",
        "head.norm": "vocab_layer_norm",
        "head.out": "vocab_projector",
    }
    judge: dict[str, Rule] = {"head.dense": "pre_classifier", "head.out": "qa_outputs" if c.task == "span" else "classifier"}
    return {
        "stack.embed.tokens": "distilbert.embeddings.word_embeddings",
        "stack.embed.positions": "distilbert.embeddings.position_embeddings",
        "stack.embed.norm": "distilbert.embeddings.LayerNorm",
        "stack.blocks.*.attn.qkv": Cat(*(f"{at}.attention.{x}_lin" for x in "qkv")),
        "stack.blocks.*.attn.out": f"{at}.attention.out_lin",
        "stack.blocks.*.attn_norm": f"{at}.sa_layer_norm",
        "stack.blocks.*.mlp.up": f"{at}.ffn.lin1",
        "stack.blocks.*.mlp.down": f"{at}.ffn.lin2",
        "stack.blocks.*.mlp_norm": f"{at}.output_layer_norm",
        **(fill if c.task == "masked-language-modeling" else judge),
    }


HEADS = (r"^(vocab_\w+|pre_classifier|classifier|qa_outputs)\.",)
IGNORE = (r"position_ids$", *HEADS)  # a counter saved by old versions; heads of other tasks, or what is tied once more
LEARNS = "gradients"

"""The neural bigram: a table of logits, one row for each previous token, learned by gradient.

    log p(x_t | x_{t-1}) = log_softmax(W[x_{t-1}])      learned, it tends to the logarithm of the counted frequencies

Bengio et al. 2003 with nothing between input and output, https://www.jmlr.org/papers/v3/bengio03a.html · V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from ..nn.history import HistoryModel
from .config import Config
from .names import Rule


@dataclass(kw_only=True)
class BigramConfig(Config):
    model_type: ClassVar[str] = "bigram"
    rate: ClassVar[float] = 10.0

    context_length: int = 1024  # of the rows it learned from
    max_position_embeddings: int = 100_000

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A table has only the size of the vocabulary."""
        return cls(vocab_size=vocab, context_length=context)


class Table(nn.Module):
    """histories (..., 1) -> logits (..., V)."""

    def __init__(self, vocab: int):
        super().__init__()
        self.table = nn.Embedding(vocab, vocab)

    def forward(self, history: Tensor) -> Tensor:
        return self.table(history[..., -1])  # (..., V)


def build(c: BigramConfig) -> HistoryModel:
    return HistoryModel(Table(c.vocab_size), 1, vocab=c.vocab_size, context=c.max_position_embeddings)


def names(c: BigramConfig) -> dict[str, Rule]:
    return {"net.table": "table"}


IGNORE = ()
LEARNS = "gradients"

"""A neural probabilistic language model: the last n tokens as vectors, side by side, through one hidden layer.

    y = U tanh(d + H x) + b (+ W x)      x = [C(x_{t-n+1}); ...; C(x_t)]

Bengio, Ducharme, Vincent and Jauvin 2003, https://www.jmlr.org/papers/v3/bengio03a.html
n tokens looked back · D width of a token · F hidden · V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from ..nn.dropout import dropout
from ..nn.history import NOTHING, HistoryModel
from ..nn.linear import Linear
from .config import Config
from .names import Rule


@dataclass(kw_only=True)
class MLPConfig(Config):
    """`n_context`: tokens looked back, the current one included · `direct`: the W x of the paper, inputs straight to the output."""

    model_type: ClassVar[str] = "mlp"
    rate: ClassVar[float] = 1.25

    n_context: int = 8
    n_embd: int = 64
    n_hidden: int = 256
    direct: bool = False
    dropout: float = 0.0
    context_length: int = 1024  # of the rows it learned from; any length can be read
    max_position_embeddings: int = 100_000

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """Token vectors of half the width, a hidden layer four times as wide: best on names for the time they take."""
        return cls(
            vocab_size=vocab,
            n_context=min(8, context),
            n_embd=width // 2,
            n_hidden=4 * width,
            dropout=dropout,
            context_length=context,
        )


class Embed(nn.Module):
    """histories (..., n) -> (..., n · D). Where the text has not begun stands a learned vector of its own."""

    def __init__(self, vocab: int, dim: int):
        super().__init__()
        self.tokens = Linear(dim, vocab, bias=False)
        self.nothing = nn.Parameter(torch.zeros(dim))

    def forward(self, history: Tensor) -> Tensor:
        absent = (history == NOTHING)[..., None]
        return torch.where(absent, self.nothing, self.tokens.rows(history.clamp(min=0))).flatten(-2)


class Hidden(nn.Module):
    """x -> tanh(d + H x)."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.up = Linear(inputs, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x, "tanh")


class Network(nn.Module):
    """histories (..., n) -> logits (..., V)."""

    def __init__(self, c: MLPConfig):
        super().__init__()
        self.embed = Embed(c.vocab_size, c.n_embd)
        self.blocks = nn.ModuleList([Hidden(c.n_context * c.n_embd, c.n_hidden)])
        self.head = Linear(c.n_hidden, c.vocab_size)
        self.direct = Linear(c.n_context * c.n_embd, c.vocab_size, bias=False) if c.direct else None
        self.dropout = c.dropout

    def forward(self, history: Tensor) -> Tensor:
        x = self.embed(history)  # (..., n · D)
        h = dropout(self.blocks[0](x), self.dropout, self.training)  # (..., F)
        return self.head(h) if self.direct is None else self.head(h) + self.direct(x)  # (..., V)


def build(c: MLPConfig) -> HistoryModel:
    return HistoryModel(Network(c), c.n_context, vocab=c.vocab_size, context=c.max_position_embeddings)


def names(c: MLPConfig) -> dict[str, Rule]:
    return {
        "net.embed": "embed",
        "net.embed.tokens": "embed.tokens",
        "net.blocks.*.up": "blocks.*.mlp.up",
        "net.head": "head",
        "net.direct": "direct",
    }


IGNORE = ()
LEARNS = "gradients"

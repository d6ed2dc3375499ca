"""Language models that read with an RNN, a GRU or an LSTM; the formulas are in nn/recurrent.py.

    p(x_t | x_<t) = softmax(E h_{t-1})      Mikolov et al. 2010, https://doi.org/10.21437/Interspeech.2010-343

Elman 1990, https://doi.org/10.1207/s15516709cog1402_1 · Cho et al. 2014, https://arxiv.org/abs/1406.1078
Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from ..base.errors import InputError
from ..nn.embedding import Embedding
from ..nn.recurrent import Layer, Recurrent
from .config import Config
from .heads import HEADS, decoder_head, decoder_names
from .names import Rule


@dataclass(kw_only=True)
class RecurrentConfig(Config):
    """What the three cells share. `embedding_size`: width of the token vectors, if it is not that of the state."""

    rate: ClassVar[float] = 5.0

    hidden_size: int = 256
    num_hidden_layers: int = 1
    embedding_size: int | None = None
    dropout: float = 0.0
    tie_word_embeddings: bool = True
    context_length: int = 1024  # of the rows it learned from; any length can be read
    max_position_embeddings: int = 100_000

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size; there are no heads."""
        return cls(vocab_size=vocab, hidden_size=width, num_hidden_layers=layers, dropout=dropout, context_length=context)


@dataclass(kw_only=True)
class RNNConfig(RecurrentConfig):
    model_type: ClassVar[str] = "rnn"


@dataclass(kw_only=True)
class GRUConfig(RecurrentConfig):
    model_type: ClassVar[str] = "gru"


@dataclass(kw_only=True)
class LSTMConfig(RecurrentConfig):
    model_type: ClassVar[str] = "lstm"


def build(c: RecurrentConfig) -> Recurrent:
    width = c.embedding_size or c.hidden_size
    if c.tie_word_embeddings and width != c.hidden_size:
        raise InputError(
            f"config.json: a tied head needs token vectors as wide as the state; embedding_size is {width}, hidden_size {c.hidden_size}: "
            "set tie_word_embeddings to false"
        )
    layers = [Layer(c.model_type, c.hidden_size if n else width, c.hidden_size) for n in range(c.num_hidden_layers)]
    head = decoder_head(c, c.hidden_size, tied=c.tie_word_embeddings, bias=True)
    return Recurrent(Embedding(c.vocab_size, width), layers, head, context=c.max_position_embeddings, dropout=c.dropout)


def names(c: RecurrentConfig) -> dict[str, Rule]:
    body = ("embed.tokens", "blocks.*.input", "blocks.*.state")
    return {**{part: part for part in body}, **decoder_names(c, words="head")}


IGNORE = (r"^head\.", *HEADS)  # heads of other tasks
LEARNS = "gradients"

"""Recurrent encoder-decoders from before the Transformer; the formulas are in nn/seq2seq.py, nn/align.py and nn/scores.py.

Sutskever et al. 2014, https://arxiv.org/abs/1409.3215 · Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473
Luong et al. 2015, https://arxiv.org/abs/1508.04025
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from ..base.errors import InputError, did_you_mean
from ..nn.align import Alignment
from ..nn.embedding import Embedding
from ..nn.heads import LanguageModel
from ..nn.linear import Linear
from ..nn.recurrent import GATES, VECTORS, Layer
from ..nn.scores import score_of
from ..nn.seq2seq import Seq2Seq
from .config import SourceConfig
from .names import Rule

ATTENTION = ("none", "additive", "dot", "general", "concat", "local-m", "local-p")
LOCAL = ("local-m", "local-p")


@dataclass(kw_only=True)
class Seq2SeqConfig(SourceConfig):
    """`cell`: rnn, gru or lstm · `attention`: none, additive (looks before each step, at an encoder that reads both ways), dot, general or
    concat (look after it), or local-m and local-p (general, in a `window` of so many tokens either way) · `input_feeding`: whether a step
    also reads what the one before said · `embedding_size`: width of the token vectors, if it is not that of the state."""

    model_type: ClassVar[str] = "seq2seq"
    rate: ClassVar[float] = 5.0

    cell: str = "lstm"
    attention: str = "additive"
    input_feeding: bool = False
    window: int = 10
    hidden_size: int = 256
    num_hidden_layers: int = 1
    embedding_size: int | None = None
    dropout: float = 0.0
    tie_word_embeddings: bool = True
    context_length: int = 1024  # of the rows it learned from; any length can be read
    max_position_embeddings: int = 100_000

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, that many layers on either side; there are no heads."""
        return cls(vocab_size=vocab, hidden_size=width, num_hidden_layers=layers, dropout=dropout, context_length=context)

    def check(self) -> None:
        """Refuse what cannot be built."""
        super().check()
        for what, value, known in (("cell", self.cell, tuple(GATES)), ("attention", self.attention, ATTENTION)):
            if value not in known:
                raise InputError(f"config.json: {what} {value!r} is not known{did_you_mean(value, known)}")
        if self.input_feeding and self.attention in ("none", "additive"):
            raise InputError(f"config.json: input_feeding is for attention that looks after a step, not for {self.attention!r}")


def build(c: Seq2SeqConfig) -> Seq2Seq:
    c.check()
    hidden, both = c.hidden_size, c.attention == "additive"
    width, memory = c.embedding_size or hidden, 2 * hidden if both else hidden
    if c.attention == "none" and c.tie_word_embeddings and width != hidden:
        raise InputError(
            f"config.json: a tied head needs token vectors as wide as the state; embedding_size is {width}, hidden_size {hidden}: "
            "set tie_word_embeddings to false"
        )

    def layers(first: int, others: int) -> list[Layer]:
        return [Layer(c.cell, others if n else first, hidden) for n in range(c.num_hidden_layers)]

    align = None
    if c.attention != "none":
        score = score_of("general" if c.attention in LOCAL else c.attention, hidden, memory)
        window = c.window if c.attention in LOCAL else None
        align = Alignment(score, window=window, predicts=hidden if c.attention == "local-p" else None)
    said = hidden if align is None else width
    fed = memory if both else said if c.input_feeding else 0
    return Seq2Seq(
        Embedding(c.vocab_size, width),
        layers(width, memory),
        layers(width + fed, hidden),
        LanguageModel(None if c.tie_word_embeddings else Linear(said, c.vocab_size)),
        back=layers(width, memory) if both else None,
        bridge=Linear(hidden, c.num_hidden_layers * VECTORS[c.cell] * hidden) if both else None,
        align=align,
        mix=None if align is None else Linear(memory + hidden, width, bias=False),
        looks="before" if both else "fed" if c.input_feeding else "after",
        context=c.max_position_embeddings,
        dropout=c.dropout,
    )


def names(c: Seq2SeqConfig) -> dict[str, Rule]:
    sides = {"encoder": "encoder.*", "back": "encoder_back.*", "decoder": "decoder.*"}
    align = ("score.query", "score.key", "score.out", "score.form", "place", "aim")
    return {
        "embed.tokens": "embed.tokens",
        **{f"{ours}.*.{part}": f"{theirs}.{part}" for ours, theirs in sides.items() for part in ("input", "state")},
        **{f"align.{part}": f"align.{part}" for part in align},
        "bridge": "bridge",
        "mix": "mix",
        "head.out": "head",
    }


IGNORE = ()
LEARNS = "gradients"

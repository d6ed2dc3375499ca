"""N-gram: the next token depends on the n-1 before it, and its probability is counted, not learned.

    p(x_t | x_<t) = p(x_t | x_{t-n+1} … x_{t-1})      Shannon 1948, https://doi.org/10.1002/j.1538-7305.1948.tb01338.x

Order 0 knows only the vocabulary, 1 how frequent tokens are, 2 is the bigram.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Self

from ..base.errors import InputError, did_you_mean
from ..nn.counts import NGram
from ..nn.smoothing import SMOOTHINGS
from .config import Config
from .names import Rule


@dataclass(kw_only=True)
class NgramConfig(Config):
    """`order`: the n of n-gram · `smoothing`: kneser_ney, witten_bell or add_k, and the k it adds · `skip`: ids that are never
    predicted, padding and <bos>."""

    model_type: ClassVar[str] = "ngram"

    order: Annotated[int, "0 upwards, so not one of the sizes that must be positive"] = 6
    smoothing: str = "kneser_ney"
    add_k: float = 0.1
    skip: list[int] = field(default_factory=list)
    max_position_embeddings: int = 1_000_000

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """The default config: what a counting model holds depends on the text alone, so the sizes mean nothing to it."""
        return cls(vocab_size=vocab)

    def check(self) -> None:
        """Refuse what cannot be built."""
        super().check()
        if type(self.order) is not int or self.order < 0:
            raise InputError(f"config.json: order must be a whole number from 0, not {self.order!r}")
        if self.smoothing not in SMOOTHINGS:
            raise InputError(f"config.json: smoothing {self.smoothing!r} is not known{did_you_mean(self.smoothing, SMOOTHINGS)}")
        if not 0 < self.add_k < float("inf"):
            raise InputError(f"config.json: add_k must be a positive number, not {self.add_k!r}")
        skip = self.skip
        if not isinstance(skip, list) or any(type(i) is not int or not 0 <= i < self.vocab_size for i in skip):
            raise InputError(f"config.json: skip must be a list of token ids from 0 to {self.vocab_size - 1}, not {skip!r}")
        if len(set(skip)) == self.vocab_size:
            raise InputError("config.json: skip holds every token, so there is nothing to predict")


def build(c: NgramConfig) -> NGram:
    return NGram(c.vocab_size, c.order, c.smoothing, add_k=c.add_k, skip=c.skip, context=c.max_position_embeddings)


def names(c: NgramConfig) -> dict[str, Rule]:
    return {"counts": "counts"}


IGNORE = ()
LEARNS = "counts"

"""Word vectors from counts: PPMI and its largest singular directions. Nothing is predicted and nothing written; `nn/cooccur.py` counts.

Levy & Goldberg 2014, https://papers.nips.cc/paper/5477; Levy, Goldberg & Dagan 2015, https://aclanthology.org/Q15-1016
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from ..base.errors import InputError
from ..nn.vectors import Vectors
from .config import Config
from .names import Rule


@dataclass(kw_only=True)
class VectorsConfig(Config):
    """`window`: words to each side that count as near · `context_smoothing`: α of the contexts' counts · `shift`: k, whose logarithm is
    taken off · `power`: p of the singular values · `common_directions`: m that are taken out of all (None: not even the mean is). What the
    vectors were made with: reading them needs none of it."""

    model_type: ClassVar[str] = "vectors"

    hidden_size: int = 300
    window: int = 5
    context_smoothing: float = 0.75
    shift: float = 1.0
    power: Annotated[float, "0 upwards, so not one of those that must be positive"] = 0.5
    common_directions: Annotated[int | None, "0 upwards"] = None
    max_position_embeddings: int = 1_000_000

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A table as wide as asked."""
        return cls(vocab_size=vocab, hidden_size=width)

    def check(self) -> None:
        """Refuse what cannot be counted."""
        super().check()
        most = self.common_directions
        if most is not None and not (type(most) is int and 0 <= most < self.hidden_size):
            raise InputError(f"config.json: common_directions must be a whole number from 0, less than hidden_size, not {most!r}")
        for name in ("context_smoothing", "shift", "power"):
            value, zero = getattr(self, name), name == "power"
            if type(value) not in (int, float) or not 0 <= value < float("inf") or (value == 0 and not zero):
                raise InputError(f"config.json: {name} must be a {'number from 0' if zero else 'positive number'}, not {value!r}")


def build(c: VectorsConfig) -> Vectors:
    return Vectors(c.vocab_size, c.hidden_size, context=c.max_position_embeddings)


def names(c: VectorsConfig) -> dict[str, Rule]:
    return {"embed.tokens": "embeddings"}


IGNORE = ()
LEARNS = "neighbours"

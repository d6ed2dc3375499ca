"""How likely a model finds texts, and how often its first guess of a hidden token is right.

perplexity = exp(nats / tokens) · bits per byte = nats / (ln 2 · bytes), which alone compares models with different tokenizers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...base.errors import InputError
from ..loss import Measured


class Likelihood:
    """Of each text its nats, against (tokens, bytes): `loss` in nats a token, `perplexity`, `bits_per_byte` (nan without bytes).

    A text's bytes are those of its raw UTF-8 with one for the end of the line; 0 where only a part of it is measured.
    """

    kind = "float64"

    def row(self, prediction: float, reference: tuple[int, int]) -> list[float]:
        tokens, size = reference
        if not prediction >= 0 or tokens < 0 or size < 0:
            raise InputError(f"{prediction} nats over {tokens} tokens and {size} bytes are no likelihood: none may be below 0")
        return [prediction, tokens, size]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        nats, tokens, size = rows.sum(0).tolist()
        if not tokens:
            return dict.fromkeys(("loss", "perplexity", "bits_per_byte"), math.nan)
        found = Measured(nats, tokens)
        bits = found.bits_per_byte(size) if rows[:, 2].all() else math.nan
        return {"loss": found.loss, "perplexity": found.perplexity, "bits_per_byte": bits}

    def signature(self, rows: np.ndarray) -> str:
        return "likelihood|per:token, byte of raw text"


class TokenAccuracy:
    """The share of tokens guessed right, of all texts together: of masked tokens, the accuracy of a masked language model."""

    kind = "int64"

    def __init__(self, name: str = "masked_accuracy") -> None:
        self.name = name

    def row(self, prediction: Sequence[int], reference: Sequence[int]) -> list[int]:
        if len(prediction) != len(reference):
            raise InputError(
                f"{len(prediction):,} predicted tokens stand against {len(reference):,} right ones: there must be one for each"
            )
        return [sum(int(a == b) for a, b in zip(prediction, reference, strict=True)), len(reference)]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        right, tokens = rows.sum(0).tolist()
        return {self.name: right / tokens if tokens else math.nan}

    def signature(self, rows: np.ndarray) -> str:
        return f"{self.name}|per:token"

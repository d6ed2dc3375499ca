"""What a training signal must offer: a loss to learn from, and the same in nats to measure by.

`causal`, `masked` and `seq2seq` are modules with these two functions; what a row is, only the source and its objective know. Span
corruption and denoising are sequence to sequence once a text is broken.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..data.batches import Source
from ..data.corrupted import Masked, MaskedPairs, Noised
from ..data.pairs import PairSpans
from ..nn.models import Model
from . import causal, masked, seq2seq
from .causal import Loss


class Objective(Protocol):
    """One training signal."""

    def batch_loss(self, model: Model, source: Any, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
        """The summed loss of some rows, differentiable. InputError, or a loss of 0 tokens, when there is nothing to learn from."""
        ...

    def nats(self, model: Model, source: Any, rows: np.ndarray, pad: int) -> tuple[float, int]:
        """(summed negative log-probability of the targets of some rows, how many they are)."""
        ...


def objective_of(source: Source) -> Objective:
    """The training signal that rows of this source are made for."""
    if isinstance(source, Masked | MaskedPairs):
        return masked
    return seq2seq if isinstance(source, PairSpans | Noised) else causal

"""The loss of a model on held-out text, in nats a token, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..data.batches import Order, Source, Spans, in_order
from ..nn.models import Model
from ..objectives.causal import row_nats
from ..objectives.objective import objective_of

_LOGITS = 1 << 26
"""Scores over the vocabulary held at once: 256 MB, however large vocabulary and context are."""


@dataclass(frozen=True)
class Measured:
    """`nats`: summed negative log-probability of all targets · `tokens`: how many they are."""

    nats: float
    tokens: int

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that is too large for a float."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def bits_per_byte(self, size: int) -> float:
        """Nats of all targets, in bits, over the bytes of the raw text: comparable between tokenizers."""
        return self.nats / (math.log(2) * size)


def measure(model: Model, source: Source, *, pad: int, batch_size: int = 32, most_tokens: int | None = None) -> Measured:
    """Sum the loss of every row, or of evenly spread batches that hold about `most_tokens` targets."""
    was_training = model.training
    model.eval()
    objective, batches = objective_of(source), batches_of(model, source, batch_size)
    if most_tokens is not None and source.targets > most_tokens:
        keep = max(1, round(len(batches) * most_tokens / source.targets))
        batches = [batches[int(i)] for i in np.linspace(0, len(batches) - 1, keep)]
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for rows in batches:
            found, count = objective.nats(model, source, rows, pad)
            nats += found
            tokens += count
    if was_training:
        model.train()
    return Measured(nats, tokens)


def batches_of(model: Model, source: Source, batch_size: int = 32) -> Order:
    """All rows, as many at once as their scores over the vocabulary allow."""
    longest = min(source.context, source.longest)
    return in_order(source, max(1, min(batch_size, _LOGITS // (model.config.vocab_size * longest))))


def by_text(model: Model, source: Spans, *, pad: int) -> np.ndarray:
    """(n, 2) of each text the nats of all its targets, and how many they are: what `measure` sums."""
    model.eval()
    found = np.zeros((len(source.spans), 2))
    with torch.no_grad():
        for rows in batches_of(model, source):
            text = np.searchsorted(source.spans[:, 0], rows[:, 0], "right") - 1
            np.add.at(found[:, 0], text, row_nats(model, source, rows, pad))
            np.add.at(found[:, 1], text, rows[:, 1] - rows[:, 0])
    return found

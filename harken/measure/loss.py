"""The loss of a model on held-out text, in nats a token, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..data.batches import Source, in_order
from ..nn.models import Model
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
    longest, objective = min(source.context, source.longest), objective_of(source)
    batches = in_order(source, max(1, min(batch_size, _LOGITS // (model.config.vocab_size * longest))))
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

"""Label smoothing: a share ε of the certainty goes to all tokens of the vocabulary alike, while learning.

    loss = - Σ_t (1 - ε) log p(y_t) + ε / V Σ_v log p(v)      https://arxiv.org/abs/1512.00567 section 7; ε = 0.1 in
                                                              https://arxiv.org/abs/1706.03762 section 5.4
So torch's cross_entropy and transformers' LabelSmoother have it; fairseq parts ε among the V - 1 other tokens. What is measured is never
smoothed, so the loss of a run on held-out text is that of one without.   V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.batches import Source
from ..nn.models import Model
from .causal import Loss
from .objective import objective_of


@dataclass(frozen=True)
class Smoothed:
    """The signal of texts to continue, of pairs and of broken texts to write anew; `share`: ε."""

    share: float

    def batch_loss(self, model: Model, source: Source, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
        """The summed smoothed loss of some rows, differentiable. InputError when there is nothing to predict."""
        return objective_of(source).batch_loss(model, source, rows, pad, pack=pack, smoothing=self.share)

    def nats(self, model: Model, source: Any, rows: np.ndarray, pad: int) -> tuple[float, int]:
        """(summed negative log-probability of the targets of some rows, how many they are), not smoothed."""
        return objective_of(source).nats(model, source, rows, pad)

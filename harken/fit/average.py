"""A running average of the weights: steadier than any single step, and measured and kept in its place.

a ← β a + (1 - β) w,   β = min(decay, (1 + step) / (10 + step))      Polyak & Juditsky 1992, https://doi.org/10.1137/0330046
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from ..nn.models import Model


class Average:
    """The averages of a model's parameters, in float32. `decay` None keeps none, and every method does nothing."""

    def __init__(self, model: Model, decay: float | None):
        self.model, self.decay = model, decay
        self.values: dict[str, Tensor] = {}
        if decay is not None:
            self.values = {name: p.detach().float().clone() for name, p in model.adapters.learned().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After optimizer step number `step` (from 1); the first steps are forgotten sooner than `decay` says."""
        if self.decay is None:
            return
        beta = min(self.decay, (1 + step) / (10 + step))
        for name, p in self.model.adapters.learned().items():
            self.values[name].lerp_(p.float(), 1 - beta)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """While this lasts the model's weights are the averages."""
        if self.decay is None:
            yield
            return
        own = {name: p.detach().clone() for name, p in self.model.adapters.learned().items()}
        self._put(self.values)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, p in self.model.adapters.learned().items():
            p.copy_(values[name])

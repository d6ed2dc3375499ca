"""Distillation: learn what a teacher thinks of every token, beside which one it is.

    loss = Σ  w · T² · KL(softmax(z_teacher / T) ‖ softmax(z / T)) + (1 - w) · -log p(x)      Hinton et al. 2015,
                                                                                              https://arxiv.org/abs/1503.02531
Over the targets of causal language modelling, or the hidden tokens of masked language modelling as in DistilBERT,
https://arxiv.org/abs/1910.01108, whose third part, the likeness of hidden states, is left out. N targets · V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.batches import Spans
from ..data.corrupted import Masked
from ..nn.mask import Mask
from ..nn.models import Model
from . import causal, masked
from .causal import Loss

WEIGHT = 0.5
"""The teacher's share of the loss: of ours, as Hinton says, the larger; DistilBERT's is 5 to 2."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Distillation:
    """The signal of a `teacher` with the same vocabulary. Measured is the student alone, as without one."""

    teacher: Model
    temperature: float = 2.0
    weight: float = WEIGHT

    def batch_loss(self, model: Model, source: Spans | Masked, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
        """The summed loss of some rows, differentiable. InputError for texts that are neither continued nor filled."""
        self.teacher.eval()
        with torch.no_grad():
            theirs, _ = said(self.teacher, source, rows, pad, pack=pack and self.teacher.packs)
        logits, targets = said(model, source, rows, pad, pack=pack)
        size, heat = min(logits.shape[-1], theirs.shape[-1]), self.temperature  # beyond the smaller there is padding only
        p, q = (F.log_softmax(each[:, :size] / heat, -1) for each in (theirs, logits))
        soft = F.kl_div(q, p, reduction="sum", log_target=True) * heat**2
        hard = F.cross_entropy(logits, targets, reduction="sum")
        return Loss(self.weight * soft + (1 - self.weight) * hard, len(targets))

    def nats(self, model: Model, source: Any, rows: np.ndarray, pad: int) -> tuple[float, int]:
        """(summed negative log-probability of the targets of some rows, how many they are)."""
        signal: Any = masked if isinstance(source, Masked) else causal
        return signal.nats(model, source, rows, pad)


def said(model: Model, source: Spans | Masked, rows: np.ndarray, pad: int, *, pack: bool = False) -> tuple[Tensor, Tensor]:
    """(logits (N, V), targets (N,)) of some rows, in the order of the rows whether they are packed or not."""
    if isinstance(source, Masked) and source.second is None:
        found = masked.found(model, source, rows, pad, pack=pack)
        return found.logits, found.targets
    if not isinstance(source, Spans):
        raise InputError("--teacher is for language-modeling and masked-language-modeling: learn anything else without one")
    rows, device = rows[rows[:, 1] > rows[:, 0]], model.device
    if not len(rows):
        raise InputError("a batch has no token to predict; check the data for texts that are empty after tokenising")
    if pack:
        inputs, targets, starts = (torch.from_numpy(a) for a in source.packed(rows))
        return model(inputs.to(device), Mask(starts=starts)).float(), targets.to(device)
    inputs, targets, lengths = (torch.from_numpy(a) for a in source.take(rows, pad))
    real = (targets != -100).to(device)  # (B, L)
    return model(inputs.to(device), Mask(lengths=lengths))[real].float(), targets.to(device)[real]


def spread(values: Sequence[_T], count: int) -> list[_T]:
    """`count` of some values, evenly spread, the first and the last among them: of twelve layers six are 0, 2, 4, 7, 9 and 11."""
    return [values[int(i)] for i in np.linspace(0, len(values) - 1, count).round()] if count > 1 else [values[0]]

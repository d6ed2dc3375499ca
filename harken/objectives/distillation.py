"""Distillation: learn what a teacher thinks of every token, beside which one it is, and to see in a text what it sees.

    loss = Σ  a · T² · KL(softmax(z_teacher / T) ‖ softmax(z / T))  +  b · -log p(x)  +  c · (1 - cos(h, h_teacher))

The first two by Hinton et al. 2015, https://arxiv.org/abs/1503.02531; all three over the hidden tokens of masked language modelling are
DistilBERT's, https://arxiv.org/abs/1910.01108, whose code has a = 5, b = 2, c = 1 and T = 2. h are the last hidden states of all tokens,
the mean of a row counting once for each of its targets, so that the loss does not depend on how a batch is split. Its code has the
teacher's word on all tokens, too; here it is that on the hidden ones, where alone the scores of the vocabulary are worked out.
B rows · L tokens · N targets · T tokens of all rows · D width · V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

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

_T = TypeVar("_T")


@dataclass(frozen=True)
class Distillation:
    """The signal of a `teacher` with the same vocabulary. Measured is the student alone, as without one.

    `alpha_ce`, `alpha_mlm`, `alpha_cos`: a, b and c, by the names of DistilBERT's code; half and half is ours."""

    teacher: Model
    temperature: float = 2.0
    alpha_ce: float = 0.5
    alpha_mlm: float = 0.5
    alpha_cos: float = 0.0

    def batch_loss(self, model: Model, source: Spans | Masked, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
        """The summed loss of some rows, differentiable. InputError for texts that are neither continued nor filled."""
        self.teacher.eval()
        with torch.no_grad():
            theirs = said(self.teacher, source, rows, pad, pack=pack and self.teacher.packs, states=self.alpha_cos > 0)
        ours = said(model, source, rows, pad, pack=pack, states=self.alpha_cos > 0)
        size, heat = min(ours.logits.shape[-1], theirs.logits.shape[-1]), self.temperature  # beyond the smaller there is padding only
        p, q = (F.log_softmax(each.logits[:, :size] / heat, -1) for each in (theirs, ours))
        total = self.alpha_ce * heat**2 * F.kl_div(q, p, reduction="sum", log_target=True)
        total = total + self.alpha_mlm * F.cross_entropy(ours.logits, ours.targets, reduction="sum")
        if ours.states is not None and theirs.states is not None:
            total = total + self.alpha_cos * (ours.shares * (1 - F.cosine_similarity(ours.states, theirs.states, dim=-1))).sum()
        return Loss(total, len(ours.targets))

    def nats(self, model: Model, source: Any, rows: np.ndarray, pad: int) -> tuple[float, int]:
        """(summed negative log-probability of the targets of some rows, how many they are)."""
        signal: Any = masked if isinstance(source, Masked) else causal
        return signal.nats(model, source, rows, pad)


class Said(NamedTuple):
    """`logits` (N, V) and `targets` (N,) · `states` (T, D), None where they are not asked for · `shares` (T,): targets of the row that a
    token is in, over the row's tokens."""

    logits: Tensor
    targets: Tensor
    states: Tensor | None
    shares: Tensor


def said(model: Any, source: Spans | Masked, rows: np.ndarray, pad: int, *, pack: bool = False, states: bool = False) -> Said:
    """What a model says of some rows, in the order of the rows whether they are packed or not. InputError for `states` of a model that
    has none, and for texts that are neither continued nor filled."""
    if isinstance(source, Masked) and source.second is None:
        found = masked.found(model, source, rows, pad, pack=pack)
        real = torch.arange(int(found.lengths.max())) < found.lengths[:, None]  # (B, L)
        x = found.states if found.states.dim() == 2 else found.states[real.to(found.states.device)]
        shares = torch.bincount(found.rows.cpu(), minlength=len(found.lengths)) / found.lengths
        shares = shares.repeat_interleave(found.lengths).to(x.device)
        return Said(found.logits, found.targets, x.float() if states else None, shares)
    if not isinstance(source, Spans):
        raise InputError("--teacher is for language-modeling and masked-language-modeling: learn anything else without one")
    rows, device = rows[rows[:, 1] > rows[:, 0]], model.device
    if not len(rows):
        raise InputError("a batch has no token to predict; check the data for texts that are empty after tokenising")
    if pack:
        inputs, targets, starts = (torch.from_numpy(a) for a in source.packed(rows))
        mask, real = Mask(starts=starts), torch.ones_like(targets, dtype=torch.bool)
    else:
        inputs, targets, lengths = (torch.from_numpy(a) for a in source.take(rows, pad))
        mask, real = Mask(lengths=lengths), targets != -100  # (B, L)
    inputs, real, targets = inputs.to(device), real.to(device), targets[real].to(device)
    if not states:
        return Said(model(inputs, mask)[real].float(), targets, None, torch.ones(len(targets), device=device))
    x = last_states(model, inputs, mask)[real]
    return Said(model.head(x, model.tokens, Mask()).float(), targets, x.float(), torch.ones(len(targets), device=device))


def last_states(model: Any, ids: Tensor, mask: Mask) -> Tensor:
    """ids (B, L) or packed (T,) -> (B, L, D) or (T, D) as the head reads them. InputError for a model that is no stack of blocks."""
    if not hasattr(model, "stack"):
        raise InputError(f"a {model.config.model_type} model has no hidden states to compare: leave --alpha-cos out")
    return model.stack(ids.view(-1, ids.shape[-1]), model.prepare(ids, mask)).view(*ids.shape, -1)


def spread(values: Sequence[_T], count: int) -> list[_T]:
    """`count` of some values, evenly spread, the first and the last among them: of twelve layers six are 0, 2, 4, 7, 9 and 11."""
    return [values[int(i)] for i in np.linspace(0, len(values) - 1, count).round()] if count > 1 else [values[0]]

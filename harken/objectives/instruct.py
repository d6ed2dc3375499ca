"""Instruction tuning: read a chat, and learn what the assistant says in it, the end of each of its turns included.

    loss = - Σ_{t said by the assistant} log p(x_t | x_<t)      Ouyang et al. 2022, https://arxiv.org/abs/2203.02155 section 3.5

A chat is read as the template writes it, which is how it is read when the model is talked to. What others say in it, and what the template
puts around it all, is only read.   B rows · L tokens · T packed tokens · N learned tokens · D width · V vocabulary
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.turns import Turns
from ..nn.decoder import Decoder
from ..nn.mask import Mask
from ..nn.models import Model
from .causal import Loss


def found(model: Any, source: Turns, rows: np.ndarray, pad: int, *, pack: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Of the learned tokens of some rows (B, 2): logits (N, V), targets (N,), and the row each stands in (N,).

    A decoder works out the scores of the whole vocabulary only there."""
    if pack:
        inputs, targets, starts = (torch.from_numpy(each) for each in source.packed(rows))
        mask, learned = Mask(starts=starts), targets != -100  # (T,)
        row = torch.repeat_interleave(torch.arange(len(rows)), starts.diff())[learned]
    else:
        inputs, targets, lengths = (torch.from_numpy(each) for each in source.take(rows, pad))
        mask, learned = Mask(lengths=lengths), targets != -100  # (B, L)
        row = learned.nonzero()[:, 0]
    inputs, there = inputs.to(model.device), learned.to(model.device)
    if isinstance(model, Decoder):
        x = model.states(inputs, mask)  # (B, L, D) or (T, D)
        logits = model.head(x[there], model.tokens, mask)  # (N, V)
    else:
        logits = model(inputs, mask)[there]
    return logits.float(), targets[learned].to(logits.device), row.to(logits.device)


def batch_loss(model: Model, source: Turns, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
    """The summed loss of some rows (B, 2), padded side by side or packed end to end; the loss is the same.

    InputError when the assistant says nothing in any of them: a step on nothing would look like a perfect one."""
    logits, targets, _ = found(model, source, rows, pad, pack=pack)
    if not len(targets):
        raise InputError("a batch has no token that the assistant says; check the data for answers that are empty after tokenising")
    return Loss(F.cross_entropy(logits, targets, reduction="sum"), len(targets))


def nats(model: Model, source: Turns, rows: np.ndarray, pad: int) -> tuple[float, int]:
    """(summed negative log-probability of the learned tokens of some rows (B, 2), how many they are)."""
    loss = batch_loss(model, source, rows, pad)
    return loss.total.item(), loss.tokens


def row_nats(model: Model, source: Turns, rows: np.ndarray, pad: int) -> np.ndarray:
    """(B, 2) of each of some rows (B, 2) the nats of its learned tokens, and how many they are."""
    with torch.no_grad():
        logits, targets, row = found(model, source, rows, pad)
        each = F.cross_entropy(logits, targets, reduction="none").double()
    sums = torch.zeros(len(rows), 2, dtype=torch.float64, device=each.device)
    sums.index_add_(0, row, torch.stack([each, torch.ones_like(each)], 1))
    return sums.cpu().numpy()

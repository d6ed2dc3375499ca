"""Filters that only make sense when sampling: they change how much is left to chance. logits (A, V) -> logits (A, V), -inf for what is out.

Each leaves what the class of the same meaning in transformers leaves; `keep` is how many tokens stay at least. Equal logits are told
apart by their id, so that every machine keeps the same ones.

A whole vocabulary is put in order with its ids only where it must be: it takes longer than a small model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .processors import OUT, Past, needed

FEW = 512  # leading tokens that are looked at first


@dataclass(frozen=True)
class Temperature:
    """Logits divided by `temperature`: below 1 likelier tokens, above 1 more surprising ones."""

    temperature: float

    def __post_init__(self) -> None:
        needed(0 < self.temperature < math.inf, "temperature", self.temperature, "above 0 (do_sample=False takes the likeliest token)")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return logits / self.temperature


@dataclass(frozen=True)
class TopK:
    """The `k` likeliest tokens, and those exactly as likely as the last of them."""

    k: int
    keep: int = 1

    def __post_init__(self) -> None:
        needed(self.k > 0, "top_k", self.k, "at least 1")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return logits.masked_fill(logits < _nth(logits, max(self.k, self.keep)), OUT)


@dataclass(frozen=True)
class TopP:
    """The fewest likeliest tokens that together reach the probability `p`. https://arxiv.org/abs/1904.09751"""

    p: float
    keep: int = 1

    def __post_init__(self) -> None:
        needed(0 < self.p <= 1, "top_p", self.p, "above 0 and at most 1")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        upward = _ascending(logits)
        gone = (upward.softmax(-1).cumsum(-1) <= 1 - self.p).sum(-1, keepdim=True).clamp(max=max(0, logits.shape[-1] - self.keep))
        least = upward.gather(-1, gone)  # that stays
        removed = logits < least
        equals = gone - removed.sum(-1, keepdim=True)
        if equals.any():
            same = logits == least
            removed |= same & (same.cumsum(-1) <= equals)
        return logits.masked_fill(removed, OUT)


@dataclass(frozen=True)
class MinP:
    """The tokens at least `p` times as likely as the likeliest. https://arxiv.org/abs/2407.01082"""

    p: float
    keep: int = 1

    def __post_init__(self) -> None:
        needed(0 <= self.p <= 1, "min_p", self.p, "from 0 to 1")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        weights = logits.softmax(-1)
        return logits.masked_fill((weights < self.p * weights.amax(-1, keepdim=True)) & (logits < _nth(logits, self.keep)), OUT)


@dataclass(frozen=True)
class Typical:
    """The tokens whose surprise is nearest to the expected surprise, as many as together reach the probability `p`.

    https://arxiv.org/abs/2202.00666"""

    p: float
    keep: int = 1

    def __post_init__(self) -> None:
        needed(0 < self.p < 1, "typical_p", self.p, "above 0 and below 1")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        logs, weights = F.log_softmax(logits, -1), _weights(logits)
        far = (-logs - _entropy(logs, weights)).abs()  # (A, V)
        if logits.shape[-1] <= FEW:
            return logits.masked_fill(far > self._worst(far, weights), OUT)
        ids = far.topk(FEW, largest=False).indices.sort(dim=-1).values
        near = far.gather(-1, ids)
        worst = self._worst(near, weights.gather(-1, ids))
        open = (worst >= near.amax(-1, keepdim=True))[:, 0]  # it needs more than those, or has equals that are not among them
        if open.any():
            worst[open] = self._worst(far[open], weights[open])
        return logits.masked_fill(far > worst, OUT)

    def _worst(self, far: Tensor, weights: Tensor) -> Tensor:
        """(A, 1): how far from the expected surprise the last token that stays is."""
        near, order = far.sort(dim=-1, stable=True)
        reached = weights.gather(-1, order).cumsum(-1)
        last = (reached < self.p).sum(-1, keepdim=True).clamp(min=self.keep - 1).clamp(max=far.shape[-1] - 1)
        return near.gather(-1, last)


@dataclass(frozen=True)
class Epsilon:
    """The tokens of at least the probability `epsilon`; the likeliest where none has it. https://arxiv.org/abs/2210.15191"""

    epsilon: float
    keep: int = 1

    def __post_init__(self) -> None:
        needed(0 < self.epsilon < 1, "epsilon_cutoff", self.epsilon, "above 0 and below 1")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return logits.masked_fill((logits.softmax(-1) < self.epsilon) & (logits < _nth(logits, self.keep)), OUT)


@dataclass(frozen=True)
class Eta:
    """The tokens of at least the probability min(ε, √ε · exp(-entropy)): more of them where the model is unsure.

    https://arxiv.org/abs/2210.15191"""

    epsilon: float
    keep: int = 1

    def __post_init__(self) -> None:
        needed(0 < self.epsilon < 1, "eta_cutoff", self.epsilon, "above 0 and below 1")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        weights = _weights(logits)
        entropies = _entropy(F.log_softmax(logits, -1), weights)[:, 0].tolist()
        # One by one: torch's exp rounds differently at the end of a tensor, which would make a row depend on how many there are.
        least = [min(self.epsilon, math.sqrt(self.epsilon) * math.exp(-entropy)) for entropy in entropies]
        return logits.masked_fill((weights < weights.new_tensor(least)[:, None]) & (logits < _nth(logits, self.keep)), OUT)


def _ascending(logits: Tensor) -> Tensor:
    """Each row in order. Without their ids numpy sorts fifty thousand in a tenth of a millisecond, and torch in three."""
    return torch.from_numpy(np.sort(logits.numpy(), -1)) if logits.device.type == "cpu" else logits.sort(-1).values


def _nth(logits: Tensor, n: int) -> Tensor:
    """(A, 1): the n-th largest logit of each row."""
    if n == 1:
        return logits.amax(-1, keepdim=True)
    return logits.topk(min(n, logits.shape[-1])).values[:, -1:]


def _weights(logits: Tensor) -> Tensor:
    """(A, V) probabilities that add up to 1: those of torch's softmax are off by as much as 3e-5 where V is large."""
    weights = logits.softmax(-1)
    return weights / weights.cumsum(-1)[:, -1:]


def _entropy(logs: Tensor, weights: Tensor) -> Tensor:
    """(A, 1) nats. Added up one after another: torch's sum of a single row may be split between threads, that of many is not."""
    return (logs * weights).nan_to_num(nan=0.0).neg().cumsum(-1)[:, -1:]

"""By what the best model of a run is known: the held-out loss, or a metric of its task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..base.errors import InputError, did_you_mean
from ..data.corrupted import Masked, MaskedPairs
from ..measure.loss import evenly
from ..nn.models import Model
from ..objectives import masked


@dataclass(frozen=True)
class Judge:
    """`value(model, source, pad, most_tokens)` is the metric on held-out text, None for the loss, which is measured anyway · `higher`:
    whether more of it is better."""

    name: str = "loss"
    higher: bool = False
    value: Callable[[Model, Any, int, int | None], float] | None = None

    def better(self, found: float, best: float | None) -> bool:
        """Whether a model with this value is the best so far."""
        return best is None or (found > best if self.higher else found < best)


def judge_of(name: str, source: Any) -> Judge:
    """The judge called `name` of what a run reads. InputError when its task has no such metric."""
    if name == "loss":
        return Judge()
    known = {each.name: each for each in judges(source)}
    if name not in known:
        raise InputError(f"--best {name} is not measured in this task{did_you_mean(name, ['loss', *known])}")
    return known[name]


def judges(source: Any) -> tuple[Judge, ...]:
    """What else than the loss a model can be judged by on rows of this source."""
    if isinstance(source, Masked | MaskedPairs):
        return (Judge("accuracy", True, filled),)
    return ()


def filled(model: Model, source: Masked | MaskedPairs, pad: int, most_tokens: int | None = None) -> float:
    """The share of the hidden tokens that are the model's first choice."""
    model.eval()
    with torch.no_grad():
        found = [masked.hits(model, source, rows, pad) for rows in evenly(model, source, most_tokens=most_tokens)]
    return sum(each.right for each in found) / max(1, sum(each.hidden for each in found))

"""What a model says of labelled examples, padded side by side or packed end to end: the same either way.

B examples · S sequences · L tokens · T packed tokens · D width · N outputs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.laid import Laid
from ..nn.mask import Mask


@dataclass(frozen=True)
class Outcome:
    """`nats`: summed loss of `count` decisions · `predictions`, `references`: of each example, as its metric takes them."""

    nats: float
    count: int
    predictions: list[Any]
    references: list[Any]


def kinds(model: Any) -> bool:
    """Whether a model tells first and second texts apart."""
    return getattr(getattr(getattr(model, "stack", None), "embed", None), "types", None) is not None


def heard(model: Any, source: Laid, which: np.ndarray, pad: int, *, pack: bool = False) -> Tensor:
    """What the head says of sequences (S,): (S, N), or of all their tokens end to end (T, N)."""
    ids, mask, types, real = _laid(model, source, which, pad, pack)
    said = model(ids, mask, **types)
    return (said if pack or said.dim() == 2 else said[real]).float()


def states(model: Any, source: Laid, which: np.ndarray, pad: int, *, pack: bool = False) -> list[Tensor]:
    """The last hidden state of each token of sequences (S,): a list of (L, D); of a model that reads a source, what its encoder makes of
    it. InputError for a model that has none."""
    ids, mask, types, _ = _laid(model, source, which, pad, pack)
    lengths = [int(source.edges[i + 1] - source.edges[i]) for i in which.tolist()]
    if hasattr(model, "encoder"):
        x = model.encode(ids, mask)
    elif hasattr(model, "stack"):
        x = model.stack(ids.view(-1, ids.shape[-1]), model.prepare(ids, mask, **types)).view(*ids.shape, -1)
    else:
        raise InputError(f"a {model.config.model_type} model has no vectors of its tokens to compare texts by: take one such as bert")
    if pack:
        return list(x.float().split(lengths))
    return [row[:length].float() for row, length in zip(x, lengths, strict=True)]


def _laid(model: Any, source: Laid, which: np.ndarray, pad: int, pack: bool) -> tuple[Tensor, Mask, dict[str, Tensor], Tensor | None]:
    """(ids, mask, kinds where the model tells them apart, which of the padded tokens are real)."""
    device = model.device
    if pack:
        places = source.tokens(which)
        ids, types = source.ids[places].astype(np.int64), source.types[places].astype(np.int64)
        lengths = torch.from_numpy(source.edges[which + 1] - source.edges[which])
        mask, real = Mask(starts=F.pad(lengths.cumsum(0), (1, 0))), None
    else:
        ids, types, sizes = source.take(which, pad)
        lengths = torch.from_numpy(sizes)
        mask = Mask(lengths=lengths)
        real = (torch.arange(ids.shape[1]) < lengths[:, None]).to(device)
    given = {"types": torch.from_numpy(types).to(device)} if kinds(model) else {}
    return torch.from_numpy(ids).to(device), mask, given, real

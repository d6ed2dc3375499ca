"""What a layer may know about one forward call besides the hidden states."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .attend import Look
from .cache import KeyValueCache
from .mask import Mask


@dataclass
class Call:
    """Built once a call, outside compiled regions; `layer` is set by the stack as it goes."""

    positions: Tensor  # (B, L)
    looks: dict[int | None, Look]  # by window: layers that see equally far share one
    mask: Mask  # as the caller gave it, for the head
    types: Tensor | None = None  # (B, L) kind of each token
    places: Tensor | None = None  # the token each choice is judged by
    cache: KeyValueCache | None = None
    layer: int = 0

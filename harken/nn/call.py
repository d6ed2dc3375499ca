"""What a layer may know about one forward call besides the hidden states."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .attend import Look
from .cache import KeyValueCache


@dataclass
class Call:
    """Built once a call, outside compiled regions; `layer` is set by the stack as it goes."""

    positions: Tensor  # (B, L)
    look: Look
    cache: KeyValueCache | None = None
    layer: int = 0

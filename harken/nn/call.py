"""What a layer may know about one forward call besides the hidden states."""

from __future__ import annotations

from collections.abc import Sequence
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
    memory: Sequence[tuple[Tensor, Tensor]] = ()  # the source's keys and values (B, N, S, K), layer by layer
    source: Look | None = None  # what may be seen of them
    bias: Tensor | None = None  # as `attend` takes it, set by a stack whose positions are relative
    exact: bool = False  # the model is packed: norms by the kernel
    layer: int = 0

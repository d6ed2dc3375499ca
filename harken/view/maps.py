"""Attention maps, and only those that are wanted: of a long text, all of them together would not fit into memory.

B batch · N heads · L queries · M keys
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ..base.errors import InputError

MOST_BYTES = 2 << 30
"""Memory that the maps of one text may take."""
FLOAT = 4
AT_ONCE = 3  # maps of a whole layer that exist while it is worked out


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of one kind: `weights` (layers, heads, L, M) float32, each row a distribution over the keys its query may see, which
    numbers their `layers` and `heads` have in the model, `mean` (layers, L, M) over all heads, and how many the model has."""

    weights: np.ndarray
    mean: np.ndarray
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    all_layers: int
    all_heads: int


class Keeper(list):
    """What `model(..., maps=keeper)` appends to: it keeps the chosen heads of the chosen layers as they come (None: all), and each
    chosen layer's mean over all heads."""

    def __init__(self, layers: Sequence[int] | None = None, heads: Sequence[int] | None = None):
        super().__init__()
        self.layers, self.heads = layers, heads
        self.means: list[np.ndarray] = []
        self.seen: list[int] = []  # heads of each layer that came

    def append(self, weights: Tensor) -> None:
        """weights (1, N, L, M) of the next layer."""
        if self.layers is None or len(self.seen) in self.layers:
            found = weights.detach()[0].float().cpu().numpy()  # (N, L, M)
            super().append(found if self.heads is None else found[list(self.heads)])
            self.means.append(found.mean(0))
        self.seen.append(weights.shape[1])

    def kept(self) -> Maps:
        """All that was kept, as arrays."""
        layers = range(len(self.seen)) if self.layers is None else self.layers
        heads = range(self.seen[0]) if self.heads is None else self.heads
        return Maps(np.stack(self), np.stack(self.means), tuple(layers), tuple(heads), len(self.seen), self.seen[0])


def maps_of(
    read: Callable[[Any, int], object],
    kinds: Sequence[str],
    sizes: tuple[int, int],
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
) -> dict[str, Maps]:
    """The maps of each kind, where the model has any; {} where it attends to nothing.

    `read(maps, tokens)` lets the model read its first `tokens` tokens and append to `maps`: one list for a model that has one kind, a
    list for each kind in a dictionary for one that has several. `sizes`: the most queries and keys. Two tokens are read first: whether
    there are maps, how many layers and heads, is asked of the model itself, whatever its family.
    InputError for layers and heads that it has not, and for maps that would not fit into memory.
    """

    def asked(tokens: int, layers: Sequence[int] | None, heads: Sequence[int] | None) -> dict[str, Keeper]:
        keepers = {kind: Keeper(layers, heads) for kind in kinds}
        read(keepers if len(kinds) > 1 else keepers[kinds[0]], tokens)
        return {kind: keeper for kind, keeper in keepers.items() if keeper.seen}

    try:
        probe = asked(2, [], [])
    except InputError:
        return {}
    needed = 0
    for keeper in probe.values():
        _check("--layer", layers, len(keeper.seen), "layer")
        _check("--head", heads, keeper.seen[0], "head")
        kept = (len(keeper.seen) if layers is None else len(layers)) * (1 + (keeper.seen[0] if heads is None else len(heads)))
        needed += FLOAT * (kept + AT_ONCE * keeper.seen[0]) * sizes[0] * sizes[1]
    if needed > MOST_BYTES:
        raise InputError(
            f"the attention maps of {sizes[0]:,} tokens would take {needed / 1e9:,.1f} GB, more than {MOST_BYTES / 1e9:.1f}: "
            "choose some with --layer and --head, or leave them out with --no-maps"
        )
    return {kind: keeper.kept() for kind, keeper in asked(max(sizes), layers, heads).items()} if probe else {}


def chosen(name: str, value: Any) -> tuple[int, ...] | None:
    """Numbers as people choose them (3, "3", "0,2,5-7", [0, 2]) in order, each once; None for all of them. InputError for anything else."""
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple | range | np.ndarray) else [value]
    found = [re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", str(part).strip()) for part in parts]
    numbers = {n for each in found if each for n in range(int(each[1]), int(each[2] or each[1]) + 1)}
    if not numbers or None in found:
        raise InputError(f"{name} takes numbers from 0, as in 3 or 0,2,5-7, not {value!r}")
    return tuple(sorted(numbers))


def _check(name: str, numbers: Sequence[int] | None, count: int, what: str) -> None:
    if numbers is not None and (not numbers or max(numbers) >= count):
        raise InputError(f"{name} {max(numbers, default='')}: this model has {count} {what}s, 0 to {count - 1}")

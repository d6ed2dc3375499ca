"""The cache of a model whose every layer sees only the last tokens: what no query will look at again is let go.

https://arxiv.org/abs/2310.06825 section 2     B batch · L new tokens · G key/value heads · K head width · M slots
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..base.errors import InputError
from .cache import Cache, KeyValueCache


class WindowCache(KeyValueCache):
    """Keys and values of the last `window` tokens and some more: there are twice as many slots, so that what is kept moves to the front
    once in `window` tokens. `first` (B,): the token that lies in each row's first slot."""

    def __init__(self, layers: int, batch: int, groups: int, width: int, size: int, window: int, like: Tensor):
        super().__init__(layers, batch, groups, width, min(size, 2 * window), like)
        self.slots, self.size, self.window = self.size, size, window
        self.first = torch.zeros(batch, dtype=torch.int64)

    @property
    def held(self) -> int:
        """Slots in use in the fullest row."""
        return int((self.lengths - self.first).max())

    def open(self, new: int, counts: Tensor | None) -> Tensor:
        """As every cache; what is no longer seen makes room first."""
        positions = Cache.open(self, new, counts)
        if self.held + new > self.slots:
            self._move(new)
        places = self.places(positions)
        self._lay(places, counts is None and bool((places == places[0]).all()), self.slots)
        return positions.to(self.keys[0].device)

    def places(self, positions: Tensor) -> Tensor:
        """Positions (B, L) -> the slots they lie in."""
        return positions - self.first[:, None].to(positions.device)

    def keys_after(self, new: int) -> int:
        """Slots a call with `new` tokens a row may look at."""
        return min(self.held + new, self.slots + 1)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order."""
        super().select(rows)
        self.first = self.first[rows.cpu()]

    def trim(self, lengths: Tensor) -> None:
        """Forget all but the first `lengths` (B,) tokens of each row: none of them, or so few that what is seen is still there."""
        lengths = torch.minimum(self.lengths, lengths.cpu())
        lost = (self.first > (lengths - self.window + 1).clamp(min=0)) & (lengths > 0)
        if bool(lost.any()):
            raise InputError(f"a cache with a window of {self.window} tokens cannot go back that far: read the text again")
        self.lengths, self.first = lengths, torch.where(lengths > 0, self.first, 0)

    def snapshot(self) -> tuple[Tensor, Tensor]:
        """Lengths and first tokens as they are now."""
        return self.lengths.clone(), self.first.clone()

    def restore(self, snapshot: tuple[Tensor, Tensor]) -> None:
        """Go back to a snapshot. InputError when what was seen then is gone."""
        lengths, first = snapshot
        if bool((first != self.first).any()):
            self.trim(lengths)
        self.lengths = lengths.clone()

    def _move(self, new: int) -> None:
        """What is still seen to the front, and more slots where the new tokens need them."""
        kept = (self.lengths - self.first).clamp(max=self.window)
        drop, most = self.lengths - self.first - kept, int(kept.max())
        slots = max(self.slots, most + new)
        device = self.keys[0].device
        rows = torch.arange(len(drop), device=device)[:, None]
        places = (drop[:, None] + torch.arange(most)).clamp(max=self.slots).to(device)  # (B, most)
        for at in range(len(self.keys)):
            keys = self.keys[at][rows, :, :, places].permute(0, 2, 3, 1)  # (B, G, K, most)
            values = self.values[at][rows, :, places].transpose(1, 2)
            if slots > self.slots:
                b, g, k, _ = self.keys[at].shape
                self.keys[at] = keys.new_zeros(b, g, k, slots + 1)
                self.values[at] = values.new_zeros(b, g, slots + 1, values.shape[-1])
            self.keys[at][..., :most], self.values[at][:, :, :most] = keys, values
        self.slots, self.first = slots, self.first + drop

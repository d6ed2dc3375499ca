"""Which keys may a query see? Declared as a value here, drawn as intervals or as a tensor only when a kernel needs it.

Every mask of this library is one interval of keys a query: causal [0, p], windowed (p - w, p], padded [0, length), packed
[start of its document, p]. So one attention serves them all.   B batch · L queries · M keys · T packed tokens
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from ..base.errors import InputError


@dataclass(frozen=True)
class Mask:
    """`causal`: only keys at or before the query. `window`: only keys less than this many positions away.
    `lengths` (B,): real tokens of each row, padding on the right (what padding sees
    is anything). `starts` (documents + 1,): where the documents of a packed row (T,) begin, and where the last one ends; such a row has
    no padding. `sources` (documents + 1,): where those begin that its documents look at, packed too, instead of at
    themselves. `branches` (B, L, 2): a text that goes on in several ways, its branches behind it in the row: a token sees the first
    branches[..., 0] tokens of its row, and those from branches[..., 1] up to itself; of the text itself both are its own place."""

    causal: bool = False
    window: int | None = None
    lengths: Tensor | None = None
    starts: Tensor | None = None
    sources: Tensor | None = None
    branches: Tensor | None = None

    def within(self, window: int | None) -> Mask:
        """The same mask for a model that looks no further than its own `window`."""
        windows = [w for w in (self.window, window) if w is not None]
        return dataclasses.replace(self, window=min(windows) if windows else None)

    def with_causal(self, window: int | None = None) -> Mask:
        """The same for one that only looks back."""
        return dataclasses.replace(self.within(window), causal=True, sources=None)

    @property
    def plain(self) -> bool:
        """Whether `causal` alone says everything: right padding is never seen by the real tokens of a causal model."""
        return self.window is None and self.starts is None and self.branches is None and (self.causal or self.lengths is None)

    def intervals(self, positions: Tensor, keys: int) -> tuple[Tensor, Tensor]:
        """positions (B, L) of the queries -> (start, stop), both (B, L) int64: the keys start <= j < stop may be seen."""
        start, stop = torch.zeros_like(positions), torch.full_like(positions, keys)
        place = positions
        if self.starts is not None:
            place = torch.arange(positions.shape[-1], device=positions.device)[None]  # (1, T): keys lie where they were packed
            document = torch.bucketize(place, self.starts[1:].to(positions), right=True)
            starts = (self.starts if self.sources is None else self.sources).to(positions)
            start, stop = starts[document], starts[document + 1]
        elif self.lengths is not None and not self.causal:
            stop = self.lengths.to(positions.device)[:, None].expand_as(positions)
        if self.causal:
            stop = torch.minimum(stop, place + 1)
        if self.window is not None:
            start = torch.maximum(start, place - self.window + 1).clamp(max=keys)  # padding may stand behind the last key
            stop = torch.minimum(stop, place + self.window)
        return start.contiguous(), torch.maximum(stop, start).contiguous()

    def positions(self, length: int) -> Tensor:
        """(1, L), of a text with branches (B, L): where each of `length` tokens stands that follow nothing."""
        if self.branches is not None:
            return self.branch_positions()
        return (torch.arange(length) if self.starts is None else self.document_positions())[None]

    def document_positions(self) -> Tensor:
        """(T,) positions that begin anew in every document of a packed row."""
        if self.starts is None:
            raise InputError("Mask(starts=...) is needed to place the tokens of a packed row")
        place = torch.arange(int(self.starts[-1]), device=self.starts.device)
        document = torch.bucketize(place, self.starts[1:], right=True)
        return place - self.starts[document]

    def branch_positions(self) -> Tensor:
        """(B, L) where each token of a text with branches stands in its own way to go on."""
        if self.branches is None:
            raise InputError("Mask(branches=...) is needed to place the tokens of a text that goes on in several ways")
        return self.branches[..., 0] + torch.arange(self.branches.shape[1], device=self.branches.device) - self.branches[..., 1]

    def branched(self) -> Tensor:
        """(B, 1, L, L) bool, True where a token of a text with branches may look."""
        places = self.branch_positions()
        assert self.branches is not None
        before, start = self.branches[..., :1], self.branches[..., 1:]  # (B, L, 1)
        keys = torch.arange(places.shape[1], device=places.device)
        seen = (keys < before) | ((keys >= start) & (keys <= keys[:, None]))
        if self.window is not None:
            seen &= places[:, :, None] - places[:, None] < self.window
        return seen[:, None]


def dense(start: Tensor, stop: Tensor, keys: int) -> Tensor:
    """Intervals (B, L) -> (B, 1, L, M) bool, True where the query may look."""
    j = torch.arange(keys, device=start.device)
    return ((j >= start[..., None]) & (j < stop[..., None]))[:, None]

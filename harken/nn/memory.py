"""What an encoder-decoder keeps while it writes: its own keys and values, and those of the sources, of each source once, however many rows
write about it.

A rows · S sources · M tokens of the longest · T tokens of all sources · G key/value heads · K head width
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .attend import Look
from .cache import KeyValueCache
from .kernels.carry import carry
from .kernels.exact import use_threads
from .mask import Mask

Layers = list[tuple[Tensor, Tensor]]
"""Keys and values, layer by layer."""


class SourceCache(KeyValueCache):
    """`memory`: keys and values of the sources in every layer, projected once: those of all sources end to end, (1, G, T, K), for the exact
    kernel, which looks at intervals; else a row for each source, (S, G, M, K).

    `of` (A,): the source that each row writes about · `starts` (S + 1,): where the sources begin that lie end to end · `lengths_read` (S,):
    the tokens of those that do not (None: all M). Rows that go on from others, as beams do, take over only what they do not hold alike."""

    memory: Layers

    def __init__(self, layers: int, batch: int, groups: int, width: int, size: int, like: Tensor):
        super().__init__(layers, batch, groups, width, size, like)
        self.memory, self.of = [], torch.arange(batch)
        self.starts: Tensor | None = None
        self.lengths_read: Tensor | None = None
        self._stamps = np.full((batch, size), -1)  # where two rows have the same stamp, they have the same keys and values
        self._calls = 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return super().nbytes + sum(k.nbytes + v.nbytes for k, v in self.memory)

    def open(self, new: int, counts: Tensor | None) -> Tensor:
        """As every cache; what is written now is like nothing before it."""
        positions = super().open(new, counts)
        rows = len(self.lengths)
        fresh = np.arange(self._calls, self._calls + rows)[:, None]
        self._calls += rows
        np.put_along_axis(self._stamps, np.minimum(positions.cpu().numpy(), self.size - 1), fresh, 1)
        return positions

    def edges(self) -> tuple[Tensor, Tensor] | None:
        """Where the source of each row (A,) begins among all that lie end to end, and where it ends; None where they do not."""
        return None if self.starts is None else (self.starts[self.of], self.starts[self.of + 1])

    def look(self, new: int, exact: bool) -> Look:
        """What `new` tokens of each row may see of the memory."""
        device = self.keys[0].device
        read = self.memory[0][0].shape[2]
        if (edges := self.edges()) is not None:
            start, stop = (edge.repeat_interleave(new)[None] for edge in edges)
            return Look(Mask(), read, start, stop, exact=True)
        per = new * len(self.of) // len(self.memory[0][0])  # rows of one source are queries of one source
        places = torch.arange(per, device=device).expand(len(self.memory[0][0]), per)
        return Look.of(Mask(lengths=self.lengths_read), places, read, exact=exact)

    def apart(self) -> tuple[Layers, Tensor | None]:
        """The memory as a row (A, G, M, K) for each row that writes, and the tokens of each."""
        if self.starts is None:
            lengths = None if self.lengths_read is None else self.lengths_read[self.of.to(self.lengths_read.device)]
            place = self.of.to(self.keys[0].device)
            return [(k[place], v[place]) for k, v in self.memory], lengths
        start, lengths = self.starts[self.of], self.starts.diff()[self.of]
        place = (start[:, None] + torch.arange(int(lengths.max()))).clamp(max=int(self.starts[-1]) - 1)  # (A, M)
        return [(k[0][:, place].transpose(0, 1), v[0][:, place].transpose(0, 1)) for k, v in self.memory], lengths

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order."""
        rows = rows.cpu()
        of, new = self.of[rows], rows.numpy()
        if len(rows) > len(self.lengths):
            super().select(rows)
            self._stamps = self._stamps[new]
        else:
            self._carry(new)
            self.lengths = self.lengths[rows]
        self.of = of
        if self.starts is None:
            self._remember()

    def _carry(self, rows: np.ndarray) -> None:
        """The same, of the keys and values of what was written."""
        held, count = self.held, len(rows)
        old = self._stamps[:, :held]
        new = old[rows]
        other = new != old[:count]
        targets = np.flatnonzero(other.any(1))
        first, sources = other[targets].argmax(1), rows[targets]
        self._stamps = self._stamps[:count]
        self._stamps[:, :held] = new
        for at, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            if len(targets) and keys.dtype == torch.float32 and keys.device.type == "cpu":
                use_threads(8 * len(targets) * keys.shape[1] * keys.shape[2] * (held - int(first.min())))
                carry(keys.numpy(), values.numpy(), targets, sources, first, held)
            elif len(targets):
                carried(keys, values, targets, sources, int(first.min()), held)
            self.keys[at], self.values[at] = keys[:count], values[:count]

    def _remember(self) -> None:
        """Of rows that are left keep the sources, each once where equally many rows write about it; else once for each row."""
        kept, of = self.of.unique(return_inverse=True)
        if not torch.equal(of, torch.arange(len(kept)).repeat_interleave(len(of) // len(kept))):
            kept, of = self.of, torch.arange(len(of))
        if not torch.equal(kept, torch.arange(len(self.memory[0][0]))):
            place = kept.to(self.keys[0].device)
            self.memory = [(k.mT[place].mT, v[place]) for k, v in self.memory]  # keys stay as they lie
            self.lengths_read = None if self.lengths_read is None else self.lengths_read[kept.to(self.lengths_read.device)]
        self.of = of


def carried(keys: Tensor, values: Tensor, targets: np.ndarray, sources: np.ndarray, first: int, held: int) -> None:
    """keys (B, G, K, M), values (B, G, M, K): each of `targets` becomes what the row beside it in `sources` was, slots first:held."""
    into, place = (torch.from_numpy(rows).to(keys.device) for rows in (targets, sources))
    keys[into, :, :, first:held] = keys[place, :, :, first:held]
    values[into, :, first:held] = values[place, :, first:held]

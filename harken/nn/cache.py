"""What was already read, so that the next token costs one step. A cache belongs to the caller and is passed in.

Every row has its own length: prompts of different length share a batch without gaps, and a row's keys lie at 0..length-1.

B batch · L new tokens · G key/value heads · K head width · M room for tokens
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..base.errors import InputError


class Cache:
    """What every cache keeps: the room for tokens in a row, and `lengths` (B,) int64 on the CPU, the tokens each row holds.

    A call opens the cache for its new tokens, writes, and closes it; what was written beyond a length is never read.
    """

    forgets = True
    """Whether `trim` can take out the last tokens of a row alone."""

    def __init__(self, batch: int, size: int):
        self.size = size
        self.lengths = torch.zeros(batch, dtype=torch.int64)
        self._counts = self.lengths

    @property
    def longest(self) -> int:
        """Tokens in the longest row."""
        return int(self.lengths.max())

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.lengths.nbytes

    def open(self, new: int, counts: Tensor | None) -> Tensor:
        """Begin a call with `new` tokens a row, of which `counts` (B,) are real (None: all). Returns positions (B, L) on the CPU."""
        self._counts = torch.full_like(self.lengths, new) if counts is None else counts.to(self.lengths)
        if not 0 <= int(self._counts.min()) <= int(self._counts.max()) <= new:
            raise InputError(f"the lengths of new tokens must lie within 0 to {new}, the width of the batch: {self._counts.tolist()}")
        longest = int((self.lengths + self._counts).max())
        if longest > self.size:
            raise InputError(f"the cache has room for {self.size} tokens a row and {longest} are needed: begin() with a greater length")
        return self.lengths[:, None] + torch.arange(new)

    def close(self) -> None:
        """End the call: the real tokens count from now on."""
        self.lengths = self.lengths + self._counts

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; a row may be taken more than once (samples, beams)."""
        self.lengths = self.lengths[rows.cpu()]

    def snapshot(self) -> Any:
        """What `restore` needs to forget everything that comes after now."""
        return self.lengths.clone()

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        self.lengths = snapshot.clone()

    def trim(self, lengths: Tensor) -> None:
        """Forget all but the first `lengths` (B,) tokens of each row."""
        self.lengths = torch.minimum(self.lengths, lengths.cpu())


class KeyValueCache(Cache):
    """Keys and values of every layer. Keys lie transposed (B, G, K, M + 1), as the exact kernel reads them; the last slot takes what
    padding writes.

    `fixed`: every step reads all the room, masked, so that its shapes never change and a compiled step is compiled once.
    """

    fixed = False

    def __init__(self, layers: int, batch: int, groups: int, width: int, size: int, like: Tensor):
        super().__init__(batch, size)
        self.keys = [like.new_zeros(batch, groups, width, size + 1) for _ in range(layers)]
        self.values = [like.new_zeros(batch, groups, size + 1, width) for _ in range(layers)]
        self._slots: Tensor | None = None  # (B, L) where this call's tokens go, while a call is under way
        self._first: int | None = None  # the same as one slice, when every row has the same length

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(t.nbytes for t in (*self.keys, *self.values))

    def open(self, new: int, counts: Tensor | None) -> Tensor:
        """As every cache; positions (B, L) come on the device of the keys."""
        positions = super().open(new, counts)
        self._lay(positions, counts is None and not self.fixed and bool((self.lengths == self.lengths[0]).all()), self.size)
        return positions.to(self.keys[0].device)

    def _lay(self, places: Tensor, even: bool, last: int) -> None:
        """The slots (B, L) of the new tokens, the `last` for padding; `even`: they are the same in every row."""
        real = torch.arange(places.shape[1]) < self._counts[:, None]
        self._first = int(places[0, 0]) if even else None
        self._slots = None if even else torch.where(real, places, last).to(self.keys[0].device)

    @property
    def held(self) -> int:
        """Slots in use in the fullest row."""
        return self.longest

    def places(self, positions: Tensor) -> Tensor:
        """Positions (B, L) -> the slots they lie in."""
        return positions

    def keys_after(self, new: int) -> int:
        """Keys a call with `new` tokens a row may look at: those in its longest row, padding included."""
        return self.size + 1 if self.fixed else min(self.longest + new, self.size + 1)

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Hold k and v (B, G, L, K); returns all there is room for, (B, G, M + 1, K) each: the mask says what is real."""
        keys, values = self.keys[layer], self.values[layer]
        if self._first is not None:
            keys[..., self._first : self._first + k.shape[2]] = k.mT
            values[:, :, self._first : self._first + k.shape[2]] = v
        else:
            rows = torch.arange(k.shape[0], device=k.device)[:, None]
            keys[rows, :, :, self._slots] = k.transpose(1, 2)
            values[rows, :, self._slots] = v.transpose(1, 2)
        return keys.mT, values

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order. Only what holds something is copied."""
        held, same = self.held, len(rows) == len(self.lengths)
        super().select(rows)
        place = rows.to(self.keys[0].device)
        for at in range(len(self.keys)):
            keys, values = self.keys[at][..., :held][place], self.values[at][:, :, :held][place]
            if not same:
                shape = self.keys[at].shape
                self.keys[at] = keys.new_zeros(len(rows), *shape[1:])
                self.values[at] = values.new_zeros(len(rows), *self.values[at].shape[1:])
            self.keys[at][..., :held], self.values[at][:, :, :held] = keys, values


class HistoryCache(Cache):
    """The token ids themselves, for models that look back a few tokens: n-grams, the bigram, Bengio's MLP, cosine attention."""

    def __init__(self, batch: int, size: int):
        super().__init__(batch, size)
        self.ids = torch.zeros(batch, size + 1, dtype=torch.int64)  # the last slot takes what padding writes

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.ids.nbytes

    def append(self, ids: Tensor) -> None:
        """Hold the new ids (B, L) of the open call."""
        new = torch.arange(ids.shape[1])
        slots = torch.where(new < self._counts[:, None], self.lengths[:, None] + new, self.size)
        self.ids[torch.arange(len(ids))[:, None], slots] = ids.cpu()

    def before(self, new: int, n: int, fill: int) -> Tensor:
        """(B, L, n): for each new token of the open call the `n` ids up to and including it, oldest first; `fill` where there is none."""
        places = self.lengths[:, None, None] + torch.arange(new)[None, :, None] + torch.arange(1 - n, 1)  # (B, L, n)
        found = self.ids[torch.arange(len(self.ids))[:, None, None], places.clamp(0, self.size)]
        return torch.where(places >= 0, found, fill)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order."""
        super().select(rows)
        self.ids = self.ids[rows.cpu()]


class StateCache(Cache):
    """All that a recurrent model remembers: one state (S, B, H) a layer, of S vectors a row (two in an LSTM), whatever was read.

    A state is replaced, never written into, so a snapshot costs nothing.
    """

    forgets = False

    def __init__(self, layers: int, vectors: int, batch: int, hidden: int, size: int, like: Tensor):
        super().__init__(batch, size)
        self.states = [like.new_zeros(vectors, batch, hidden) for _ in range(layers)]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(t.nbytes for t in self.states)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order."""
        super().select(rows)
        self.states = [t[:, rows.to(t.device)] for t in self.states]

    def snapshot(self) -> tuple[Tensor, list[Tensor]]:
        """Lengths and states as they are now."""
        return self.lengths.clone(), list(self.states)

    def restore(self, snapshot: tuple[Tensor, list[Tensor]]) -> None:
        """Go back to a snapshot."""
        lengths, states = snapshot
        self.lengths, self.states = lengths.clone(), list(states)

    def trim(self, lengths: Tensor) -> None:
        """InputError, unless there is nothing to forget: the words are mixed into the state and cannot be taken out."""
        if bool((lengths.cpu() < self.lengths).any()):
            raise InputError("a recurrent state cannot forget its last tokens: restore a snapshot taken before they were read")


class SourceStateCache(StateCache):
    """Beside the states, what was read of the source: `memory` (B, S, D), a vector a token, `keys` (B, S, K), made of it once, and
    `sources` (B,), the tokens each row has. The last state is what the next step is fed beside its token."""

    memory: Tensor
    keys: Tensor
    sources: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return super().nbytes + self.memory.nbytes + self.keys.nbytes * (self.keys is not self.memory)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order, and their sources."""
        super().select(rows)
        place = rows.to(self.memory.device)
        alike = self.keys is self.memory
        self.memory, self.sources = self.memory[place], self.sources[place]
        self.keys = self.memory if alike else self.keys[place]

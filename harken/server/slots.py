"""Room for the keys and values of many texts: a table with a row for each, where a call reads as many rows as are under way.

A row keeps its own length. The table grows to twice its rows or its tokens, never by a step, and what moves is only what is held.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from ..nn.cache import KeyValueCache
from ..nn.decoder import Decoder
from ..nn.mask import Mask
from ..nn.models import Model

SHORTEST = 64
"""Tokens in a row at least."""


def fits(model: Model) -> bool:
    """Whether the model keeps keys and values of all it has read, which is what the table holds."""
    parts: list[Any] = [part for part in model.modules() if hasattr(part, "kv_heads")]
    windows = [part.window for part in parts if getattr(part, "window", None) is not None]
    return isinstance(model, Decoder) and bool(parts) and (not windows or model.context <= 2 * max(windows))


def bucket(count: int, least: int, most: int) -> int:
    """`count` rounded up to `least` times a power of two, `most` at most."""
    size = least
    while size < count:
        size *= 2
    return min(size, max(most, count))


class Slots:
    """`rows` texts of up to `size` tokens. `each`: bytes of a token."""

    def __init__(self, model: Model) -> None:
        self.model, self.cache = model, model.begin(1, 1)
        if not isinstance(self.cache, KeyValueCache):
            raise TypeError("a table of slots holds keys and values")
        self.each = self.cache.nbytes // 2  # one token, and the slot for padding
        self.rows = self.size = 0

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.cache.nbytes if self.rows else 0

    def shape(self, rows: int, tokens: int, most: int, room: int, *, new: bool = False) -> tuple[int, int] | None:
        """(rows, tokens in each) of a table for so many, of at most `most` rows and `room` bytes: this one as it is or grown, or a `new`
        one that is no larger than it must be; None where there is no room for that."""
        needed = bucket(rows, 1, most), bucket(tokens, SHORTEST, self.model.context)
        grown = max(needed[0], self.rows), max(needed[1], self.size)
        tight = rows, tokens
        shapes = [needed, tight] if new else [grown, needed, tight]
        return next((shape for shape in shapes if shape[0] * (shape[1] + 1) * self.each <= room), None)

    def resize(self, rows: int, size: int) -> None:
        """Another table, with what both have room for."""
        if (rows, size) == (self.rows, self.size):
            return
        before: Any = self.cache
        after: Any = self.model.begin(rows, size)
        same, held = min(rows, self.rows), min(size, self.size, int(before.lengths[: self.rows].max()) if self.rows else 0)
        for old, new in zip(before.keys, after.keys, strict=True):
            new[:same, :, :, :held] = old[:same, :, :, :held]
        for old, new in zip(before.values, after.values, strict=True):
            new[:same, :, :held] = old[:same, :, :held]
        after.lengths[:same] = before.lengths[:same]
        self.cache, self.rows, self.size = after, rows, size

    def read(self, first: int, ids: Tensor, counts: Tensor | None, types: Tensor | None, *, last: bool) -> Tensor | None:
        """Read ids (B, L) into the rows from `first` on, of each as many as `counts` (B,) says (None: all); `last`: (B, V), what the model
        says comes next."""
        part: Any = copy.copy(self.cache)
        part.keys = [keys[first : first + len(ids)] for keys in self.keys]
        part.values = [values[first : first + len(ids)] for values in self.values]
        part.lengths = self.cache.lengths[first : first + len(ids)].clone()
        mask, extra = Mask() if counts is None else Mask(lengths=counts), {} if types is None else {"types": types}
        try:
            if last:
                return self.model(ids, mask, cache=part, last=True, **extra)
            model: Any = self.model
            model.hidden(ids, mask, cache=part, **extra)  # nobody asks for what comes next, and the head is dear
            return None
        finally:
            self.cache.lengths[first : first + len(ids)] = part.lengths

    @property
    def keys(self) -> list[Tensor]:
        """(rows, G, K, size + 1) of every layer."""
        return self.cache.keys  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def values(self) -> list[Tensor]:
        """(rows, G, size + 1, K) of every layer."""
        return self.cache.values  # pyright: ignore[reportAttributeAccessIssue]

    def length(self, row: int) -> int:
        """Tokens that a row holds."""
        return int(self.cache.lengths[row])

    def cut(self, row: int, length: int) -> None:
        """Forget what is behind the first tokens of a row."""
        self.cache.lengths[row] = length

    def take(self, row: int, length: int) -> tuple[list[Tensor], list[Tensor]]:
        """A copy of the keys (G, K, length) and values (G, length, K) of a row, layer by layer."""
        return [keys[row, ..., :length].clone() for keys in self.keys], [values[row, :, :length].clone() for values in self.values]

    def put(self, row: int, length: int, keys: list[Tensor], values: list[Tensor]) -> None:
        """Let a row hold what was taken, the first `length` tokens of it."""
        for mine, theirs in zip(self.keys, keys, strict=True):
            mine[row, ..., :length] = theirs[..., :length]
        for mine, theirs in zip(self.values, values, strict=True):
            mine[row, :, :length] = theirs[:, :length]
        self.cut(row, length)

    def move(self, source: int, target: int, length: int | None = None) -> None:
        """Let one row hold what another does, or the beginning of it."""
        length = self.length(source) if length is None else length
        self.put(target, length, [keys[source] for keys in self.keys], [values[source] for values in self.values])

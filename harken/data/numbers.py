"""Rows of numbers that may be larger than memory: plain arrays while small, else mapped from temporary files (the token shards)."""

from __future__ import annotations

import mmap

import numpy as np
import numpy.typing as npt

from .blob import Blob, Spill, full, scratch

ROWS = 65_536
"""Rows worked on at once where a whole column would be too large a copy."""


class Numbers:
    """An array to be appended to: (n,) of `dtype`, or (n, `width`)."""

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None, name: str = "the data") -> None:
        self.dtype, self.width = np.dtype(dtype), width
        self._spill = Spill(name)

    def add(self, rows: npt.ArrayLike) -> None:
        """Append rows. RunError when the disk is full."""
        rows = np.ascontiguousarray(rows, self.dtype)
        if rows.size:
            self._spill.write(rows.reshape(-1).view(np.uint8).data)

    def array(self) -> np.ndarray:
        """All rows, read-only."""
        if not self._spill.size:
            return np.zeros((0,) if self.width is None else (0, self.width), self.dtype)
        flat = np.frombuffer(self._spill.blob().buffer(), self.dtype)
        return flat if self.width is None else flat.reshape(-1, self.width)


def room(size: int, dtype: npt.DTypeLike, name: str = "the data") -> np.ndarray:
    """(size,) numbers to be written in any order, all 0. RunError when the disk is full."""
    length = size * np.dtype(dtype).itemsize
    if length <= Blob.HELD:
        return np.zeros(size, dtype)
    with scratch(name) as file:
        try:
            for at in range(0, length, Blob.BLOCK):  # a full disk shows here; later it would be a signal
                file.write(bytes(min(Blob.BLOCK, length - at)))
            file.flush()
        except OSError as error:
            raise full(error, name) from error
        return np.frombuffer(mmap.mmap(file.fileno(), length), dtype)

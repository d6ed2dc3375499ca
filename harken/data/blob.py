"""Bytes that may be larger than memory: read in place from a file, or written once, in memory while small, and then read."""

from __future__ import annotations

import errno
import io
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..base.errors import InputError, RunError


class Blob:
    """Read-only bytes of one source. `size`: how many · `name`: what an error calls them.

    A user's file is read call by call and never mapped: one that shrinks meanwhile gives a sentence, not a signal that ends the process.
    """

    BLOCK = 4 << 20
    """Bytes worked on at once: enough to keep numpy and the tokenizer busy."""
    HELD = 64 << 20
    """Bytes that are kept in memory; what is larger stays in its file, or goes to a temporary one."""

    def __init__(self, held: bytes | OpenFile, name: str, begin: int = 0) -> None:
        self.name = name
        self.size = (len(held) if isinstance(held, bytes) else held.size()) - begin
        self._held, self._begin = held, begin

    @classmethod
    def open(cls, path: str | os.PathLike[str], name: str) -> Blob:
        """The bytes of a regular file, read at once when they are few. OSError when it cannot be opened."""
        whole = cls(OpenFile(os.open(path, os.O_RDONLY)), name)
        return cls(whole.read(0, whole.size), name) if whole.size <= cls.HELD else whole

    def tail(self, begin: int) -> Blob:
        """The same bytes without the first `begin`."""
        return Blob(self._held, self.name, self._begin + begin)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop). InputError when the file cannot be read, or has become shorter than it was."""
        start, stop = start + self._begin, stop + self._begin
        if isinstance(self._held, bytes):
            return self._held[start:stop]
        try:
            found = self._held.read(start, stop)
        except OSError as error:
            raise InputError(f"{self.name} cannot be read ({error.strerror or error})") from error
        if len(found) < stop - start:
            raise InputError(f"{self.name} became shorter while it was read: let it be finished, then try again")
        return found

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) of consecutive blocks that make up [start, stop)."""
        stop = self.size if stop is None else stop
        for at in range(start, stop, self.BLOCK):
            yield at, self.read(at, min(at + self.BLOCK, stop))

    def buffer(self) -> bytes | mmap.mmap:
        """All bytes at once, mapped where they lie in a file: only for one that nobody else can change."""
        if isinstance(self._held, bytes):
            return self.read(0, self.size)
        return mmap.mmap(self._held.number, self.size, access=mmap.ACCESS_READ)


class OpenFile:
    """A file to read at any place, closed when nobody reads it any more. `number`: the descriptor, which it takes over."""

    def __init__(self, number: int) -> None:
        self.number = number

    def size(self) -> int:
        """Bytes it has now."""
        return os.fstat(self.number).st_size

    def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop), fewer where the file ends before."""
        parts = []
        while start < stop and (part := os.pread(self.number, stop - start, start)):  # one call gives at most two gigabytes
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __del__(self) -> None:
        os.close(self.number)


class Spill:
    """Bytes to be written one after another and then read: in memory up to Blob.HELD, else in a temporary file."""

    def __init__(self, name: str) -> None:
        self.name, self.size = name, 0
        self._to: io.BytesIO | IO[bytes] = io.BytesIO()

    def write(self, data: bytes | memoryview) -> None:
        """Append. RunError when the disk is full."""
        try:
            if self.size + len(data) > Blob.HELD and isinstance(self._to, io.BytesIO):
                before, self._to = self._to, scratch(self.name)
                self._to.write(before.getbuffer())
            self._to.write(data)
        except OSError as error:
            raise full(error, self.name) from error
        self.size += len(data)

    def blob(self) -> Blob:
        """What was written. Nothing may be added then."""
        if isinstance(self._to, io.BytesIO):
            return Blob(self._to.getvalue(), self.name)
        try:
            self._to.flush()
        except OSError as error:
            raise full(error, self.name) from error
        with self._to:
            return Blob(OpenFile(os.dup(self._to.fileno())), self.name)


def scratch(name: str) -> IO[bytes]:
    """A temporary file that is gone with its last reader, where the user's caches lie: /tmp is memory on many machines.

    RunError when there is no place for one; `name` says for what.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    try:
        folder = Path(caches) / "harken"
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder, buffering=1 << 20)
    except OSError:
        try:
            return tempfile.TemporaryFile(buffering=1 << 20)
        except OSError as error:
            raise full(error, name) from error


def full(error: OSError, name: str) -> RunError:
    """What to say when a temporary file cannot be written."""
    why = "no space is left" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else error.strerror or str(error)
    return RunError(f"{name} is held in a temporary file, for which {why}: make room, or name another folder with XDG_CACHE_HOME")

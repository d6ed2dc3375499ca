"""Texts that may be larger than memory together, and one by one: a sequence of str over bytes that stay where they are."""

from __future__ import annotations

import codecs
import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from ..base.errors import InputError
from ..text.pieces import PIECE, pieces
from .blob import Blob, Spill
from .numbers import ROWS, Numbers

_GAP = 1 << 16
"""Bytes between two texts beyond which they are not read together."""
_BATCH = 1_000
"""Texts that are worth handing to a tokenizer at once."""


class Texts(Sequence[str]):
    """An immutable sequence of texts: places in UTF-8 bytes, read and decoded when they are asked for.

    `blob`: the bytes · `bounds` (n, 2) int64: each text is the bytes [start, end). InputError when the bytes are not what they were.
    Indexing and iterating give whole texts; `parts` and `batches` never hold a long one.
    """

    def __init__(self, blob: Blob, bounds: np.ndarray) -> None:
        self.blob, self.bounds = blob, bounds

    @classmethod
    def of(cls, texts: Iterable[str], name: str = "the text") -> Texts:
        """A copy of any texts. InputError when one holds half a character."""
        builder = TextsBuilder(name)
        for text in texts:
            builder.add(text)
        return builder.texts()

    def __len__(self) -> int:
        return len(self.bounds)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Texts: ...
    def __getitem__(self, index: int | slice) -> str | Texts:
        """One text, or some of them without a copy."""
        if isinstance(index, slice):
            return Texts(self.blob, self.bounds[index])
        start, end = self.bounds[index].tolist()
        return self._decode(self.blob.read(start, end))

    def __iter__(self) -> Iterator[str]:
        for number, bounds, block in self._runs():
            if block is None:
                yield self[number]
                continue
            for part in _slices(block, bounds):
                yield self._decode(part)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == yours for mine, yours in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Texts({len(self):,} of {self.blob.name})"

    def select(self, which: np.ndarray) -> Texts:
        """Those for which `which` (n,) bool is true. The text itself is not copied."""
        kept = Numbers(np.int64, 2, self.blob.name)
        for at in range(0, len(self), ROWS):
            kept.add(self.bounds[at : at + ROWS][which[at : at + ROWS]])
        return Texts(self.blob, kept.array())

    # ---- what never holds a long text

    def parts(self) -> Iterator[tuple[int, str]]:
        """(number of the text, piece) of all texts in order: at most a million characters each, cut where `text.pieces` cuts."""
        for number, bounds, block in self._runs():
            if block is None:
                yield from ((number, piece) for piece in self._long(*bounds[0].tolist()))
                continue
            for i, part in enumerate(_slices(block, bounds), number):
                text = self._decode(part)
                if len(text) <= PIECE:
                    yield i, text
                else:
                    yield from ((i, piece) for piece in pieces(text))

    def batches(self) -> Iterator[list[tuple[int, str]]]:
        """The parts in lists of up to a thousand and of a few million characters."""
        batch: list[tuple[int, str]] = []
        size = 0
        for part in self.parts():
            if len(batch) == _BATCH or size + len(part[1]) > 4 * PIECE:
                yield batch
                batch, size = [], 0
            batch.append(part)
            size += len(part[1])
        if batch:
            yield batch

    def raw(self) -> Iterator[tuple[int, list[bytes]]]:
        """(number of the first, UTF-8 of some texts) in order; a text longer than a block comes block by block under one number."""
        for number, bounds, block in self._runs():
            if block is None:
                yield from ((number, [part]) for _, part in self.blob.blocks(*bounds[0].tolist()))
            else:
                yield number, _slices(block, bounds)

    def fingerprints(self) -> Iterator[np.ndarray]:
        """(some,) uint64: 64 bits of each text's BLAKE2 hash, in order."""
        for _, bounds, block in self._runs():
            if block is None:
                digest = hashlib.blake2b(digest_size=8)
                for _, part in self.blob.blocks(*bounds[0].tolist()):
                    digest.update(part)
                found = digest.digest()
            else:
                found = b"".join([hashlib.blake2b(part, digest_size=8).digest() for part in _slices(block, bounds)])
            yield np.frombuffer(found, ">u8").astype(np.uint64)

    def lengths(self) -> Iterator[np.ndarray]:
        """(some,) int64: the characters of each text, in order."""
        for _, bounds, block in self._runs():
            if block is None:
                yield np.array([sum(int(first_bytes(part).sum()) for _, part in self.blob.blocks(*bounds[0].tolist()))])
            elif block.isascii():
                yield bounds[:, 1] - bounds[:, 0]
            else:
                before = np.concatenate([[0], np.cumsum(first_bytes(block))])
                yield before[bounds[:, 1]] - before[bounds[:, 0]]

    @functools.cached_property
    def characters(self) -> int:
        """Code points of all texts together."""
        return sum(int(lengths.sum()) for lengths in self.lengths())

    @functools.cached_property
    def size(self) -> int:
        """UTF-8 bytes of all texts together."""
        return int(self.bounds[:, 1].sum() - self.bounds[:, 0].sum())

    def has_text(self) -> bool:
        """Whether any text holds more than white space."""
        return any(piece and not piece.isspace() for _, piece in self.parts())

    # ---- the inside

    def _runs(self) -> Iterator[tuple[int, np.ndarray, bytes | None]]:
        """(number of the first, bounds (m, 2) inside the block, block) for texts that lie close together; a text longer than a block
        comes alone, with its bounds in the blob and None."""
        for at in range(0, len(self.bounds), ROWS):
            bounds = self.bounds[at : at + ROWS]
            starts, ends = bounds[:, 0], bounds[:, 1]
            gaps = starts[1:] - ends[:-1]
            first = 0
            for stop in [*(np.flatnonzero((gaps < 0) | (gaps > _GAP)) + 1).tolist(), len(bounds)]:
                while first < stop:
                    last = first + max(1, int(np.searchsorted(ends[first:stop], starts[first] + Blob.BLOCK, "right")))
                    low, high = int(starts[first]), int(ends[last - 1])
                    if high - low > Blob.BLOCK:
                        yield at + first, bounds[first:last], None
                    else:
                        yield at + first, bounds[first:last] - low, self.blob.read(low, high)
                    first = last

    def _long(self, start: int, stop: int) -> Iterator[str]:
        """The pieces of one long text."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        held = ""
        for at, block in self.blob.blocks(start, stop):
            try:
                held += decoder.decode(block, at + len(block) == stop)
            except UnicodeDecodeError:
                raise self._changed() from None
            while len(held) > PIECE:
                piece = next(pieces(held))
                yield piece
                held = held[len(piece) :]
        yield held

    def _decode(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self._changed() from None

    def _changed(self) -> InputError:
        return InputError(f"{self.blob.name} was changed while it was read: let it be finished, then try again")


class TextsBuilder:
    """Texts that come one after another, from a source that is not plain text; memory stays bounded."""

    def __init__(self, name: str) -> None:
        """`name`: what an error calls the source."""
        self.name = name
        self._spill, self._bounds = Spill(name), Numbers(np.int64, 2, name)
        self._ends = [0]  # of the texts whose bounds are not written yet, behind the end of the last one that is

    def add(self, text: str) -> None:
        """Append a text. InputError when it holds half a character, RunError when the disk is full."""
        try:
            self._spill.write(text.encode("utf-8"))
        except UnicodeEncodeError as error:
            half = f"U+{ord(text[error.start]):04X}"
            raise InputError(f"{self.name} holds half a character ({half}): repair the text where it was cut") from None
        self._ends.append(self._spill.size)
        if len(self._ends) > ROWS:
            self._settle()

    def extend(self, texts: Texts) -> None:
        """Append a copy of other texts."""
        self._settle()
        start = self._spill.size
        for _, slices in texts.raw():
            self._spill.write(b"".join(slices))
        for at in range(0, len(texts), ROWS):
            sizes = texts.bounds[at : at + ROWS, 1] - texts.bounds[at : at + ROWS, 0]
            ends = start + np.cumsum(sizes)
            self._bounds.add(np.stack([ends - sizes, ends], 1))
            start = int(ends[-1])
        self._ends = [self._spill.size]

    def texts(self) -> Texts:
        """All of them. Nothing may be added then."""
        self._settle()
        return Texts(self._spill.blob(), self._bounds.array())

    def _settle(self) -> None:
        ends = np.array(self._ends)
        self._bounds.add(np.stack([ends[:-1], ends[1:]], 1))
        self._ends = self._ends[-1:]


def digest(*sides: Texts) -> str:
    """SHA-256 of all texts, as if they stood one a line."""
    total, first = hashlib.sha256(), True
    for texts in sides:
        last = -1
        for number, slices in texts.raw():
            total.update(b"" if first or number == last else b"\n")
            total.update(b"\n".join(slices))
            last, first = number, False
    return total.hexdigest()


def _slices(block: bytes, bounds: np.ndarray) -> list[bytes]:
    return [block[start:end] for start, end in zip(bounds[:, 0].tolist(), bounds[:, 1].tolist(), strict=True)]


def first_bytes(block: bytes) -> np.ndarray:
    """(bytes,) bool: where a character begins."""
    return (np.frombuffer(block, np.uint8) & 0xC0) != 0x80

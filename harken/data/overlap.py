"""What stands on both sides of a split, so that a held-out loss is not taken for more than it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .blob import Blob
from .corpus import Corpus
from .texts import Texts

LONG_LINE = 40
"""Characters of a line of running text that nobody writes twice by chance."""

_BLANKS = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"


@dataclass(frozen=True)
class Overlap:
    """`shared` of the `held` texts (of running text: long lines) of one side also stand in the training text; `example` is one."""

    shared: int
    held: int
    side: str
    unit: str
    example: str

    def __str__(self) -> str:
        """ "12 of 1,000 held-out texts also stand in the training text (for example 'emma')" """
        example = self.example if len(self.example) <= LONG_LINE else self.example[: LONG_LINE - 1].rstrip() + "…"
        return f"{self.shared:,} of {self.held:,} {self.side} {self.unit} also stand in the training text (for example {example!r})"


def overlap(train: Corpus, held: Corpus, side: str = "held-out") -> Overlap:
    """Compare two sides; white space around a text does not count. Memory grows with the held-out side alone, by 8 bytes a text."""
    entries = _long_lines if held.kind == "running" else _whole
    keys = np.concatenate([np.zeros(0, np.int64), *map(_keys, entries(held.texts))])
    known = np.unique(keys)
    found = np.zeros(len(known), bool)
    for some in entries(train.texts) if len(known) else ():
        found[_places(_keys(some), known)] = True
    known = known[found]
    shared = sum(len(_places(_keys(some), known)) for some in entries(held.texts)) if len(known) else 0
    both = set(known.tolist())
    example = next((each for some in entries(held.texts) for each in some if hash(each) in both), b"") if shared else b""
    return Overlap(shared, len(keys), side, "lines" if held.kind == "running" else "texts", example.decode("utf-8", "replace"))


def _keys(some: list[bytes]) -> np.ndarray:
    """(n,) int64: Python's own hash serves, as no key outlives the process."""
    return np.array([hash(each) for each in some], np.int64)


def _places(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where those of `keys` that are known stand in `known`, which is sorted."""
    places = np.searchsorted(known, keys)
    places[places == len(known)] = 0
    return places[known[places] == keys]


def _whole(texts: Texts) -> Iterator[list[bytes]]:
    """Every text without the white space around it; one longer than a block is known by how it begins."""
    last = -1
    for number, slices in texts.raw():
        if number != last:
            yield _stripped(slices)
        last = number


def _long_lines(texts: Texts) -> Iterator[list[bytes]]:
    """Every long line of all texts, without the white space around it; one longer than a block comes in parts."""
    last, rest = -1, b""
    for number, slices in texts.raw():
        whole = b"\n".join(slices)
        if number == last:
            whole = rest + whole
        elif rest:
            yield _long([rest])
        *found, rest = whole.split(b"\n")
        if len(rest) > Blob.BLOCK:
            found, rest = [*found, rest], b""
        last = number
        yield _long(found)
    yield _long([rest])


def _long(some: list[bytes]) -> list[bytes]:
    stripped = _stripped([each for each in some if len(each) >= LONG_LINE])
    return [each for each in stripped if len(each if each.isascii() else each.decode("utf-8", "ignore")) >= LONG_LINE]


def _stripped(some: list[bytes]) -> list[bytes]:
    """`str.strip` for UTF-8."""
    if all(map(bytes.isascii, some)):
        return [each.strip(_BLANKS) for each in some]
    return [each.decode("utf-8", "ignore").strip().encode("utf-8") for each in some]

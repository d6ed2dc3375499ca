"""Where sentences begin, and rows of whole sentences.

A sentence ends at a line's end, and at one of . ! ? … in front of a blank, closing quotation marks and brackets included; no language
is known here, so that "Dr. Who" counts as two.   n texts · u units: sentences, or the windows of long ones
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .numbers import ROWS, Numbers
from .texts import Texts

_END = re.compile(r"""[.!?…]["'”’»)\]]*(?=[ \t])|[。！？]["”’」』）]*|\n(?:\s*\n)*""")


def sentences(text: str) -> Iterator[str]:
    """Consecutive sentences whose concatenation is `text`; each but the first begins with the blank in front of it, if there is one."""
    start, stop = 0, len(text.rstrip())
    for end in (match.end() for match in _END.finditer(text)):
        if end >= stop:
            break
        if not text[start:end].isspace():
            yield text[start:end]
            start = end
    if start < len(text) or not text:
        yield text[start:]


def sentence_batches(texts: Texts) -> Iterator[list[tuple[int, str]]]:
    """As `Texts.batches`, cut into sentences."""
    for batch in texts.batches():
        yield [(number, sentence) for number, piece in batch for sentence in sentences(piece)]


class Units(NamedTuple):
    """`starts` and `ends` (u,) of the units · `texts` (u,): which text each is of."""

    starts: np.ndarray
    ends: np.ndarray
    texts: np.ndarray


def units(spans: np.ndarray, starts: np.ndarray, longest: int) -> Units:
    """spans (n, 2) of texts, `starts` of all sentences -> the sentences of these texts, longer ones in windows of `longest` tokens."""
    text = np.searchsorted(spans[:, 0], starts, "right") - 1
    inside = (text >= 0) & (starts < spans[text, 1])
    starts, text = starts[inside], text[inside]
    last = np.append(text[1:] != text[:-1], True)[: len(text)]
    ends = np.where(last, spans[text, 1], np.append(starts[1:], 0))
    count = -(-(ends - starts) // longest)  # windows of each sentence
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    begin = np.repeat(starts, count) + place * longest
    return Units(begin, np.minimum(begin + longest, np.repeat(ends, count)), np.repeat(text, count))


def segments(spans: np.ndarray, starts: np.ndarray, room: int, rng: np.random.Generator | None = None, *, least: int = 1) -> np.ndarray:
    """(rows, 2) of consecutive units of one text, as many as find room in `room` tokens, and at least `least` (1 or 2) of them.

    With `rng` the first row of a text has less room, so that the others do not always begin at the same places. Where one unit is left
    over at the end of a text, the one before it stands in two rows; a text that has fewer than `least` units is left out.
    """
    found, rows = units(spans, starts, room // least), Numbers(np.int64, 2)
    at, begin, end, last, before, count, limit = -1, 0, 0, 0, 0, 0, room

    def done() -> list[tuple[int, int]]:
        """The row so far, with the unit in front of it where it is too short alone."""
        if count >= least:
            return [(begin, end)]
        return [(before, end)] if count and before < begin else []

    for i in range(0, len(found.starts), ROWS):
        some: list[tuple[int, int]] = []
        for start, stop, text in zip(*(part[i : i + ROWS].tolist() for part in found), strict=True):
            fresh = text != at
            if fresh or (stop - begin > limit and count >= least):
                some += done()
                limit = room if rng is None or not fresh else int(rng.integers(1, room + 1))
                at, before, begin, count = text, start if fresh else last, start, 0
            last, end, count = start, stop, count + 1
        rows.add(np.array(some, np.int64).reshape(-1, 2))
    rows.add(np.array(done(), np.int64).reshape(-1, 2))
    return rows.array()

"""An even sample of texts, and the characters of all of them: what a tokenizer learns from, whatever the size of the corpus."""

from __future__ import annotations

import numpy as np

from .blob import Blob
from .numbers import ROWS, Numbers
from .texts import Texts, first_bytes

_PLACES = 400
"""Stretches a sample consists of: enough to come from everywhere, few enough to keep what belongs together."""
_LOOK = 4_096
"""Bytes in which a line or a word that a cut can stand before is looked for."""
_UNICODE = 0x110000


def sample(texts: Texts, size: int) -> Texts:
    """About `size` bytes, in order, in stretches spread evenly over all texts; the texts themselves where they have no more.

    A text that begins in such a stretch is taken whole; of one that is longer than a stretch, the parts inside are texts of their own.
    """
    if texts.size <= size:
        return texts
    stretch = max(1, size // _PLACES)
    period = texts.size * stretch // size  # of every so many bytes, the first `stretch`
    kept = Numbers(np.int64, 2, texts.blob.name)
    before = 0
    for at in range(0, len(texts), ROWS):
        bounds = texts.bounds[at : at + ROWS]
        sizes = bounds[:, 1] - bounds[:, 0]
        offsets = before + np.cumsum(sizes) - sizes  # of each text among the bytes of all
        before += int(sizes.sum())
        first = 0
        for i in [*np.flatnonzero(sizes > stretch).tolist(), len(bounds)]:
            kept.add(bounds[first:i][offsets[first:i] % period < stretch])
            if i < len(bounds):
                start, end = bounds[i].tolist()
                places = range(start - int(offsets[i]) % period, end, period)
                cuts = [[_cut(texts.blob, place + step, start, end) for step in (0, stretch)] for place in places]
                kept.add(np.array([cut for cut in cuts if cut[0] < cut[1]], np.int64).reshape(-1, 2))
            first = i + 1
    return Texts(texts.blob, kept.array())


def alphabet(texts: Texts) -> str:
    """Every character that occurs, in order of its code point."""
    there = np.zeros(_UNICODE, bool)
    for batch in texts.batches():
        there[np.frombuffer("".join(piece for _, piece in batch).encode("utf-32-le"), np.uint32)] = True
    return "".join(map(chr, np.flatnonzero(there).tolist()))


def _cut(blob: Blob, place: int, start: int, end: int) -> int:
    """The next place in the text [start, end) where a line, else a word, else a character begins."""
    if place <= start or place >= end:
        return min(max(place, start), end)
    near = blob.read(place, min(place + _LOOK, end))
    if b"\n" in near:
        return place + near.index(b"\n") + 1
    if b" " in near:
        return place + near.index(b" ")
    begins = first_bytes(near)
    return place + int(begins.argmax()) if begins.any() else end

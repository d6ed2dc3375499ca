"""Whether the lines of a text are examples or running text, from all of its lines, in one pass over a text of any size."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass

import numpy as np

from .blob import Blob
from .corpus import Examples
from .lines import BETWEEN, BLANK, FILLED, SEPARATOR, lines
from .numbers import Numbers
from .texts import Texts

_LONG_LINE = 1_000  # characters
_BLANK_SHARE = 0.01
_WRAP_SAMPLE = 20_000  # lines
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]*_]*\s*$")


@dataclass(frozen=True)
class Survey:
    """The lines of a text.

    `lines`, `blank`, `filled`: how many there are, are white space only, and are text · `inside`: those from the first to the last that
    is not blank · `separators` (n, 3): start, end with its line end, and the filled lines before it · `head`: the first that are not blank.
    """

    lines: int
    blank: int
    filled: int
    inside: int
    separators: np.ndarray
    head: Texts


def survey(text: Blob) -> Survey:
    """Read all lines once."""
    separators, head = Numbers(np.int64, 3, text.name), Numbers(np.int64, 2, text.name)
    total = blank = filled = sampled = last = 0
    first = None
    for bounds, kinds in lines(text):
        there = np.flatnonzero(kinds != BLANK)
        if len(there):
            first = total + int(there[0]) if first is None else first
            last = total + int(there[-1])
            if sampled < _WRAP_SAMPLE:
                head.add(bounds[there[: _WRAP_SAMPLE - sampled]])
                sampled += len(there)
        between = np.flatnonzero(kinds == BETWEEN)
        if len(between):
            before = filled + np.cumsum(kinds == FILLED)[between]
            separators.add(np.stack([bounds[between, 0], np.minimum(bounds[between, 1] + 1, text.size), before], 1))
        total += len(kinds)
        blank += len(kinds) - len(there)
        filled += len(there) - len(between)
    return Survey(total, blank, filled, last + 1 - (first or 0), separators.array(), Texts(text, head.array()))


def detect(found: Survey) -> tuple[Examples, str]:
    """Whether the lines are examples or running text, and why (words for a note)."""
    if len(found.separators):
        return "running", f"documents are separated by {SEPARATOR}"
    if found.filled == 1 and found.head.characters > _LONG_LINE:
        return "running", "a single long line"
    if found.inside - found.filled > _BLANK_SHARE * found.inside:
        return "running", "blank lines between paragraphs"
    if _wrapped(found.head):
        return "running", "lines of one width that break inside sentences"
    return "lines", ""


def _wrapped(head: Texts) -> bool:
    """Hard-wrapped prose: most lines break inside a sentence, and those are nearly all as long as the page is wide."""
    long = head.bounds[:, 1] - head.bounds[:, 0] > Blob.BLOCK
    for start, end in head.bounds[long].tolist():
        if not _SENTENCE_END.search(head.blob.read(max(start, end - 100), end).decode("utf-8", "ignore")[-20:]):
            return False  # one such line outweighs all others
    inside = [len(line.rstrip()) for line in head.select(~long) if not _SENTENCE_END.search(line[-20:])]
    if len(inside) < 8 or len(inside) < 0.6 * len(head):
        return False
    mean = statistics.fmean(inside)
    # Headlines and titles have no full stop either, but their lengths vary by a quarter of the mean and more.
    return 45 <= mean <= 120 and statistics.pstdev(inside) < 0.15 * mean

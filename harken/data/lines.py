"""The lines of a text that may be larger than memory: where each is, and whether it is blank, separates documents or says something."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import numpy as np

from .blob import Blob

SEPARATOR = "<|endoftext|>"  # a line of its own between documents, as in the TinyStories and GPT-2 files

BLANK, FILLED, BETWEEN = 0, 1, 2
"""What a line is: white space only, text, or a separator of documents."""

_MARK = SEPARATOR.encode()
_MAYBE = 1  # a byte that may belong to a white space beyond ASCII, or to a letter
_CLASSES = np.full(256, 2, np.uint8)  # 0 white space, 2 certainly a part of text
_CLASSES[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = 0
_CLASSES[0x80:0xC0] = _CLASSES[[0xC2, 0xE1, 0xE2, 0xE3]] = _MAYBE


def lines(blob: Blob) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(bounds (m, 2) without the line ends, kinds (m,) uint8) of consecutive lines of UTF-8 text with LF line ends.

    The line end behind the last line begins no further one.
    """
    at = 0
    while at < blob.size:
        block = blob.read(at, min(at + Blob.BLOCK, blob.size))
        whole = len(block) if at + len(block) == blob.size else block.rfind(b"\n") + 1
        if whole:
            bounds, kinds = _inside(block[:whole])
            yield bounds + at, kinds
            at += whole
        else:
            end = _line_end(blob, at + len(block))
            yield np.array([[at, end]]), np.array([_kind(blob, at, end)], np.uint8)
            at = end + 1


def _inside(block: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The lines of a block of whole lines."""
    codes = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(codes == 10)
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(block))
    starts = np.concatenate([[0], ends[:-1] + 1])
    kinds = np.maximum.reduceat(_CLASSES[codes], starts)
    for i in np.flatnonzero(kinds == _MAYBE).tolist():
        kinds[i] = 0 if block[starts[i] : ends[i]].decode("utf-8", "replace").isspace() else 2
    kinds = (kinds == 2).astype(np.uint8)
    hit = block.find(_MARK)
    while hit >= 0:
        i = int(np.searchsorted(ends, hit))
        if block[starts[i] : ends[i]].decode("utf-8", "replace").strip() == SEPARATOR:
            kinds[i] = BETWEEN
        hit = block.find(_MARK, int(ends[i]))
    return np.stack([starts, ends], 1), kinds


def _line_end(blob: Blob, start: int) -> int:
    """Where the line that holds `start` ends."""
    for at, block in blob.blocks(start):
        if (found := block.find(b"\n")) >= 0:
            return at + found
    return blob.size


def _kind(blob: Blob, start: int, end: int) -> int:
    """The kind of one line that is longer than a block."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = ""
    for _, block in blob.blocks(start, end):
        text = (text + decoder.decode(block)).lstrip()
        core = text.rstrip()
        if len(core) > len(SEPARATOR):
            return FILLED
        text = core + " " * (len(core) < len(text))  # white space inside counts, however long it is
    return BETWEEN if text.strip() == SEPARATOR else FILLED if text.strip() else BLANK

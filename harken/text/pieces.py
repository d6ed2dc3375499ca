"""Cut a very long text into pieces that a tokenizer can take one by one, at places where no token crosses the cut."""

from __future__ import annotations

import re
from collections.abc import Iterator

PIECE = 1_000_000  # characters: enough to keep the tokenizer busy, while its bookkeeping (about 200 bytes a token) stays small

# A token of a byte-level BPE never runs from a non-space into a blank.
# It may run from punctuation into a line end (LLaMA 3, Qwen), but not from a letter.
_BOUNDARY = re.compile(r"\S[ \t]|[^\W_][\r\n]")


def pieces(text: str, size: int = PIECE) -> Iterator[str]:
    """Yield consecutive pieces of at most `size` characters whose concatenation is `text`.

    Each cut is put in front of a white space that follows a non-space, in the last tenth of the piece; without one, the cut is a hard one.
    """
    start = 0
    while len(text) - start > size:
        match = _BOUNDARY.search(text, start + size - size // 10, start + size)
        cut = match.start() + 1 if match else start + size
        yield text[start:cut]
        start = cut
    if start < len(text):
        yield text[start:]


def without_long_runs(text: str, longest: int) -> Iterator[str]:
    """Yield consecutive parts of `text`, cut every `longest` characters inside longer runs of non-space, and of white space."""
    # The look-behind lets the search begin only where a run begins, so that the time stays linear.
    runs = re.compile(rf"(?<!\S)\S{{{longest + 1},}}|(?<!\s)\s{{{longest + 1},}}")
    start = 0
    for run in runs.finditer(text):
        for cut in range(run.start() + longest, run.end(), longest):
            yield text[start:cut]
            start = cut
    if start < len(text):
        yield text[start:]

"""Cut a very long text into pieces that a tokenizer can take one by one, at places where no token crosses the cut."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..base.errors import InputError

PIECE = 1_000_000  # characters: enough to keep the tokenizer busy, while its bookkeeping (about 200 bytes a token) stays small

_SLICE_TEXTS = 1_000
_SLICE_CHARACTERS = 4 * PIECE

# No token runs from a line end into a letter or sign; white space in front of the line end may be cut differently at the end of a text.
_LINE = re.compile(r"(?<=\S)\n(?=\S)")
# A token of a byte-level BPE never runs from a non-space into a blank.
# It may run from punctuation into a line end (LLaMA 3, Qwen), but not from a letter.
_BLANK = re.compile(r"\S(?=[ \t])|[^\W_](?=[\r\n])")


def pieces(text: str, size: int = PIECE) -> Iterator[str]:
    """Yield consecutive pieces of at most `size` characters whose concatenation is `text`.

    Each cut is put, in the last tenth of the piece, where a line begins; without one in front of a white space that follows a non-space;
    without one, the cut is a hard one.
    """
    start = 0
    while len(text) - start > size:
        window = (start + size - size // 10, start + size)
        match = _LINE.search(text, *window) or _BLANK.search(text, *window)
        cut = match.end() if match else start + size
        yield text[start:cut]
        start = cut
    if start < len(text):
        yield text[start:]


def line_pieces(text: str, size: int = PIECE) -> Iterator[str]:
    """The same for a tokenizer that puts a blank in front of every line, and so of every piece: at a blank, it takes that blank's place."""
    for number, piece in enumerate(pieces(text, size)):
        yield piece[1:] if number and piece[0] == " " else piece


def slices(texts: Iterable[str]) -> Iterator[list[str]]:
    """Lists of up to a thousand texts and a few million characters; a text longer than a piece comes alone."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == _SLICE_TEXTS or size + len(text) > _SLICE_CHARACTERS or len(text) > PIECE):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
        if len(text) > PIECE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


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


def not_text(texts: Sequence[object]) -> InputError:
    """The error of texts that no tokenizer can encode, naming what is wrong with the first."""
    for text in texts:
        if not isinstance(text, str):
            return InputError(f"a tokenizer encodes text (str), not {type(text).__name__}")
        for place, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                return InputError(
                    f"character {place} of the text is half a character (the lone surrogate U+{ord(character):04X}): "
                    "repair the text where it was cut, or pass it through text.encode('utf-8', 'replace').decode()"
                )
    return InputError("the text cannot be encoded")

"""A file to text: strict UTF-8 with line ends as LF, block by block, and an error that says where the first wrong byte is and the mend."""

from __future__ import annotations

import codecs
import difflib
import gzip
import io
import os
import re
import shlex
import stat
import sys
import zlib
from pathlib import Path
from typing import BinaryIO

from ..base.errors import InputError
from .blob import Blob, Spill

STANDARD_INPUT = "standard input"

_SAMPLE = 65_536  # bytes looked at to tell a binary file from text in another encoding
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MARKS = {b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_ZIPPED = b"\x1f\x8b"


class Empty(InputError):
    """A file without any text."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is empty: give a file with at least one line of text")


def load(source: str) -> Blob:
    """The bytes of a file, or of standard input for "-", unzipped where they are gzip data. InputError when there is no such file."""
    if source == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed: name a file, or send text with a pipe")
        blob = _all(sys.stdin.buffer, STANDARD_INPUT)
    else:
        blob = _file(Path(source), source)
    if blob.size >= 2 and blob.read(0, 2) == _ZIPPED:
        return _unzipped(blob)
    if blob.size and source.lower().endswith(".gz"):
        raise InputError(f"{source} is not gzip data: rename it to {source[:-3]} if it is plain, or copy it again")
    return blob


def suffix(source: str) -> str:
    """What kind of file a name promises, ".gz" left aside: ".jsonl"; "" for standard input and for none."""
    path = Path(source.lower())
    return (Path(path.stem) if path.suffix == ".gz" else path).suffix


def decode(raw: Blob) -> tuple[Blob, list[str]]:
    """UTF-8 text with LF line ends, and notes on what was changed; text that needs no change is not copied.

    InputError when it is empty, binary or not UTF-8.
    """
    notes: list[str] = []
    start = raw.read(0, min(4, raw.size))
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            raise InputError(f"{raw.name} is {encoding}, not UTF-8: convert it with `{_iconv(encoding, raw.name)}`")
    text = raw
    if start.startswith(b"\xef\xbb\xbf"):
        text = raw.tail(3)
        notes.append(f"{raw.name}: the byte order mark at the start was left out")
    windows, old = _check(text, raw.size - text.size)
    if windows or old:
        text = _with_line_feeds(text)
        kinds = [f"{n:,} {word} line ends" for n, word in ((windows, "Windows (CRLF)"), (old, "old Mac (CR)")) if n]
        notes.append(f"{raw.name}: {' and '.join(kinds)} were read as LF")
    return text, notes


def binary(raw: Blob) -> int | None:
    """The offset of the byte near the start that shows that this is no text in any encoding; None for text.

    An image may begin with a byte that is not UTF-8 and have its first NUL later; text in another encoding has no control characters.
    """
    sample = raw.read(0, min(_SAMPLE, raw.size))
    if (null := sample.find(b"\0")) >= 0:
        return null
    controls = _CONTROL.findall(sample)
    return sample.index(controls[0]) if len(controls) > len(sample) / 10 else None


def _check(text: Blob, skipped: int) -> tuple[int, int]:
    """How many line ends are CRLF, and how many a lone CR. InputError when it is not UTF-8, binary or blank; `skipped` bytes stood in
    front, and of two wrong bytes the first counts."""
    null = -1 if (found := binary(text)) is None else found
    if null >= 0:
        raise _no_text(text, null, skipped)
    returns = windows = 0
    filled, held, last = False, b"", b""  # held: the beginning of a character that ends in the next block
    for at, block in text.blocks():
        chunk, null = held + block, block.find(b"\0")
        if not filled or not chunk.isascii():
            try:
                decoded, used = codecs.utf_8_decode(chunk, "strict", at + len(block) == text.size)
            except UnicodeDecodeError as error:
                wrong = at - len(held) + error.start
                raise _no_text(text, at + null, skipped) if 0 <= null < wrong - at else _not_utf8(text, wrong, skipped) from None
            held = chunk[used:]
            filled = filled or not (decoded == "" or decoded.isspace())
        if null >= 0:
            raise _no_text(text, at + null, skipped)
        returns += block.count(b"\r")
        windows += block.count(b"\r\n") + (last + block[:1] == b"\r\n")
        last = block[-1:]
    if not filled:
        raise Empty(text.name)
    return windows, returns - windows


def _with_line_feeds(text: Blob) -> Blob:
    """A copy whose lines all end in LF."""
    spill, held = Spill(text.name), b""
    for at, block in text.blocks():
        block = held + block
        held = b"\r" if block.endswith(b"\r") and at + Blob.BLOCK < text.size else b""
        spill.write(block[: len(block) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return spill.blob()


def _not_utf8(text: Blob, offset: int, skipped: int) -> InputError:
    command = _iconv("LATIN1", text.name)
    return InputError(f"{text.name} is not UTF-8 ({_where(text, offset, skipped)}): convert it, for example with `{command}`")


def _no_text(text: Blob, offset: int, skipped: int) -> InputError:
    return InputError(f"{text.name} looks binary ({_where(text, offset, skipped)}): give a text file in UTF-8")


def _where(text: Blob, offset: int, skipped: int) -> str:
    """The byte, its offset in the file and the 1-based number of its line; CRLF, LF and CR all end a line."""
    line, last = 1, b""
    for _, block in text.blocks(0, offset):
        line += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n") - (last + block[:1] == b"\r\n")
        last = block[-1:]
    return f"byte 0x{text.read(offset, offset + 1)[0]:02x} at offset {offset + skipped:,}, line {line:,}"


def _iconv(encoding: str, name: str) -> str:
    command = f"iconv -f {encoding} -t UTF-8"
    if name == STANDARD_INPUT:
        return command
    path, quoted = Path(name), shlex.quote(name)
    if path.suffix.lower() == ".gz":
        path = Path(path.stem)
        return f"gunzip -c {quoted} | {command} > {shlex.quote(path.stem + '.utf8' + path.suffix)}"
    return f"{command} {quoted} > {shlex.quote(path.stem + '.utf8' + path.suffix)}"


def _file(path: Path, name: str) -> Blob:
    try:
        found = os.stat(path)
        if stat.S_ISREG(found.st_mode) and found.st_size:
            return Blob.open(path, name)
        with open(path, "rb") as file:  # a pipe, or a file that does not tell its size
            return _all(file, name)
    except FileNotFoundError:
        raise missing(path) from None
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _all(file: BinaryIO, name: str) -> Blob:
    """Everything a stream gives."""
    spill = Spill(name)
    while block := file.read(Blob.BLOCK):
        spill.write(block)
    return spill.blob()


def stream(text: Blob) -> io.TextIOWrapper:
    """The lines of a text with their ends, one by one."""
    return io.TextIOWrapper(io.BufferedReader(_Stream(text)), "utf-8", newline="\n")


class _Stream(io.RawIOBase):
    """A blob as the standard library wants a file to be."""

    def __init__(self, blob: Blob) -> None:
        self.blob, self.at = blob, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = self.blob.read(self.at, min(self.at + len(buffer), self.blob.size))
        buffer[: len(found)] = found
        self.at += len(found)
        return len(found)


def _unzipped(blob: Blob) -> Blob:
    try:
        return _all(gzip.GzipFile(fileobj=io.BufferedReader(_Stream(blob))), blob.name)  # pyright: ignore[reportArgumentType]
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{blob.name} is a damaged gzip file ({error}): copy or download it again") from error


def missing(path: Path) -> InputError:
    """The error for a file that is not there."""
    folder = path.parent
    if not folder.is_dir():
        return InputError(f"{path} does not exist: there is no folder {folder}")
    near = difflib.get_close_matches(path.name, os.listdir(folder) if os.access(folder, os.R_OK) else [], n=2, cutoff=0.6)
    if near:
        return InputError(f"{path} does not exist (did you mean {' or '.join(map(repr, near))}?)")
    return InputError(f"{path} does not exist: there is no file of that or a similar name in {folder.resolve()}")

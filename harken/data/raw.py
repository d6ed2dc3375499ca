"""Bytes to text: strict UTF-8 with line ends as LF, and an error that says where the first wrong byte is and how to mend the file."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
from pathlib import Path

from ..base.errors import InputError

STANDARD_INPUT = "standard input"

_SAMPLE = 65_536  # bytes looked at to tell a binary file from text in another encoding
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MARKS = {b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def load_bytes(source: str) -> bytes:
    """All bytes of a file, or of standard input for "-"; InputError when there is no such file."""
    if source == "-":
        return sys.stdin.buffer.read()
    path = Path(source)
    if path.is_dir():
        raise InputError(f"{source} is a folder; folders cannot be read yet: name a file in it")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(_missing(path)) from None
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror or error})") from error


def decode(raw: bytes, name: str) -> tuple[str, list[str]]:
    """The text of `raw` with LF line ends, and notes on what was changed. InputError when it is empty, binary or not UTF-8."""
    notes: list[str] = []
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            raise InputError(f"{name} is {encoding}, not UTF-8: convert it with `{_iconv(encoding, name)}`")
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
        notes.append(f"{name}: the byte order mark at the start was left out")
    text = _strict(raw, name, 3 if notes else 0)
    windows = text.count("\r\n")
    old = text.count("\r") - windows
    if windows or old:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        kinds = [f"{n:,} {word} line ends" for n, word in ((windows, "Windows (CRLF)"), (old, "old Mac (CR)")) if n]
        notes.append(f"{name}: {' and '.join(kinds)} were read as LF")
    if not text or text.isspace():
        raise empty(name)
    return text, notes


def empty(name: str) -> InputError:
    """The error for a file without any text."""
    return InputError(f"{name} is empty: give a file with at least one line of text")


def _strict(raw: bytes, name: str, skipped: int) -> str:
    """Decode, or say which comes first: a byte that no text has, or one that is not UTF-8. `skipped` bytes stood in front of `raw`."""
    null = raw.find(b"\0")
    try:
        text, wrong = raw.decode("utf-8"), -1
    except UnicodeDecodeError as error:
        text, wrong = "", error.start
    sample = raw[:_SAMPLE]
    controls = _CONTROL.findall(sample)
    # An image may begin with a byte that is not UTF-8 and have its first NUL later; text in another encoding has no control characters.
    if 0 <= null < _SAMPLE or len(controls) > len(sample) / 10:
        wrong = -1
        null = null if 0 <= null < _SAMPLE else raw.index(controls[0])
    if wrong >= 0 and not 0 <= null < wrong:
        where = f"byte 0x{raw[wrong]:02x} at offset {wrong + skipped:,}, line {_line(raw, wrong):,}"
        raise InputError(f"{name} is not UTF-8 ({where}): convert it, for example with `{_iconv('LATIN1', name)}`")
    if null >= 0:
        where = f"byte 0x{raw[null]:02x} at offset {null + skipped:,}, line {_line(raw, null):,}"
        raise InputError(f"{name} looks binary ({where}): give a text file in UTF-8")
    return text


def _line(raw: bytes, offset: int) -> int:
    """The 1-based number of the line that holds `offset`; CRLF, LF and CR all end a line."""
    before = raw[:offset]
    return 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")


def _iconv(encoding: str, name: str) -> str:
    command = f"iconv -f {encoding} -t UTF-8"
    if name == STANDARD_INPUT:
        return command
    path = Path(name)
    return f"{command} {shlex.quote(name)} > {shlex.quote(path.stem + '.utf8' + path.suffix)}"


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{path} does not exist: there is no folder {folder}"
    near = difflib.get_close_matches(path.name, os.listdir(folder) if os.access(folder, os.R_OK) else [], n=2, cutoff=0.6)
    if near:
        return f"{path} does not exist (did you mean {' or '.join(map(repr, near))}?)"
    return f"{path} does not exist: there is no file of that or a similar name in {folder.resolve()}"

"""Read a text or JSON-lines file into a corpus; whether its lines are examples or running text is detected, said and may be overruled."""

from __future__ import annotations

import json
import os
import re
import statistics
from pathlib import Path

from ..base.errors import InputError, did_you_mean
from .corpus import Corpus, Examples
from .ledger import Ledger
from .raw import STANDARD_INPUT, decode, empty, load_bytes

__all__ = ["Corpus", "read"]

SEPARATOR = "<|endoftext|>"  # a line of its own between documents, as in the TinyStories and GPT-2 files

_LONG_LINE = 1_000  # characters
_BLANK_SHARE = 0.01
_WRAP_SAMPLE = 20_000  # lines
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]*_]*\s*$")
_KINDS = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", type(None): "null"}


def read(path: str | os.PathLike[str], *, examples: Examples | None = None, column: str = "text") -> Corpus:
    """Read `path` ("-" is standard input): .jsonl and .ndjson hold one object a line with the field `column`, anything else is UTF-8 text.

    `examples` says whether each line is an example ("lines") or the file is running text ("running"); None detects it.
    InputError, with file and line, when there is nothing that can be read.
    """
    if examples not in (None, "lines", "running"):
        raise InputError(f"examples is {examples!r}{did_you_mean(str(examples), ('lines', 'running'))}")
    source = os.fspath(path)
    name = STANDARD_INPUT if source == "-" else source
    text, notes = decode(load_bytes(source), name)
    if Path(source).suffix.lower() in (".jsonl", ".ndjson"):
        corpus = _objects(text, name, examples or "lines", column)
    else:
        corpus = _text(text, name, examples)
    corpus.ledger.add("read", "characters", sum(map(len, corpus.texts)))
    corpus.ledger.add("read", "bytes", corpus.bytes())
    return Corpus(corpus.texts, corpus.kind, source, corpus.ledger, notes + corpus.notes)


def _text(text: str, name: str, examples: Examples | None) -> Corpus:
    lines = text.removesuffix("\n").split("\n")
    kind, reason = (examples, "as asked") if examples else detect(lines)
    ledger = Ledger()
    ledger.add("read", "lines", len(lines))
    ledger.add("read", "blank lines", sum(map(_blank, lines)))
    texts = _documents(text, ledger) if kind == "running" else _examples(lines, ledger)
    if not texts:
        raise empty(name)
    ledger.add("read", "examples", len(texts))
    if kind == "lines":
        ledger.balance("read", "lines", "blank lines", "separator lines", "examples")
    if kind == "running":
        amount = f"{sum(map(len, texts)):,} characters" + (f" in {len(texts):,} documents" if len(texts) > 1 else "")
        note, other = f"{name}: running text ({amount}; {reason})", "lines to make each line an example"
    else:
        note, other = f"{name}: one example a line ({len(texts):,} lines)", "running to read it as one text"
    return Corpus(texts, kind, name, ledger, [note if examples else f"{note}; use --examples {other}"])


def detect(lines: list[str]) -> tuple[Examples, str]:
    """Whether `lines` are examples or running text, and why (words for a note)."""
    filled = [line for line in lines if not _blank(line)]
    if any(line.strip() == SEPARATOR for line in filled):
        return "running", f"documents are separated by {SEPARATOR}"
    if len(filled) == 1 and len(filled[0]) > _LONG_LINE:
        return "running", "a single long line"
    first = next((i for i, line in enumerate(lines) if not _blank(line)), 0)
    last = next((i for i in range(len(lines) - 1, -1, -1) if not _blank(lines[i])), 0)
    inside = last + 1 - first
    if inside - len(filled) > _BLANK_SHARE * inside:
        return "running", "blank lines between paragraphs"
    if _wrapped(filled[:_WRAP_SAMPLE]):
        return "running", "lines of one width that break inside sentences"
    return "lines", ""


def _wrapped(lines: list[str]) -> bool:
    """Hard-wrapped prose: most lines break inside a sentence, and those are nearly all as long as the page is wide."""
    inside = [len(line.rstrip()) for line in lines if not _SENTENCE_END.search(line[-20:])]
    if len(inside) < 8 or len(inside) < 0.6 * len(lines):
        return False
    mean = statistics.fmean(inside)
    # Headlines and titles have no full stop either, but their lengths vary by a quarter of the mean and more.
    return 45 <= mean <= 120 and statistics.pstdev(inside) < 0.15 * mean


def _blank(line: str) -> bool:
    return not line or line.isspace()


def _examples(lines: list[str], ledger: Ledger) -> list[str]:
    filled = [line for line in lines if not _blank(line)]
    texts = [line for line in filled if line.strip() != SEPARATOR]
    if len(texts) < len(filled):
        ledger.add("read", "separator lines", len(filled) - len(texts))
    return texts


def _documents(text: str, ledger: Ledger) -> list[str]:
    # Every line keeps its own line end, so the documents and the separator lines add up to the file.
    parts = re.split(rf"(?m)^[^\S\n]*{re.escape(SEPARATOR)}[^\S\n]*(?:\n|\Z)", text)
    texts = [part for part in parts if not _blank(part)]
    if len(parts) > 1:
        ledger.add("read", "separator lines", len(parts) - 1)
        ledger.add("read", "empty documents", len(parts) - len(texts))
    return texts


def _objects(text: str, name: str, kind: Examples, column: str) -> Corpus:
    ledger = Ledger()
    texts: list[str] = []
    blank = without = 0
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        if _blank(line):
            blank += 1
            continue
        value = _field(line, f"{name} line {number:,}", column)
        if _blank(value):
            without += 1
        else:
            texts.append(value)
    for what, n in (("lines", len(lines)), ("blank lines", blank), ("empty texts", without), ("examples", len(texts))):
        ledger.add("read", what, n)
    ledger.balance("read", "lines", "blank lines", "empty texts", "examples")
    if not texts:
        raise InputError(f"{name} is empty: no object has any text in its field {column!r}")
    unit = "example" if kind == "lines" else "document"
    notes = [f"{name}: one {unit} an object ({len(texts):,} objects), its text in {column!r}"]
    if without:
        notes.append(f"{name}: {without:,} objects with an empty {column!r} were left out")
    return Corpus(texts, kind, name, ledger, notes)


def _field(line: str, where: str, column: str) -> str:
    """The text in `column` of one JSON object; InputError that begins with `where`."""
    try:
        value = json.loads(line)
    except ValueError as error:
        problem = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(f"{where} is not JSON ({problem}): each line must be one complete object") from None
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be read: each line must be one object with a text") from None
    if not isinstance(value, dict):
        raise InputError(f'{where} holds {_KINDS[type(value)]}, not an object such as {{"{column}": "…"}}')
    if column not in value:
        fields = ", ".join(value) or "none"
        raise InputError(f"{where} has no field {column!r} (its fields: {fields}): name the one that holds the text with --column")
    if not isinstance(value[column], str):
        raise InputError(f"{where}: the field {column!r} is {_KINDS[type(value[column])]}, not text")
    try:
        value[column].encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[column][error.start]):04x}"
        raise InputError(f"{where}: the field {column!r} holds half a character ({half}): repair the text where it was cut") from None
    return value[column]

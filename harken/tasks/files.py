"""Files as inputs: a line is a text, a line of .jsonl or a row of a table an input with named fields."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..base.errors import InputError

TABLES = {".csv": ",", ".tsv": "\t"}


def inputs_of(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The inputs in a file, in order, as they are read; blank lines are texts like any other but at the end. InputError names the line."""
    path = Path(path)
    try:
        with open(path, encoding="utf-8-sig", newline="" if path.suffix.lower() in TABLES else None) as file:
            if path.suffix.lower() in TABLES:
                yield from rows(file, path)
            elif path.suffix.lower() in (".jsonl", ".ndjson"):
                yield from objects(file, str(path))
            else:
                yield from (line.removesuffix("\n") for line in file)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text ({error}): give a file in UTF-8") from None


def objects(lines: Iterable[str], name: str) -> Iterator[Any]:
    """Inputs as JSON, one a line; a lone {"text": …} is its text."""
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise InputError(f"{name} line {number:,} is no JSON ({error}): give one input a line") from None
        yield alone(found)


def rows(file: Iterable[str], path: Path) -> Iterator[Any]:
    """Rows of a table, whose first line names the fields."""
    import csv

    reader = csv.DictReader(file, delimiter=TABLES[path.suffix.lower()])
    if not reader.fieldnames:
        raise InputError(f"{path} is empty: its first line should name the columns, as in text")
    for row in reader:
        if None in row or None in row.values():
            raise InputError(f"{path} line {reader.line_num:,} has not one field for each of the columns {', '.join(reader.fieldnames)}")
        yield alone(row)


def alone(found: Any) -> Any:
    """A text by itself, where that is all there is."""
    return found["text"] if isinstance(found, dict) and list(found) == ["text"] else found

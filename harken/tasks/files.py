"""Files as inputs: a line of text is one, or a row of a table or of JSON with the fields that the task takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from ..base.report import say
from ..data.raw import decode, load, stream, suffix
from ..data.read import OBJECTS
from ..data.records import Reading, shaped
from ..data.tables import table_kind


def inputs_of(path: str | os.PathLike[str], shapes: Sequence[tuple[str, ...]]) -> Iterator[Any]:
    """The inputs in a file, in order, as they are asked for. `shapes`: the fields of an input, in one way or another; of a lone field its
    value. An empty line is an input like any other. InputError names the file and the line."""
    name, notes = os.fspath(path), []
    if table_kind(name) or suffix(name) in (*OBJECTS, ".json"):
        reading = Reading(notes=notes)
        fields, rows = shaped(name, shapes, reading=reading, holds="inputs")
        for row in rows:
            if row.wrong is not None:
                raise row.wrong
            values = {field: row.values[field] for field in fields}
            yield values if len(values) > 1 else next(iter(values.values()))
    else:
        text, found = decode(load(name))
        notes += found
        yield from (line.removesuffix("\n") for line in stream(text))
    for note in notes:
        say(note)

"""Any source of examples becomes rows of named values, each of which knows its place: a table, JSON, two aligned files, a data set of the
Hub, or what a Python program holds already."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from .blob import Blob
from .columns import Columns, counted
from .hub import hub_rows, is_hub
from .ledger import Ledger
from .parquet import NESTED, class_names
from .raw import decode, load, missing, stream, suffix
from .read import OBJECTS, lines_of, object_of
from .tables import Row, Unit, table, table_kind

Data = str | os.PathLike[str] | Iterable[Any]
"""A path, the name of a data set of the Hub, or the examples themselves: mappings, sequences in the order of the roles, or single texts."""

GIVEN = "the data"
"""What a message calls examples that come from no file."""

_SHAPES = 1_000  # sets of field names that are remembered


@dataclass
class Reading:
    """What is found while a source is read: the ledger, notes to be said, and the names of ids (role -> names) where it has them."""

    ledger: Ledger = field(default_factory=Ledger)
    notes: list[str] = field(default_factory=list)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def name_of(source: Data) -> str:
    """What a message calls a source."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else GIVEN


def records(
    source: Data,
    roles: Sequence[str],
    columns: Columns | None = None,
    *,
    optional: Sequence[str] = (),
    target: str | os.PathLike[str] | None = None,
    reading: Reading,
    holds: str = "examples",
) -> Iterator[Row]:
    """Every row of a source, in order and as it is read, with a value for each of `roles` and for those of `optional` that it has.

    .csv .tsv .parquet are tables; .jsonl .ndjson hold an object a line, .json a list of objects or an object a line; a folder that
    `datasets` saved, an .arrow file and a Hub name are data sets; with `target`, the n-th lines of two text files belong together; any
    other text file is a table where `columns` gives numbers. .gz may follow. Values are text in tables, whatever was written in the others.

    A row that cannot be read comes with what is `wrong` with it. The ledger counts "rows" and "blank lines" of stage "read".
    InputError, with file and line, when nothing can be read; `holds` is what it calls what was looked for.
    """
    columns = columns or Columns()
    if not isinstance(source, str | os.PathLike):
        items = _given(source, (*roles, *optional), len(roles))
        yield from objects(items, GIVEN, "example", roles, columns, optional=optional, reading=reading, known=_names(source))
        return
    name = os.fspath(source)
    if target is not None:
        yield from _aligned(name, os.fspath(target), roles, reading)
    elif is_hub(name):
        known: dict[str, tuple[str, ...]] = {}
        yield from objects(hub_rows(name, known), name, "row", roles, columns, optional=optional, reading=reading, known=known)
    elif (kind := table_kind(name)) or _numbered(columns, name):
        lines, ledger, notes = lines_of(name, reading.notes), reading.ledger, reading.notes
        kind, classes = kind or "csv", reading.classes
        yield from table(name, lines, columns, roles, optional, ledger=ledger, notes=notes, kind=kind, lenient=True, classes=classes)
    elif suffix(name) in (*OBJECTS, ".json"):
        text, found = decode(load(name))
        reading.notes += found
        unit, items = (
            ("line", _lines(text, name, roles[0] if roles else "text"))
            if suffix(name) in OBJECTS or _by_line(text)
            else ("object", _array(text, name))
        )
        yield from objects(items, name, unit, roles, columns, optional=optional, reading=reading)
    else:
        if name != "-" and not Path(name).exists():
            raise missing(Path(name))
        two = ", or two text files with --source and --target" if holds == "pairs" else ""
        raise InputError(f"{name} holds no {holds}: give a .csv, .tsv, .parquet, .jsonl or .json file{two}")


def shaped(
    source: Data,
    shapes: Sequence[tuple[str, ...]],
    columns: Columns | None = None,
    *,
    optional: Sequence[str] = (),
    reading: Reading,
    holds: str = "examples",
) -> tuple[tuple[str, ...], Iterator[Row]]:
    """The first of `shapes`, each the roles of one way to write an example, that the source has whole, and its rows as in `records`.

    InputError that names what is missing of the shape of which most is there."""
    columns = columns or Columns()
    every = tuple(dict.fromkeys([role for shape in shapes for role in shape]))
    if not isinstance(source, str | os.PathLike):
        items = _given(source, (*shapes[0], *optional), len(shapes[0]))
        rows = objects(items, GIVEN, "example", (), columns, optional=(*every, *optional), reading=reading, known=_names(source))
    else:
        rows = records(source, (), columns, optional=(*every, *optional), reading=reading, holds=holds)
    ahead: list[Row] = []
    for row in rows:
        ahead.append(row)
        if row.wrong is None:
            break
    there = ahead[-1].values
    best = max(shapes, key=lambda shape: (all(role in there for role in shape), sum(role in there for role in shape)))
    if ahead[-1].wrong is None and not all(role in there for role in best):
        if not isinstance(source, str | os.PathLike):
            lacking = next(role for role in best if role not in there)
            raise InputError(f"{ahead[-1].where} has no {lacking}: give each example {_or(shapes)}")
        for row in records(source, best, columns, reading=Reading(), holds=holds):
            if row.wrong is not None:
                raise row.wrong
    return best, (_whole(row, best) for row in itertools.chain(ahead, rows))


def _whole(row: Row, roles: Sequence[str]) -> Row:
    """The row, or what it lacks: a first row has every role, others may not."""
    lacking = next((role for role in roles if role not in row.values), None)
    return row if row.wrong or lacking is None else row._replace(wrong=InputError(f"{row.where} has no {lacking}"))


def _or(shapes: Sequence[tuple[str, ...]]) -> str:
    return " or ".join(", ".join(shape) for shape in shapes)


def objects(
    items: Iterable[tuple[int, Any]],
    name: str,
    unit: Unit,
    roles: Sequence[str],
    columns: Columns,
    *,
    optional: Sequence[str] = (),
    reading: Reading,
    known: Mapping[str, tuple[str, ...]] | None = None,
) -> Iterator[Row]:
    """The rows of (number, mapping) pairs; an InputError in place of a mapping is what is wrong with that row. `known`: the fields whose
    values are ids, and their names; it may be filled while the items are read."""
    places: dict[tuple[str, ...], dict[str, str]] = {}
    number = count = 0
    try:
        for number, item in items:
            count += 1
            try:
                found = _fields(item, f"{name} {unit} {number:,}")
                keys = tuple(found)
                if keys not in places:
                    if len(places) >= _SHAPES:
                        places.clear()
                    where = f"{name} {unit} {number:,}"
                    resolved = columns.resolve(keys, roles, where, optional=optional, word="field", guess=_longest(found))
                    places[keys] = {role: keys[place] for role, place in resolved.items()}
                    if known:
                        reading.classes.update({role: known[key] for role, key in places[keys].items() if key in known})
            except InputError as error:
                yield Row({}, name, unit, number, wrong=error)
                continue
            fields = places[keys]
            yield Row({role: found[key] for role, key in fields.items()}, name, unit, number, fields)
    finally:
        reading.ledger.add("read", "rows", count)
    if not count:
        raise InputError(f"{name} holds no examples: give at least one")


def whole_json(name: str, notes: list[str]) -> Any:
    """What a .json file holds, at once."""
    text, found = decode(load(name))
    notes += found
    return _json_of(text, name)


def _fields(item: Any, where: str) -> Mapping[str, Any]:
    """The named values of one item; those of a nested translation stand beside the others."""
    if isinstance(item, InputError):
        raise item
    if not isinstance(item, Mapping):
        raise InputError(f"{where} is {type(item).__name__!r}, not an object with named fields")
    inside = item.get(NESTED)
    return {**item, **inside} if isinstance(inside, Mapping) else item


def _given(items: Iterable[Any], roles: Sequence[str], least: int) -> Iterator[tuple[int, Any]]:
    """Mappings as they are; the values of other sequences belong to `roles` in order, the first `least` of which are needed."""
    for number, item in enumerate(items, 1):
        values = [item] if isinstance(item, str) else item
        if isinstance(values, Sequence) and not least <= len(values) <= len(roles):
            wants = f"{least:,} to {len(roles):,}" if least < len(roles) else f"{least:,}"
            has = counted(len(values), "value")
            yield number, InputError(f"{GIVEN} example {number:,} has {has}, but needs {wants}: {', '.join(roles)}")
        elif isinstance(values, Sequence):
            yield number, dict(zip(roles, values, strict=False))
        else:
            yield number, item


def _names(source: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    """The names of the ids of an opened data set of Hugging Face; of anything else none."""
    plain = getattr(getattr(source, "features", None), "to_dict", None)
    return class_names(plain()) if plain is not None else {}


def _lines(text: Blob, name: str, example: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(stream(text), 1):
        if not line.isspace():
            try:
                yield number, object_of(line, f"{name} line {number:,}", example)
            except InputError as error:
                yield number, error


def _by_line(text: Blob) -> bool:
    """Whether a .json file holds an object a line: its first line is a whole one, and not the only line."""
    filled = (line for line in stream(text) if not line.isspace())
    try:
        return isinstance(json.loads(next(filled, "")), dict) and next(filled, None) is not None
    except (ValueError, RecursionError):
        return False


def _array(text: Blob, name: str) -> Iterator[tuple[int, Any]]:
    found = _json_of(text, name)
    if isinstance(found, dict):
        lists = [value for value in found.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        found = lists[0] if len(lists) == 1 else [found]  # {"version": …, "data": [{…}, …]}
    if not isinstance(found, list):
        raise InputError(f'{name} holds no objects: give a list such as [{{"text": "…"}}, …]')
    yield from enumerate(found, 1)


def _json_of(text: Blob, name: str) -> Any:
    try:
        return json.loads(text.read(0, text.size))
    except json.JSONDecodeError as error:
        raise InputError(f"{name} line {error.lineno:,} is not JSON ({error.msg} at column {error.colno:,})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON that can be read ({type(error).__name__})") from None


def _numbered(columns: Columns, name: str) -> bool:
    """Whether a text file is to be read as a table because its columns are given by their numbers."""
    numbers = bool(columns.given) and all(isinstance(value, int) for value in columns.given.values())
    return numbers and suffix(name) not in (*OBJECTS, ".json")


def _aligned(source: str, target: str, roles: Sequence[str], reading: Reading) -> Iterator[Row]:
    sides = []
    for name in (source, target):
        text, found = decode(load(name))
        reading.notes += found
        sides.append(stream(text))
    number = 0
    try:
        for number, (one, two) in enumerate(itertools.zip_longest(*sides), 1):
            if one is None or two is None:
                longer, shorter = (source, target) if two is None else (target, source)
                raise InputError(
                    f"{longer} has more than the {number - 1:,} lines of {shorter}: the n-th lines of both must belong together"
                )
            yield Row(dict(zip(roles, (one.rstrip("\n"), two.rstrip("\n")), strict=False)), source, "line", number)
    finally:
        reading.ledger.add("read", "rows", number)


def _longest(found: Mapping[str, Any]) -> int:
    """The field with the longest text: where the text would be."""
    sizes = [len(value) if isinstance(value, str) else -1 for value in found.values()]
    return sizes.index(max(sizes)) if sizes else 0

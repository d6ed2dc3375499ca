"""Strings as JSON writes them: each character in one way, so that two strings are the same where their texts are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...base.errors import InputError
from .characters import ALL, Characters, between, of
from .grammar import Alternatives, Lexeme, Literal, Node, Run, Sequence, either, lengths, repeat, sequence
from .regex import tree_of

MARKED = between(0, 0x1F) | of('"\\')
"""Characters that do not stand for themselves."""
HOST = r"[a-zA-Z0-9]{1,20}(-[a-zA-Z0-9]{1,20}){0,2}(\.[a-zA-Z0-9]{1,20}(-[a-zA-Z0-9]{1,20}){0,2}){0,3}\.[a-zA-Z]{2,10}"
DATE = r"[12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
FORMATS = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "duration": r"P([0-9]{1,4}[DW]|([0-9]{1,4}D)?T[0-9]{1,4}[HMS])",
    "email": rf"[a-zA-Z0-9]{{1,20}}([._+-][a-zA-Z0-9]{{1,20}}){{0,3}}@{HOST}",
    "hostname": HOST,
    "ipv4": rf"{BYTE}(\.{BYTE}){{3}}",
    "ipv6": r"[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}",
    "uri": rf"https?://{HOST}(/[a-zA-Z0-9._~-]{{0,40}}){{0,8}}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
}
"""What the strings of a format are here; not all that the format has."""


def written(characters: Characters) -> Run:
    """One of them inside a string."""
    marked = characters & MARKED
    names = tuple(json.dumps(chr(point))[1:-1] for low, high in marked.ranges for point in range(low, high + 1))
    return Run(Characters((characters - MARKED).ranges, names))


ANY = Run(Characters((ALL - MARKED).ranges, ('\\"', "\\\\", "\\n", "\\t")))
"""A character of a string of which nothing is said."""


def quoted(inside: Node) -> Node:
    """A string with this inside."""
    return inside if inside == Alternatives(()) else Lexeme(sequence('"', inside, '"'))


def value(constant: Any) -> str:
    """A constant as it is written."""
    return json.dumps(constant, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def string(schema: Mapping[str, Any], path: str) -> Node:
    """The strings of a schema. InputError for what is not supported."""
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" not in schema and "format" not in schema:
        return Alternatives(()) if most is not None and most < least else quoted(repeat(ANY, least, most))
    if "pattern" in schema and "format" in schema:
        raise InputError(f"{path}: pattern beside format is not supported: say both in the pattern")
    if "format" in schema and schema["format"] not in FORMATS:
        raise InputError(
            f"{path}: the format {schema['format']!r} is not supported (known are {', '.join(FORMATS)}): give a pattern for it"
        )
    if "format" in schema:
        inside = tree_of(FORMATS[schema["format"]])
    else:
        inside = tree_of(schema["pattern"], label=f"{path}: pattern", anywhere=True, write=written)
    shortest, longest = lengths(inside)
    if isinstance(inside, Run):
        low, high = max(least, shortest), min((bound for bound in (most, longest) if bound is not None), default=None)
        return Alternatives(()) if high is not None and high < low else quoted(Run(inside.characters, low, high))
    if shortest < least or (most is not None and (longest is None or longest > most)):
        raise InputError(
            f"{path}: minLength or maxLength beside a pattern whose matches differ in length is not supported: say it in the pattern"
        )
    return quoted(inside)


def any_but(names: Iterable[str]) -> Node:
    """The inside of every string but these."""
    names = set(names)
    begun = {name[0] for name in names if name}
    parts: list[Node] = [] if "" in names else [Sequence()]
    everything = repeat(ANY, 0, None)
    other = Characters(ANY.characters.ranges, ANY.characters.spelled) - of(begun)
    other = Characters(other.ranges, tuple(one for one in other.spelled if json.loads(f'"{one}"') not in begun))
    parts.append(sequence(Run(other), everything))
    for first in sorted(begun):
        parts.append(
            sequence(Literal(json.dumps(first, ensure_ascii=False)[1:-1]), any_but(name[1:] for name in names if name[:1] == first))
        )
    return either(parts)

"""Objects and arrays of a JSON schema: members in the order of the schema, commas between those that are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ...base.errors import InputError
from .grammar import Alternatives, Lexeme, Literal, Node, Reference, Run, Sequence, either, maybe, repeat, sequence
from .strings import any_but, quoted, value

NOTHING = Alternatives(())


class Reads(Protocol):
    """What reads the schemas inside."""

    rules: dict[str, Node]

    def node(self, schema: Any, path: str) -> Node: ...
    def refuse(self, path: str, why: str) -> InputError: ...


def object_(reader: Reads, schema: Mapping[str, Any], path: str) -> Node:
    """The objects of a schema."""
    named, required = schema.get("properties", {}), list(dict.fromkeys(schema.get("required", ())))
    others = schema.get("additionalProperties", not named and not required)
    least, most = schema.get("minProperties", 0), schema.get("maxProperties")
    members: list[tuple[Node, bool]] = []
    for name, inside in {**named, **{name: others for name in required if name not in named}}.items():
        if not isinstance(name, str) or any("\ud800" <= one <= "\udfff" for one in name):
            raise reader.refuse(path, f"the property {name!r} is not a name that JSON can say: mend it")
        if name not in named and "additionalProperties" not in schema:
            inside = True
        found = reader.node(inside, f"{path}.{name}")
        if found != NOTHING or name in required:
            members.append((sequence(Lexeme(Literal(f"{value(name)}:")), shared(reader, found)), name in required))
    extra = None
    if others is not False:
        found = reader.node(others, f"{path}.additionalProperties")
        extra = None if found == NOTHING else sequence(Lexeme(sequence(quoted(any_but(named)), ":")), shared(reader, found))
    room = bounded(reader, path, members, extra, least, most)
    if room is not None and room < 0:
        return NOTHING
    known = len(required)
    if least > known and least == 1 and members:
        return sequence("{", listed(reader, members, extra, room, some=True), "}")
    if least > known and not (extra is not None and not members and least == 1):
        raise reader.refuse(path, "minProperties above the number of required properties is not supported: require them by name")
    return sequence("{", listed(reader, members, extra, room, some=least > known), "}")


def bounded(reader: Reads, path: str, members: list[tuple[Node, bool]], extra: Node | None, least: int, most: int | None) -> int | None:
    """How many other properties there may be (None: any number), -1 where there is no such object at all."""
    known = sum(needed for _, needed in members)
    if most is None:
        return None if extra is not None or least <= len(members) else -1
    if most < max(known, least):
        return -1
    if len(members) > known and most < len(members):
        raise reader.refuse(path, "maxProperties below the number of properties is not supported: leave some out")
    return most - len(members)


def listed(reader: Reads, members: list[tuple[Node, bool]], extra: Node | None, room: int | None, *, some: bool) -> Node:
    """The members, those that are there with commas between them. Tails that are needed often become rules."""
    behind: Node = Sequence() if extra is None or room == 0 else repeat(sequence(",", extra), 0, room)
    less = None if room is None else max(room - 1, 0)
    alone = NOTHING if extra is None or room == 0 else sequence(extra, repeat(sequence(",", extra), 0, less))
    heads: list[Node] = [alone] if alone != NOTHING else []
    must = False
    for node, needed in reversed(members):
        behind = shared(reader, behind)
        heads = [sequence(node, behind), *([] if needed else heads)]
        must = must or needed
        more = sequence(",", node)
        behind = sequence(more if needed else maybe(more), behind)
    return either([*heads, *([] if must or some else [Sequence()])])


def shared(reader: Reads, node: Node) -> Node:
    """The node, as a rule where it is not a mere leaf: what stands in several places is then not written out in each."""
    if isinstance(node, Literal | Run | Lexeme | Reference) or node in (NOTHING, Sequence()):
        return node
    name = f"part {len(reader.rules)}"
    reader.rules[name] = node
    return Reference(name)


def array(reader: Reads, schema: Mapping[str, Any], path: str) -> Node:
    """The arrays of a schema."""
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    first = [reader.node(inside, f"{path}[{i}]") for i, inside in enumerate(schema.get("prefixItems", ()))]
    if schema.get("uniqueItems") and not (most is not None and most <= 1):
        raise reader.refuse(path, "'uniqueItems' is not supported: say it without")
    other = reader.node(schema.get("items", True), f"{path}[]") if schema.get("items", True) is not False else NOTHING
    first, other = [shared(reader, inside) for inside in first], shared(reader, other)
    most = min((bound for bound in (most, len(first) if other == NOTHING else None) if bound is not None), default=None)
    if most is not None and most < least:
        return NOTHING
    # From behind: what may follow the n-th item.
    rest: Node = Sequence()
    if other != NOTHING and (most is None or most > len(first)):
        rest = repeat(sequence(",", other), max(least - len(first), 0), None if most is None else most - len(first))
    count = len(first) if most is None else min(len(first), most)
    for i in range(count - 1, 0, -1):
        rest = sequence(",", first[i], rest) if i < least else maybe(sequence(",", first[i], rest))
    if count:
        whole = sequence(first[0], rest)
    elif other == NOTHING or most == 0:
        return Literal("[]")
    else:
        whole = sequence(other, repeat(sequence(",", other), max(least - 1, 0), None if most is None else most - 1))
    return sequence("[", whole if least else maybe(whole), "]")

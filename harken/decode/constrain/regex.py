"""A regular expression in Python's syntax as a tree. The whole text matches it, as with re.fullmatch.

\\d means 0 to 9; \\w and \\s every alphabet's; a final $ the very end. Lazy repeats mean the same as greedy ones, since the whole matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from ...base.errors import InputError
from .characters import ALL, DIGITS, Characters, between, category, of, opposite
from .grammar import Alternatives, Literal, Node, Run, either, repeat, sequence

MOST = 100_000
"""The largest number of times that a part may be repeated."""
WHY = {
    op.ASSERT: "looks ahead or behind",
    op.ASSERT_NOT: "looks ahead or behind",
    op.GROUPREF: "refers back to a group",
    op.GROUPREF_EXISTS: "depends on whether a group matched",
    op.ATOMIC_GROUP: "holds an atomic group",
    op.POSSESSIVE_REPEAT: "holds a possessive repeat",
}
EDGES = {op.AT_BEGINNING: 0, op.AT_BEGINNING_STRING: 0, op.AT_END: 1, op.AT_END_STRING: 1}


def tree_of(pattern: str, *, label: str = "regex", anywhere: bool = False, write: Callable[[Characters], Node] | None = None) -> Node:
    """The tree of a regex. `label`: what it is called in messages · `anywhere`: the text need only hold a match, as with re.search ·
    `write`: how a set of characters is written, where that is not by themselves.

    InputError when it is not a regex, or uses what no grammar can say."""
    try:
        found = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"{label} {pattern!r} is not a regular expression ({error}): mend it") from None
    if found.state.flags & re.MULTILINE:
        raise InputError(f"{label} {pattern!r} is in multi-line mode, where ^ and $ stand inside a text: leave (?m) out")
    return _Reader(pattern, label, anywhere, write or Run).all(found, found.state.flags, True, True)


class _Reader:
    def __init__(self, pattern: str, label: str, anywhere: bool, write: Callable[[Characters], Node]):
        self.pattern, self.label, self.anywhere, self.write = pattern, label, anywhere, write

    def refuse(self, why: str, mend: str = "say it without") -> InputError:
        return InputError(f"{self.label} {self.pattern!r} {why}: {mend}")

    def all(self, items: Any, flags: int, first: bool, last: bool) -> Node:
        """Items in a row. `first`, `last`: whether the text begins, ends with them."""
        items, open = list(items), [first and self.anywhere, last and self.anywhere]
        while items and items[0][0] is op.AT and EDGES.get(items[0][1]) == 0 and first:
            items, open[0] = items[1:], False
        while items and items[-1][0] is op.AT and EDGES.get(items[-1][1]) == 1 and last:
            items, open[1] = items[:-1], False
        groups = [bool(items) and items[end][0] in (op.SUBPATTERN, op.BRANCH) for end in (0, -1)]  # they have edges of their own
        most = len(items) - 1
        at_first, at_last = (first and open[0]) or (first and not self.anywhere), (last and open[1]) or (last and not self.anywhere)
        parts = [
            self.one(code, value, flags, at_first and i == 0 and groups[0], at_last and i == most and groups[1])
            for i, (code, value) in enumerate(items)
        ]
        around = [repeat(self.write(ALL), 0, None)] if self.anywhere else []
        before, behind = open[0] and not groups[0], open[1] and not groups[1]
        return sequence(*around * before, *spread(parts), *around * behind)

    def one(self, code: Any, value: Any, flags: int, first: bool, last: bool) -> Node:
        if code in WHY:
            raise self.refuse(f"{WHY[code]}, which no grammar can follow")
        if code is op.LITERAL:
            return self.text(self.folded(of(chr(value)), flags))
        if code is op.NOT_LITERAL:
            return self.write(opposite(self.folded(of(chr(value)), flags)))
        if code is op.ANY:
            return self.write(ALL if flags & re.DOTALL else opposite(of("\n")))
        if code is op.IN:
            return self.write(self.members(value, flags))
        if code is op.BRANCH:
            return either([self.all(branch, flags, first, last) for branch in value[1]])
        if code is op.SUBPATTERN:
            _, added, removed, inside = value
            return self.all(inside, (flags | added) & ~removed, first, last)
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            return self.repeated(value, flags)
        if code is op.AT and value not in EDGES:
            raise self.refuse("asks for the edge of a word, which no grammar can follow")
        if code is op.AT:
            raise self.refuse("has ^ or $ inside, where no text can match", "put them at its ends, or leave them out")
        raise self.refuse(f"holds {code}, which is not known here")

    def text(self, characters: Characters) -> Node:
        written = self.write(characters)
        low, high = characters.ranges[0] if characters.ranges else (1, 0)
        if isinstance(written, Run) and len(characters) == 1 and low == high and not written.characters.spelled:
            return Literal(chr(low))
        return written

    def repeated(self, value: Any, flags: int) -> Node:
        least, most, inside = value
        most = None if most == op.MAXREPEAT else int(most)
        if max(least, most or 0) > MOST:
            raise self.refuse(f"repeats a part more than {MOST:,} times", "ask for less")
        if any(code is op.AT for code, _ in inside):
            raise self.refuse("has ^ or $ inside, where no text can match", "put them at its ends, or leave them out")
        part = self.all(inside, flags, False, False)
        if isinstance(part, Literal) and len(part.text) == 1:
            part = Run(of(part.text))
        return repeat(part, least, most)

    def members(self, items: Sequence[tuple[Any, Any]], flags: int) -> Characters:
        """What stands in brackets."""
        found, negated = Characters(()), False
        for code, value in items:
            if code is op.NEGATE:
                negated = True
            elif code is op.LITERAL:
                found |= self.folded(of(chr(value)), flags)
            elif code is op.RANGE:
                found |= self.folded(between(*value), flags)
            else:
                found |= self.category(str(value), flags, negated)
        found = opposite(found) if negated else found
        if not found:
            raise self.refuse("has brackets that no character is in", "mend them")
        return found

    def category(self, name: str, flags: int, negated: bool) -> Characters:
        kind = name.rsplit("_", 1)[-1].lower()
        if flags & re.ASCII:
            whole = {"digit": DIGITS, "space": of(" \t\n\r\f\v"), "word": DIGITS | between("a", "z") | between("A", "Z") | of("_")}[kind]
        else:
            whole = category(kind)
        outside = "_NOT_" in name
        if kind == "digit" and not outside and not negated:  # fewer than Python's, and what is not a digit is none of Python's
            whole = DIGITS
        return opposite(whole) if outside else whole

    def folded(self, characters: Characters, flags: int) -> Characters:
        """In both cases where the regex ignores case."""
        if not flags & re.IGNORECASE:
            return characters
        if len(characters) > 5_000:
            raise self.refuse("ignores the case of a large set of characters", "name both cases")
        both = {chr(point) for low, high in characters.ranges for point in range(low, high + 1)}
        both |= {
            other for one in both for other in (one.lower(), one.upper()) if len(other) == 1 and re.fullmatch(re.escape(one), other, re.I)
        }
        return of(both)


def spread(parts: list[Node]) -> list[Node]:
    """Literals in front of alternatives that are literals go into each: "( the| a)" may be parsed as " " and "(the|a)", but " the" may be a
    token where "the" is none."""
    found: list[Node] = []
    for part in parts:
        before = found[-1] if found else None
        if isinstance(before, Literal) and isinstance(part, Alternatives) and all(isinstance(one, Literal) for one in part.parts):
            found[-1] = either(sequence(before, one) for one in part.parts)
        else:
            found = (
                [*found[:-1], Literal(before.text + part.text)]
                if isinstance(before, Literal) and isinstance(part, Literal)
                else [*found, part]
            )
    return found

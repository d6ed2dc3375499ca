"""The names a file gives its tensors -> the names its family knows.

Files on the Hub write the same model in several ways: with the model's prefix and without it ("transformer.h.0…", "h.0…"), with gamma
and beta for a norm's weight and bias, with the tied head once or twice, with heads of tasks that are not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..base.errors import InputError

OLD = {"gamma": "weight", "beta": "bias"}


@dataclass(frozen=True)
class Match:
    """`known`: name in the file -> the family's name · `unused`: names in the file of heads the model does not have, or has tied ·
    `absent`: the family's names that the file lacks · `copies`: the family's name -> name in the file, of what is there under another."""

    known: dict[str, str]
    unused: list[str]
    absent: list[str]
    copies: dict[str, str] = field(default_factory=dict)

    def taken(self) -> list[tuple[str, str]]:
        """(name in the file, the family's name) of all that is read."""
        return [*self.known.items(), *((name, theirs) for theirs, name in self.copies.items())]


def match(found: Iterable[str], wanted: Collection[str], *, prefixes: Sequence[str], ignore: Sequence[str], where: str) -> Match:
    """Give every tensor of a file its place. `prefixes`: how names of the body may begin · `ignore`: the family's patterns, of heads by how
    they begin (^), of what says nothing by how it ends.

    InputError names the first tensor that has no place, or the two that want the same.
    """
    known: dict[str, str] = {}
    taken: dict[str, str] = {}
    unused, strange = [], []
    for name in found:
        ways = list(spellings(name, prefixes))
        place = next((each for each in ways if each in wanted), None)
        if place is not None:
            if place in taken:
                raise InputError(f"{where} holds {place} twice, as {taken[place]} and as {name}: which one is meant cannot be known")
            known[name], taken[place] = place, name
            continue
        patterns = [pattern for pattern in ignore if any(re.search(pattern, each) for each in ways)]
        if not patterns:
            strange.append(name)
        elif all(pattern.startswith("^") for pattern in patterns):
            unused.append(name)
    if strange:
        raise InputError(f"{where} has {len(strange)} tensor(s) this family does not know, the first is {strange[0]}")
    return Match(known, unused, [name for name in wanted if name not in taken])


def spellings(name: str, prefixes: Sequence[str]) -> Iterator[str]:
    """The names that may be meant by one."""
    module, _, leaf = name.rpartition(".")
    for each in (name, f"{module}.{OLD[leaf]}") if leaf in OLD and module else (name,):
        yield each
        bare = next((each.removeprefix(prefix) for prefix in prefixes if each.startswith(prefix)), each)
        yield bare
        yield from (prefix + bare for prefix in prefixes)

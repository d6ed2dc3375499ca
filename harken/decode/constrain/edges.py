"""Which characters a text of a grammar may begin and end with."""

from __future__ import annotations

from .characters import Characters, of
from .grammar import Alternatives, Grammar, Literal, Node, Reference, Repeat, Run, Sequence, children

Edge = tuple[Characters, bool]
"""What a text may begin (or end) with, and whether it may be empty."""


def may_begin_or_end_with(grammar: Grammar, characters: Characters) -> bool:
    """Whether any text of the grammar begins or ends with one of them."""
    return any(edge(grammar, back)[0] & characters for back in (False, True))


def edge(grammar: Grammar, back: bool) -> Edge:
    """What texts of the grammar begin with, or end with (`back`), worked out until nothing is added any more."""
    rules: dict[str, Edge] = dict.fromkeys(grammar.rules, (Characters(()), False))

    def find(node: Node) -> Edge:
        match node:
            case Literal(text):
                return of(text[-1:] if back else text[:1]), not text
            case Run(set, least, _):
                spelled = of(one[-1 if back else 0] for one in set.spelled)
                return Characters(set.ranges) | spelled, least == 0
            case Reference(name):
                return rules[name]
            case Repeat(part, least, _):
                found, empty = find(part)
                return found, empty or least == 0
        found, empties = Characters(()), []
        for part in reversed(children(node)) if back else children(node):
            more, empty = find(part)
            found |= more
            empties.append(empty)
            if isinstance(node, Sequence) and not empty:
                break
        return found, any(empties) if isinstance(node, Alternatives) else all(empties)

    while True:
        found = {name: find(node) for name, node in grammar.rules.items()}
        if found == rules:
            return find(grammar.root)
        rules = found

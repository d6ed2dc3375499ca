"""What a text may be, as a small tree: regexes, choices and JSON schemas are all made of these nodes.

Leaves are literals and runs of characters. `lark` writes the tree for llguidance, whose lexer always takes the longest lexeme: so
`Lexeme` marks what is one, and holds only where nothing that may follow could make it longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from .characters import Characters
from .characters import lark as code_points

Node: TypeAlias = "Literal | Run | Sequence | Alternatives | Repeat | Reference | Lexeme"


@dataclass(frozen=True)
class Literal:
    """This text."""

    text: str


@dataclass(frozen=True)
class Run:
    """From `min` to `max` of these characters (None: any number)."""

    characters: Characters
    min: int = 1
    max: int | None = 1


@dataclass(frozen=True)
class Sequence:
    """One after the other; of nothing, the empty text."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Alternatives:
    """One of them; of nothing, no text at all."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """From `min` to `max` times (None: any number)."""

    part: Node
    min: int = 0
    max: int | None = None


@dataclass(frozen=True)
class Reference:
    """The rule of this name."""

    name: str


@dataclass(frozen=True)
class Lexeme:
    """One lexeme; no references inside."""

    part: Node


@dataclass(frozen=True)
class Grammar:
    """`root`, and the rules that references name."""

    root: Node
    rules: Mapping[str, Node] = field(default_factory=dict)


def sequence(*parts: Node | str) -> Node:
    """One after the other; literals side by side become one."""
    found: list[Node] = []
    for part in parts:
        part = Literal(part) if isinstance(part, str) else part
        for one in part.parts if isinstance(part, Sequence) else (part,):
            if isinstance(one, Literal) and found and isinstance(found[-1], Literal):
                found[-1] = Literal(found[-1].text + one.text)
            elif one != Literal(""):
                found.append(one)
    return found[0] if len(found) == 1 else Sequence(tuple(found))


def either(parts: Iterable[Node | str]) -> Node:
    """One of them; single characters become a set."""
    found: dict[Node, None] = {}
    for part in parts:
        part = Literal(part) if isinstance(part, str) else part
        for one in part.parts if isinstance(part, Alternatives) else (part,):
            found[Sequence() if one == Literal("") else one] = None
    return next(iter(found)) if len(found) == 1 else Alternatives(tuple(found))


def repeat(part: Node, least: int = 0, most: int | None = None) -> Node:
    """From `least` to `most` times; a character so often becomes a run."""
    if (least, most) == (1, 1):
        return part
    if most == 0:
        return Sequence()
    if isinstance(part, Run) and (part.min, part.max) == (1, 1):
        return Run(part.characters, least, most)
    return Repeat(part, least, most)


def maybe(part: Node) -> Node:
    """It or nothing."""
    return repeat(part, 0, 1)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside."""
    if isinstance(node, Sequence | Alternatives):
        return node.parts
    return (node.part,) if isinstance(node, Repeat | Lexeme) else ()


def changed(node: Node, change: Callable[[Node], Node]) -> Node:
    """The same node with changed ones inside."""
    match node:
        case Sequence(parts):
            return sequence(*map(change, parts))
        case Alternatives(parts):
            return either(map(change, parts))
        case Repeat(part, least, most):
            return repeat(change(part), least, most)
        case Lexeme(part):
            return Lexeme(change(part))
        case _:
            return node


def leaves(grammar: Grammar) -> Iterator[Literal | Run]:
    """All literals and runs."""
    todo = [grammar.root, *grammar.rules.values()]
    while todo:
        node = todo.pop()
        if isinstance(node, Literal | Run):
            yield node
        todo += children(node)


def lengths(node: Node) -> tuple[int, int | None]:
    """(fewest, most) characters of a tree without references; None: any number."""
    match node:
        case Literal(text):
            return len(text), len(text)
        case Run(_, least, most):
            return least, most
        case Repeat(part, least, most):
            low, high = lengths(part)
            return low * least, 0 if high == 0 or most == 0 else None if high is None or most is None else high * most
        case Lexeme(part):
            return lengths(part)
    found = [lengths(part) for part in children(node)]
    lows, highs = [low for low, _ in found], [high for _, high in found]
    if isinstance(node, Sequence):
        return sum(lows), None if None in highs else sum(high for high in highs if high is not None)
    return min(lows, default=0), None if None in highs else max((high for high in highs if high is not None), default=0)


# ---- for llguidance


def lark(grammar: Grammar) -> str:
    """The grammar as llguidance reads it."""
    written = _Lark()
    lines = [f"start: {written.rule(grammar.root)}"]
    lines += [f"r_{written.name(name)}: {written.rule(node)}" for name, node in grammar.rules.items()]
    return "\n".join([*lines, *(f"{name}: {text}" for text, name in written.terminals.items()), ""])


class _Lark:
    def __init__(self) -> None:
        self.terminals: dict[str, str] = {}
        self.names: dict[str, int] = {}

    def name(self, rule: str) -> int:
        return self.names.setdefault(rule, len(self.names))

    def rule(self, node: Node) -> str:
        match node:
            case Sequence(()):
                return '""'
            case Sequence(parts):
                return "(" + " ".join(map(self.rule, parts)) + ")"
            case Alternatives(parts):
                return "(" + " | ".join(map(self.rule, parts)) + ")"
            case Repeat(part, least, most):
                return f"{self.rule(part)}{times(least, most)}"
            case Reference(name):
                return f"r_{self.name(name)}"
            case Lexeme(part):
                return self.terminal(regex(part))
            case _:
                return self.terminal(regex(node))

    def terminal(self, pattern: str) -> str:
        text = f"/{pattern}/" if pattern else '""'
        return self.terminals.setdefault(text, f"T{len(self.terminals)}")


def times(least: int, most: int | None) -> str:
    """How often, in a regex or a rule."""
    if (least, most) in ((0, None), (1, None), (0, 1)):
        return {(0, None): "*", (1, None): "+", (0, 1): "?"}[least, most]
    return f"{{{least},{'' if most is None else most}}}"


def regex(node: Node) -> str:
    """A tree without references as a regex of llguidance's."""
    match node:
        case Literal(text):
            return "".join(one if one.isascii() and one.isalnum() else rf"\x{{{ord(one):x}}}" for one in text)
        case Run(characters, least, most):
            text = code_points(characters.pattern)
            return text if (least, most) == (1, 1) else f"{text}{times(least, most)}"
        case Sequence(parts):
            return "".join(f"(?:{regex(part)})" if isinstance(part, Alternatives) else regex(part) for part in parts)
        case Alternatives(parts):
            return "|".join(map(regex, parts))
        case Repeat(part, least, most):
            return f"(?:{regex(part)}){times(least, most)}"
        case Lexeme(part):
            return f"(?:{regex(part)})"
        case _:
            raise TypeError(node)

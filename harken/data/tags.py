"""Tags that name the parts of a sentence: how they mark where an entity begins, and what is wrong with those that do not.

O O B-PER I-PER    BIO (IOB2), and with E-, S- (or L-, U-) BIOES: Ramshaw and Marcus 1995, https://arxiv.org/abs/cmp-lg/9505040; Ratinov
and Roth 2009, https://aclanthology.org/W09-1119. In IOB1, as CoNLL-2003 was given out, B- only parts an entity from one of its own kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Scheme = Literal["BIO", "IOB1", "BIOES", "BILOU"]

_FIRST, _LAST = ("B", "S", "U"), ("E", "S", "L", "U")
_PREFIXES: dict[str, tuple[str, ...]] = {"BIO": ("B", "I"), "BIOES": ("B", "I", "E", "S"), "BILOU": ("B", "I", "L", "U")}


class Entity(NamedTuple):
    """The words [start, end) of a sentence are one of this kind."""

    kind: str
    start: int
    end: int


def parts(tag: str) -> tuple[str, str]:
    """("B", "PER") of B-PER; ("O", "") of what marks nothing; ("", tag) of a tag that is of no scheme, such as NOUN."""
    if tag == "O":
        return "O", ""
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash and kind and prefix in ("B", "I", "E", "S", "L", "U") else ("", tag)


def entities(tags: Sequence[str]) -> list[Entity]:
    """What the tags of a sentence mark, of any scheme, also where they do not begin or end as they should: neighbours of one kind belong
    together unless one of them says that it begins or ends there."""
    found: list[Entity] = []
    kind, start, closed = "", 0, True
    for i, tag in enumerate([*tags, "O"]):
        prefix, name = parts(tag)
        if kind and (closed or name != kind or prefix in _FIRST or prefix == "O"):
            found.append(Entity(kind, start, i))
            kind = ""
        if prefix != "O" and not kind:
            kind, start = name, i
        closed = prefix in _LAST
    return found


def tags_of(found: Iterable[Entity], length: int, scheme: Scheme) -> list[str]:
    """The tags (length,) of a sentence whose entities these are."""
    tags = ["O"] * length
    last, single = {"BIOES": ("E", "S"), "BILOU": ("L", "U")}.get(scheme, ("I", "B"))
    for kind, start, end in found:
        tags[start:end] = [f"I-{kind}"] * (end - start)
        if scheme == "IOB1":
            if start and parts(tags[start - 1])[1] == kind:
                tags[start] = f"B-{kind}"
            continue
        tags[end - 1] = f"{last}-{kind}"
        tags[start] = f"{single if end - start == 1 else 'B'}-{kind}"
    return tags


def misplaced(tags: Sequence[str], scheme: Scheme) -> tuple[int, str] | None:
    """(place of the first tag that is not what the scheme writes there, what it writes); None where all are."""
    wanted = tags_of(entities(tags), len(tags), scheme)
    return next(((i, right) for i, (tag, right) in enumerate(zip(tags, wanted, strict=True)) if tag != right), None)


def scheme_of(sentences: Iterable[Sequence[str]]) -> Scheme | None:
    """The scheme of many sentences; None where the tags mark no entities (parts of speech, say)."""
    prefixes: set[str] = set()
    opened = begun = 0  # entities of which the first tag is I-, and is B- where it parts nothing
    for tags in sentences:
        before = ""
        for tag in tags:
            prefix, kind = parts(tag)
            if not prefix:
                return None
            prefixes.add(prefix)
            if kind != before:
                opened += prefix == "I"
                begun += prefix == "B"
            before = kind
    if not prefixes - {"O"}:
        return None
    if prefixes & {"L", "U"}:
        return "BILOU"
    if prefixes & {"E", "S"}:
        return "BIOES"
    return "IOB1" if opened and not begun else "BIO"


def every_tag(found: Iterable[str], scheme: Scheme | None) -> tuple[str, ...]:
    """All tags that a scheme can write for the kinds that occur, O first, so that a tag that happens not to occur has a place too."""
    if scheme is None:
        return tuple(sorted(found))
    kinds = sorted({parts(tag)[1] for tag in found} - {""})
    return ("O", *(f"{prefix}-{kind}" for kind in kinds for prefix in _PREFIXES.get(scheme, ("B", "I"))))

"""Texts as rows: the special tokens around one or two of them, and what becomes of those that are longer than the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tokenizers

from ..base.errors import InputError
from ..text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from .task import Row, Tools

Part = tuple[tuple[int, ...], tuple[int, ...]]  # ids and their kinds


@dataclass(frozen=True)
class Frame:
    """`parts`: what stands before, between and behind the texts · `kinds`: of each text's own tokens."""

    parts: tuple[Part, ...]
    kinds: tuple[int, ...]

    @property
    def size(self) -> int:
        """Special tokens in it."""
        return sum(len(ids) for ids, _ in self.parts)

    @property
    def front(self) -> int:
        """Those before the first text."""
        return len(self.parts[0][0])

    def row(self, *texts: Sequence[int]) -> Row:
        """Texts as ids, with what stands around them."""
        from .task import Row

        ids, types = list(self.parts[0][0]), list(self.parts[0][1])
        for text, kind, (more, kinds) in zip(texts, self.kinds, self.parts[1:], strict=True):
            ids += [*(int(i) for i in text), *more]
            types += [*[kind] * len(text), *kinds]
        return Row(ids, types if any(types) else None)


def frame_of(tokenizer: Tokenizer, *, pair: bool) -> Frame:
    """What the tokenizer's template puts around one text, or two."""
    if not isinstance(tokenizer.inner, tokenizers.Tokenizer):
        return _plain(tokenizer, pair)
    found = tokenizer.inner.encode("a", "a" if pair else None)
    places = [[i for i, which in enumerate(found.sequence_ids) if which == n] for n in range(1 + pair)]
    if not all(places):  # there is no token for the letter
        return _plain(tokenizer, pair)
    ids, types = found.ids, found.type_ids
    if "token_type_ids" not in (tokenizer.extra.get("model_input_names") or ["token_type_ids"]):  # its model was not taught them
        types = [0] * len(ids)
    edges = [0, *(edge for place in places for edge in (place[0], place[-1] + 1)), len(ids)]
    parts = tuple((tuple(ids[a:b]), tuple(types[a:b])) for a, b in zip(edges[::2], edges[1::2], strict=True))
    return Frame(parts, tuple(types[place[0]] for place in places))


def _plain(tokenizer: Tokenizer, pair: bool) -> Frame:
    """What stands in front of a text and behind it; two texts meet with nothing between them."""
    nothing: Part = ((), ())
    before, behind = tuple(tokenizer.prefix), tuple(tokenizer.suffix)
    first, last = (before, (0,) * len(before)), (behind, (0,) * len(behind))
    return Frame((first, *[nothing] * pair, last), (0,) * (1 + pair))


def row_of(tools: Tools, text: str, *, truncation: bool = False, most: int | None = None) -> Row:
    """One text as a row. InputError when it is longer than the model reads, or `most`, unless it may be cut, which is counted."""
    ids, frame = tools.tokenizer.encode(text, special=False), tools.single
    cut = min(len(ids), max(0, len(ids) + frame.size - limit(tools, most)))
    admit(tools, cut, len(ids) + frame.size, truncation, most)
    return checked(frame.row(ids[: len(ids) - cut]))


def limit(tools: Tools, most: int | None) -> int:
    """Tokens of a row at most."""
    return tools.model.context if most is None else min(most, tools.model.context)


def pair_row(tools: Tools, first: str, second: str, *, truncation: bool = False, keep: str = "", most: int | None = None) -> Row:
    """Two texts as a row; where they are too long and may be cut, the longer one is, or all but `keep`: "second"."""
    frame = tools.double
    one, two = (tools.tokenizer.encode(text, special=False) for text in (first, second))
    length = len(one) + len(two) + frame.size
    over = min(length - frame.size, length - limit(tools, most))
    admit(tools, max(0, over), length, truncation, most)
    if over > 0:
        left = len(one) + len(two) - over  # of both together
        fewer = max(0, left - len(two)) if keep == "second" else min(len(one), max(left - len(two), (left + 1) // 2))
        one, two = one[:fewer], two[: max(0, left - fewer)]
    return checked(frame.row(one, two))


def admit(tools: Tools, over: int, length: int, truncation: bool, most: int | None = None) -> None:
    """Count what is read and what is cut off. InputError for a text that is too long and may not be cut."""
    if over and not truncation:
        whose = "this model reads" if limit(tools, most) == tools.model.context else "max_length is"
        raise InputError(
            f"the input has {length:,} tokens, but {whose} at most {limit(tools, most):,}: "
            f"shorten it by {over:,} tokens, or let truncation be true to leave them out"
        )
    tools.ledger.add("inputs", "tokens", length)
    if over:
        tools.ledger.add("inputs", "cut", 1)
        tools.ledger.add("inputs", "tokens cut off", over)


def checked(row: Row) -> Row:
    """InputError when there is nothing to read."""
    if not row.ids:
        raise InputError("the input is empty and this tokenizer puts no token around a text: give at least one character")
    return row


@dataclass(frozen=True)
class Window:
    """Tokens [start, stop) of a long text, which are read together; those of [first, last) are judged here, and nowhere else."""

    start: int
    stop: int
    first: int
    last: int


def windows(length: int, room: int, overlap: int) -> list[Window]:
    """A text of `length` tokens in windows of at most `room`, of which neighbours share `overlap`. InputError when they cannot.

    A token is judged where it stands furthest from an edge: half of what two windows share belongs to either."""
    if room < 1 or overlap < 0 or overlap >= room:
        raise InputError(f"windows of {max(room, 0):,} tokens cannot share {overlap:,} of them: give a smaller stride")
    if length <= room:
        return [Window(0, length, 0, length)]
    starts = [*range(0, length - room, room - overlap), length - room]
    found, first = [], 0
    for start, following in zip(starts, [*starts[1:], length], strict=True):
        last = length if start + room >= length else following + (start + room - following) // 2
        found.append(Window(start, start + room, first, last))
        first = last
    return found

"""Texts as rows: the special tokens around one or two of them, and what becomes of those that are longer than the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..base.errors import InputError
from ..data.framing import Frame, Window, frame_of, windows

__all__ = ["Frame", "Window", "admit", "checked", "frame_of", "pair_row", "row_of", "whole", "windows"]

if TYPE_CHECKING:
    from .task import Row, Tools


def whole(frame: Frame, *texts: Sequence[int]) -> Row:
    """Texts as ids, with what stands around them."""
    from .task import Row

    ids, types = frame.around(*texts)
    return Row(ids, types if any(types) else None)


def row_of(tools: Tools, text: str, *, truncation: bool = False, most: int | None = None) -> Row:
    """One text as a row. InputError when it is longer than the model reads, or `most`, unless it may be cut, which is counted."""
    ids, frame = tools.tokenizer.encode(text, special=False), tools.single
    cut = min(len(ids), max(0, len(ids) + frame.size - limit(tools, most)))
    admit(tools, cut, len(ids) + frame.size, truncation, most)
    return checked(whole(frame, ids[: len(ids) - cut]))


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
    return checked(whole(frame, one, two))


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

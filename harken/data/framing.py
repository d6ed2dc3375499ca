"""Texts as a model reads them: the special tokens around one text or two, and windows of those that are longer than it reads.

One definition for learning, measuring and asking, so that a model is always given what it was taught on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tokenizers

from ..base.errors import InputError
from ..text.tokenizer import Tokenizer

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

    def around(self, *texts: Sequence[int] | np.ndarray) -> tuple[list[int], list[int]]:
        """Texts as ids -> (ids, the kind of each) with what stands around them."""
        ids, types = list(self.parts[0][0]), list(self.parts[0][1])
        for text, kind, (more, kinds) in zip(texts, self.kinds, self.parts[1:], strict=True):
            ids += [*(int(i) for i in text), *more]
            types += [*[kind] * len(text), *kinds]
        return ids, types


def frame_of(tokenizer: Tokenizer, *, pair: bool) -> Frame:
    """What the tokenizer's template puts around one text, or two."""
    if not isinstance(tokenizer.inner, tokenizers.Tokenizer):
        return _plain(tokenizer, pair)
    example = next((text for text in ("a", *tokenizer.inner.get_vocab()) if tokenizer.encode(text, special=False)), "a")
    found = tokenizer.inner.encode(example, example if pair else None)
    places = [[i for i, which in enumerate(found.sequence_ids) if which == n] for n in range(1 + pair)]
    ids, types = found.ids, found.type_ids
    if not all(places):  # no text has a token
        return _plain(tokenizer, pair)
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

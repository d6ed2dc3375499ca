"""What was read once and may be asked to be read again: the keys and values of texts that have ended, the least used let go first.

A text that begins as one of them goes on from a copy. In the exact mode these are the bits it would have come to by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

LEAST = 16
"""Tokens that are worth keeping, or copying."""
MOST = 512
"""Texts that are looked through at most."""


@dataclass(eq=False)
class Held:
    """`ids`: what was read · `by`: the adapter it was read with · `keys`, `values`: of it, layer by layer."""

    ids: tuple[int, ...]
    by: str | None
    keys: list[Tensor]
    values: list[Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(t.nbytes for t in (*self.keys, *self.values))


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that two texts begin with."""
    most = min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    return next(i for i in range(most) if one[i] != other[i])


class Prefixes:
    """Of at most `room` bytes, the last used last."""

    def __init__(self, room: int) -> None:
        self.room, self.held, self.nbytes = room, [], 0
        self.held: list[Held]

    def wants(self, ids: tuple[int, ...], by: str | None, each: int) -> bool:
        """Whether a text of `each` bytes a token is to be kept: it is long enough, there is room, and none that holds it already."""
        known = any(one.by == by and one.ids[: len(ids)] == ids for one in self.held)
        return len(ids) >= LEAST and len(ids) * each <= self.room and not known

    def keep(self, found: Held) -> None:
        """One more; those it begins with are part of it now."""
        for one in [one for one in self.held if one.by == found.by and found.ids[: len(one.ids)] == one.ids]:
            self._drop(one)
        self.held.append(found)
        self.nbytes += found.nbytes
        while self.nbytes > self.room or len(self.held) > MOST:
            self._drop(self.held[0])

    def find(self, ids: tuple[int, ...], by: str | None) -> tuple[Held | None, int]:
        """(the one that has most in common with a text, how many tokens)."""
        best, most = None, LEAST - 1
        for one in self.held:
            if one.by == by and (same := common(one.ids, ids)) > most:
                best, most = one, same
        if best is not None:
            self.held.remove(best)
            self.held.append(best)
        return best, most if best is not None else 0

    def _drop(self, one: Held) -> None:
        self.held.remove(one)
        self.nbytes -= one.nbytes

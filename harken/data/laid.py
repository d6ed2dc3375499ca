"""Labelled examples laid out to be read: each is one sequence of tokens or several (windows, candidates, two sentences), with a goal.

n examples · m sequences · T tokens of all of them · W words · S sequences of a batch · L tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .framing import Frame
from .ledger import Ledger
from .replies import Replies


@dataclass(frozen=True)
class Classes:
    """`wanted`: (n,) a label's number; (n, N) float32 of several labels, 1 where one fits; (n, 1) a score. `problem`: in the words of
    config.json · `smoothing`: the share of the certainty that goes to all labels alike."""

    wanted: np.ndarray
    labels: tuple[str, ...]
    problem: str
    smoothing: float = 0.0


@dataclass(frozen=True)
class Tags:
    """`word` (T,): which word of its sentence a token stands for, -1 where it is not asked · `tags` (W,): of all words, of which
    `words` (n + 1,) says where each sentence begins."""

    word: np.ndarray
    tags: np.ndarray
    words: np.ndarray
    labels: tuple[str, ...]
    scheme: str


@dataclass(frozen=True)
class Answers:
    """`ends` (m, 2): where an answer's first and last token stand in a sequence; -1 where nothing can be said · `inside` (m, 2): where the
    context's tokens begin in it and end, the first of them token `shift` (m,) of the context · `none` (m,): where a model points to say
    that there is no answer, -1: nowhere · `examples`: with the answers in words · `offsets`: text -> characters of its tokens."""

    ends: np.ndarray
    inside: np.ndarray
    shift: np.ndarray
    none: np.ndarray
    examples: Sequence[Any]
    offsets: Any
    impossible: bool


@dataclass(frozen=True)
class Gains:
    """`gains` (m,): how much a candidate answers its query · `loss`: listwise, pairwise or pointwise."""

    gains: np.ndarray
    loss: str


@dataclass(frozen=True)
class Alike:
    """`scores` (n,): how alike two sentences are, 0–1; None where the first belongs to the second and to no other · `same` (m,): a number
    that equal texts share · `temperature`: what cosines are divided by."""

    scores: np.ndarray | None
    same: np.ndarray
    temperature: float


Goal = Classes | Tags | Answers | Gains | Alike | Replies


@dataclass(frozen=True)
class Laid:
    """ids, types (T,): tokens of all sequences end to end, and their kinds · `edges` (m + 1,): where each sequence begins · `firsts`
    (n + 1,): the first sequence of each example · `kept` (n,): which example of the data each is, or which dialogue · `context`: tokens
    of the longest sequence there may be."""

    ids: np.ndarray
    types: np.ndarray
    edges: np.ndarray
    firsts: np.ndarray
    kept: np.ndarray
    context: int
    goal: Any

    @property
    def targets(self) -> int:
        """Tokens read in one epoch: what a run is planned by."""
        rows = self.rows()
        return int((rows[:, 1] - rows[:, 0]).sum())

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return int(np.diff(self.edges).max(initial=0))

    def __len__(self) -> int:
        return len(self.firsts) - 1

    def rows(self, rng: np.random.Generator | None = None) -> np.ndarray:
        """(n, 3) where the tokens of each example begin and end, and its number; of replies what `Replies.rows` makes of it."""
        ends = self.edges[self.firsts]
        rows = np.stack([ends[:-1], ends[1:], np.arange(len(self))], 1)
        return self.goal.rows(rows, rng) if isinstance(self.goal, Replies) else rows

    def within(self, context: int) -> Laid:
        """The same: what is too long was cut or read in windows when it was laid out."""
        return self

    def sequences(self, rows: np.ndarray) -> np.ndarray:
        """rows (B, 3) -> (S,) the numbers of their sequences, in order."""
        return _runs(self.firsts, rows[:, 2])

    def take(self, which: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sequences (S,) -> ids (S, L) filled with `pad`, their kinds (S, L), lengths (S,); all int64."""
        begins, lengths = self.edges[which], self.edges[which + 1] - self.edges[which]
        ids = np.full((len(which), int(lengths.max())), pad, np.int64)
        types = np.zeros_like(ids)
        for i, (begin, length) in enumerate(zip(begins.tolist(), lengths.tolist(), strict=True)):
            ids[i, :length] = self.ids[begin : begin + length]
            types[i, :length] = self.types[begin : begin + length]
        return ids, types, lengths

    def tokens(self, which: np.ndarray) -> np.ndarray:
        """Sequences (S,) -> the places of all their tokens in `ids`, end to end."""
        return _runs(self.edges, which)


def _runs(edges: np.ndarray, which: np.ndarray) -> np.ndarray:
    """edges[i] up to edges[i + 1] for every i of `which`, end to end."""
    begins, sizes = edges[which], edges[which + 1] - edges[which]
    return np.arange(sizes.sum()) + np.repeat(begins - np.cumsum(sizes) + sizes, sizes)


class Layer:
    """What is laid out so far, one sequence after another."""

    def __init__(self) -> None:
        self.ids: list[np.ndarray] = []
        self.types: list[np.ndarray] = []
        self.firsts: list[int] = [0]
        self.kept: list[int] = []

    def add(self, frame: Frame, *texts: Sequence[int] | np.ndarray) -> int:
        """A sequence of the example under way; returns its length."""
        ids, types = frame.around(*texts)
        self.ids.append(np.array(ids, np.int32))
        self.types.append(np.array(types, np.uint8))
        return len(ids)

    def close(self, number: int) -> None:
        """The example, `number` of the data, is whole."""
        self.firsts.append(len(self.ids))
        self.kept.append(number)

    def laid(self, context: int, goal: Goal) -> Laid:
        """All of it."""
        edges = np.cumsum([0, *(len(each) for each in self.ids)])
        nothing = [np.zeros(0, np.int32)]
        ids, types = np.concatenate(self.ids or nothing), np.concatenate(self.types or nothing)
        return Laid(ids, types, edges, np.array(self.firsts), np.array(self.kept, np.int64), context, goal)


def counted(laid: Laid, ledger: Ledger, stage: str, unknown: int) -> None:
    """Say in the ledger's `stage` what is read."""
    for what, n in (("examples used", len(laid)), ("sequences", len(laid.edges) - 1), ("tokens used", len(laid.ids)), ("unknown", unknown)):
        ledger.add(stage, what, n)


def named(rows: np.ndarray) -> str:
    """The examples some rows are of, counted from 1: "examples 3, 8 and 9"."""
    numbers = sorted(int(i) + 1 for i in rows[:, 2])
    some = [f"{n:,}" for n in numbers[:5]] + [f"{len(numbers) - 5:,} more"] * (len(numbers) > 5)
    return f"example {some[0]}" if len(some) == 1 else f"examples {', '.join(some[:-1])} and {some[-1]}"

"""Rows of token ids, batched, in an order that is a function of (seed, epoch, place) and nothing else.

B rows · L tokens
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from .numbers import ROWS, Numbers, room
from .sentences import segments

_OVERHEAD = 400
"""Padded tokens that cost as much time as reading a batch in one more part (measured with small models on a CPU)."""


class Source(Protocol):
    """What can be batched: `targets` tokens to predict in one epoch, of which the `longest` row has so many, in rows of `context`; where
    only some tokens of a text are to be predicted, all that they are drawn from.

    A row is an array of numbers that its objective understands; the first two are where its targets begin and end."""

    @property
    def targets(self) -> Any: ...  # an int, also where it is worked out once and kept
    @property
    def longest(self) -> Any: ...
    @property
    def context(self) -> int: ...
    def rows(self, rng: np.random.Generator | None = None) -> np.ndarray:
        """(n, 2 or more) every row; with `rng`, long texts are cut at other places every time."""
        ...


@dataclass(frozen=True)
class Spans:
    """Token ids of many texts, laid end to end, and which of them are to be predicted. Both arrays may be mapped from files.

    ids (T,) uint16 or int32 · spans (n, 2): targets ids[begin:end] of each text · `lead`: the id read before a text's first target, or
    None to read ids[begin - 1] · `context`: tokens a row may have; a longer text is cut into rows, and every target stays in one of them ·
    `sentences` (n,): where each begins, if rows are to be made of whole ones.
    """

    ids: np.ndarray
    spans: np.ndarray
    lead: int | None
    context: int
    sentences: np.ndarray | None = None

    @functools.cached_property
    def targets(self) -> int:
        """Tokens to predict in one epoch."""
        return int(self.spans[:, 1].sum() - self.spans[:, 0].sum())

    @functools.cached_property
    def longest(self) -> int:
        """Tokens to predict in the longest text."""
        spans = self.spans
        return max((int((spans[i : i + ROWS, 1] - spans[i : i + ROWS, 0]).max()) for i in range(0, len(spans), ROWS)), default=0)

    def rows(self, rng: np.random.Generator | None = None) -> np.ndarray:
        """(n, 2) targets of each row. With `rng`, long texts with a `lead` are cut at other places every time, so that no token
        always stands at the start of its window."""
        if self.longest <= self.context:
            return self.spans
        if self.sentences is not None:
            return segments(self.spans, self.sentences, self.context, rng)
        rows = Numbers(np.int64, 2)
        for i in range(0, len(self.spans), ROWS):
            begin, end = self.spans[i : i + ROWS].T
            first = np.full(len(begin), self.context)  # length of the first row
            long = end - begin > self.context
            if rng is not None and self.lead is not None:
                shifts = rng.integers(self.context, size=np.count_nonzero(long))
                first[long] = np.where(shifts > 0, shifts, self.context)
            count = 1 + np.maximum(0, -(-(end - begin - first) // self.context))  # rows of each text
            text = np.repeat(np.arange(len(begin)), count)
            place = np.arange(len(text)) - (np.cumsum(count) - count)[text]  # of the row in its text
            start = begin[text] + np.where(place > 0, first[text] + (place - 1) * self.context, 0)
            stop = np.append(start[1:], 0)
            stop[np.cumsum(count) - 1] = end
            rows.add(np.stack([start, stop], 1))
        return rows.array()

    def within(self, context: int) -> Spans:
        """The same texts, cut into rows of `context` tokens from now on."""
        return replace(self, context=context)

    def take(self, rows: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """rows (B, 2) -> inputs (B, L) filled with `pad`, targets (B, L) filled with -100, lengths (B,); all int64."""
        lengths = rows[:, 1] - rows[:, 0]
        inputs = np.full((len(rows), int(lengths.max())), pad, np.int64)
        targets = np.full(inputs.shape, -100, np.int64)
        for i, (begin, end) in enumerate(rows):
            targets[i, : end - begin] = self.ids[begin:end]
            inputs[i, 1 : end - begin] = self.ids[begin : end - 1]
            inputs[i, 0] = self.ids[begin - 1] if self.lead is None else self.lead
        return inputs, targets, lengths

    def packed(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """rows (B, 2) end to end, without padding -> inputs (T,), targets (T,), and starts (B + 1,) of the rows and the end; all int64."""
        starts = np.concatenate([[0], np.cumsum(rows[:, 1] - rows[:, 0])])
        places = np.arange(starts[-1]) + np.repeat(rows[:, 0] - starts[:-1], np.diff(starts))
        inputs = self.ids[np.maximum(places - 1, 0)].astype(np.int64)
        if self.lead is not None:
            inputs[starts[:-1]] = self.lead
        return inputs, self.ids[places].astype(np.int64), starts


class Batches:
    """Endless batches of training rows. `position` is (epoch, place); going back to it gives the same batches again."""

    def __init__(self, source: Source, size: int, seed: int):
        self.source, self.size, self.seed = source, size, seed
        self.position = (0, 0)
        self._epoch, self._order = -1, Order(np.zeros((0, 2), np.int64), np.zeros(0, np.int32), size)

    def next(self) -> np.ndarray:
        """(B, 2) the next rows, longest first."""
        epoch, place = self.position
        if self._epoch != epoch:
            self._epoch, self._order = epoch, self.order(epoch)
        self.position = (epoch, place + 1) if place + 1 < len(self._order) else (epoch + 1, 0)
        return self._order[place]

    def order(self, epoch: int) -> Order:
        """Every batch of an epoch: rows shuffled and cut. Batches of equal length would pad less, but they learn worse: measured on
        names, 0.03 nats per character behind at the same number of steps."""
        rng = np.random.default_rng((self.seed, epoch))
        rows = self.source.rows(rng)
        order = room(len(rows), np.int32 if len(rows) < 1 << 31 else np.int64)
        for i in range(0, len(rows), ROWS):
            order[i : i + ROWS] = np.arange(i, min(i + ROWS, len(rows)))
        rng.shuffle(order)
        return Order(rows, order, self.size)


class Order(Sequence[np.ndarray]):
    """Batches of `size` rows in a given order, each longest first, gathered when it is asked for."""

    def __init__(self, rows: np.ndarray, order: np.ndarray, size: int):
        self.rows, self.order, self.size = rows, order, size

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.size)

    def __getitem__(self, place: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(B, 2) one batch."""
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} batches, not {place + 1}")
        return longest_first(self.rows[self.order[place * self.size : (place + 1) * self.size]])


def longest_first(rows: np.ndarray) -> np.ndarray:
    """Rows (n, 2) by falling length."""
    return rows[np.argsort(rows[:, 0] - rows[:, 1], kind="stable")]


def parts(rows: np.ndarray, least: int = 1) -> list[np.ndarray]:
    """Rows (B, 2), longest first, in at least `least` parts of similar length, more where that saves more padding than a part costs."""
    counts = range(min(least, len(rows)), min(max(least, 4), len(rows)) + 1)
    lengths = rows[:, 1] - rows[:, 0]

    def cost(n: int) -> int:
        return sum(len(part) * int(part[0]) for part in np.array_split(lengths, n)) + n * _OVERHEAD

    return np.array_split(rows, min(counts, key=cost))


def runs(rows: np.ndarray, least: int, tokens: int) -> list[np.ndarray]:
    """Rows (B, 2) in at least `least` consecutive parts of about `tokens` targets each, as they are packed."""
    ends = np.cumsum(rows[:, 1] - rows[:, 0])
    count = min(max(least, round(int(ends[-1]) / tokens), 1), len(rows))
    places = np.searchsorted(ends, ends[-1] * np.arange(1, count) / count, side="right")
    found = [part for part in np.split(rows, np.unique(places)) if len(part)]
    return found if len(found) >= least else np.array_split(rows, count)


def in_order(source: Source, size: int) -> Order:
    """Batches of all rows, longest first, for measuring."""
    rows = source.rows()
    return Order(rows, np.argsort(rows[:, 0] - rows[:, 1], kind="stable"), size)

"""Examples of one kind, whatever their number: they stay where they are until they are asked for, and every row is accounted for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, TypeVar, overload

import numpy as np

from ..base.errors import InputError
from .columns import counted
from .corpus import Corpus
from .ledger import Ledger
from .overlap import Overlap, overlap
from .records import Reading
from .split import held_out
from .tables import Row
from .texts import Texts, TextsBuilder
from .values import frozen

E = TypeVar("E")

WRONG = "wrong rows left out"
_LISTED = 10
"""Wrong rows that an error names, before the rest is only counted."""


class Stored(Sequence[E], Generic[E]):
    """Dataclasses as JSON in a store of texts, made anew whenever one is asked for."""

    def __init__(self, rows: Texts, make: Callable[..., E]) -> None:
        """`make` takes the fields of one in their order, lists as tuples."""
        self.rows, self.make = rows, make

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> E: ...
    @overload
    def __getitem__(self, index: slice) -> Stored[E]: ...
    def __getitem__(self, index: int | slice) -> E | Stored[E]:
        if isinstance(index, slice):
            return Stored(self.rows[index], self.make)
        return self._made(self.rows[index])

    def __iter__(self) -> Iterator[E]:
        return map(self._made, self.rows)

    def select(self, which: np.ndarray) -> Stored[E]:
        """Those for which `which` (n,) bool is true."""
        return Stored(self.rows.select(which), self.make)

    def _made(self, row: str) -> E:
        return self.make(*frozen(json.loads(row)))


@dataclass(frozen=True)
class Examples(Sequence[E], Generic[E]):
    """Examples of one kind with where they came from.

    `rows`: the examples, read when they are asked for · `keys`: what each is known by when two sides are told apart: the text that is
    read, not its answer · `name`: the source · `labels`: every label there is, in order; () where the kind has none · `problem`: what the
    labels ask for, where a kind knows several · `notes`: sentences that should be said aloud.
    """

    rows: Stored[E]
    keys: Texts
    name: str
    ledger: Ledger = field(default_factory=Ledger)
    notes: list[str] = field(default_factory=list)
    labels: tuple[str, ...] = ()
    problem: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> E: ...
    @overload
    def __getitem__(self, index: slice) -> Stored[E]: ...
    def __getitem__(self, index: int | slice) -> E | Stored[E]:
        return self.rows[index]

    def __iter__(self) -> Iterator[E]:
        return iter(self.rows)

    def select(self, which: np.ndarray) -> Examples[E]:
        """Those for which `which` (n,) bool is true; the labels stay all there are."""
        return dataclasses.replace(self, rows=self.rows.select(which), keys=self.keys.select(which), notes=[])

    def changed(self, others: Iterable[E]) -> Examples[E]:
        """The same with one other in place of each, known by what it was known by."""
        texts = TextsBuilder(self.name)
        for each in others:
            texts.add(_written(each))
        return dataclasses.replace(self, rows=Stored(texts.texts(), self.rows.make))

    def corpus(self) -> Corpus:
        """The keys as texts."""
        return Corpus(self.keys, "lines", self.name, self.ledger, self.notes)


def gather(
    rows: Iterable[Row],
    make: Callable[[Row], Iterable[E]],
    key: Callable[[E], str],
    kind: Callable[..., E],
    *,
    name: str,
    reading: Reading,
    skip_bad: bool = False,
) -> Examples[E]:
    """The examples that `make` finds in every row. A row of which it says, by an InputError, that it is wrong is left out and counted where
    `skip_bad`; else all wrong rows are listed in one InputError, up to ten by their number.

    The ledger's stage "read" adds up: rows and further examples of a row are examples and wrong rows left out. RunError if it did not.
    """
    texts, keys, ledger = TextsBuilder(name), TextsBuilder(name), reading.ledger
    wrong, total, further, count = [], 0, 0, 0
    bad = 0
    for row in rows:
        total += 1
        try:
            if row.wrong is not None:
                raise row.wrong
            checked = [(_whole(_written(each), row), _whole(key(each), row)) for each in make(row)]
        except InputError as error:
            bad += 1
            if len(wrong) < _LISTED:
                wrong.append(str(error))
            continue
        further += len(checked) - 1
        for one, two in checked:
            texts.add(one)
            keys.add(two)
        count += len(checked)
    if bad and (not skip_bad or not count):
        raise InputError(_told(name, wrong, bad, total))
    for what, n in (("further examples of a row", further), (WRONG, bad), ("examples", count)):
        if n:
            ledger.add("read", what, n)
    ledger.balance("read", ("rows", "further examples of a row"), WRONG, "examples")
    notes = [f"{name}: {counted(bad, 'wrong row')} of {total:,} left out, the first: {_inside(name, wrong[0])}"] if bad else []
    return Examples(Stored(texts.texts(), kind), keys.texts(), name, ledger, [*reading.notes, *notes])


def split_examples(examples: Examples[E], share: float | None = None) -> tuple[Examples[E], Examples[E]]:
    """(train, valid) by a hash of what each is known by, so that the same text never stands on both sides; the shares as in `split`."""
    chosen = held_out(examples.keys, share)
    ledger = examples.ledger.copy()
    for what, n in (("examples", len(chosen)), ("train examples", int((~chosen).sum())), ("valid examples", int(chosen.sum()))):
        ledger.add("split", what, n)
    ledger.balance("split", "examples", "train examples", "valid examples")
    whole = dataclasses.replace(examples, ledger=ledger)
    return dataclasses.replace(whole.select(~chosen), notes=examples.notes), whole.select(chosen)


def shared(train: Examples[Any], held: Examples[Any], side: str = "held-out") -> Overlap:
    """What stands on both sides, by what each example is known by."""
    return overlap(train.corpus(), held.corpus(), side)


def _written(example: Any) -> str:
    return json.dumps([getattr(example, each.name) for each in dataclasses.fields(example)], ensure_ascii=False)


def _whole(text: str, row: Row) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise InputError(f"{row.where} holds half a character ({half}): repair the text where it was cut") from None
    return text


def _told(name: str, wrong: Sequence[str], bad: int, total: int) -> str:
    """One sentence for all wrong rows. Where every row is wrong, it is the reading that is: the first says it."""
    lacks = {each.partition(" has no ")[2].partition(" (")[0] for each in wrong}
    if bad == 1 or (bad == total and len(lacks) == 1 and "" not in lacks):
        return wrong[0]
    shown = "; ".join(chain((_inside(name, each) for each in wrong), [f"and {bad - len(wrong):,} more"] if bad > len(wrong) else []))
    return f"{name} has {bad:,} wrong rows of {total:,} (mend them, or leave them out with --skip-bad-rows): {shown}"


def _inside(name: str, message: str) -> str:
    return message.removeprefix(f"{name} ").removeprefix(f"{name}: ")

"""One text under way: where it is in its batch, how much of it was read, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ..decode.plan import Plan
from ..decode.rows import Row, finished
from ..decode.search import logprobs_of, pick
from .writing import Ended, Event, Said, Token, Writing

CLOCK = "time"
"""Why a text ended that had to: its time was over, or the server's."""


@dataclass(eq=False)
class Flight:
    """`index`: of the row in its request · `by`: the adapter it is read with · `read`: tokens of `row.seen` that the model has read ·
    `said`, `count`: characters and tokens of its text that were told · `looked`: whether what others read was looked through for its
    beginning · `tops`: of each token the likeliest in its place, where they are wanted."""

    writing: Writing
    index: int
    by: str | None = None
    read: int = 0
    said: int = 0
    looked: bool = False
    count: int = 0
    tops: list[tuple[tuple[int, float], ...]] = field(default_factory=list)

    @property
    def row(self) -> Row:
        """The text."""
        return self.writing.rows[self.index]

    @property
    def plan(self) -> Plan:
        """How it is written."""
        return self.writing.plan

    @property
    def unread(self) -> int:
        """Tokens that the model has yet to read before it says what comes next."""
        return self.row.length - self.read

    @property
    def next(self) -> int:
        """The token it reads next."""
        row = self.row
        return (row.ids or row.begun)[-1] if self.unread == 1 else row.seen[self.read]

    def told(self) -> Event | None:
        """What is new since this was asked last: a piece of text, tokens, or that the text is whole; None where nobody waits for it."""
        row, writing = self.row, self.writing
        if writing.first is None and row.ids:
            writing.first = time.monotonic()
        if row.finish is not None:
            found = finished(writing.served.tokenizer.target, row)
            return Ended(self.index, found, self._piece(), self._tokens())
        return Said(self.index, self._piece(), self._tokens()) if writing.stream else None

    def _tokens(self) -> tuple[Token, ...]:
        at, self.count = self.count, len(self.row.ids)
        tops = self.tops[at:] or [()] * (self.count - at)
        return tuple(Token(*each) for each in zip(self.row.ids[at:], self.row.logprobs[at:], tops, strict=True))

    def _piece(self) -> str:
        watch = self.row.watch
        text = "" if watch is None else watch.text
        piece, self.said = text[self.said :], len(text)
        return piece


def alike(one: Plan, other: Plan) -> bool:
    """Whether tokens are chosen the same way."""
    chosen = ((plan.processors, plan.filters, plan.options.do_sample) for plan in (one, other))
    return one is other or next(chosen) == next(chosen)


def grouped(flights: Sequence[Flight]) -> list[list[int]]:
    """Places of the flights, those that choose the same way together."""
    groups: list[list[int]] = []
    for place, flight in enumerate(flights):
        group = next((group for group in groups if alike(flights[group[0]].plan, flight.plan)), None)
        if group is None:
            groups.append(group := [])
        group.append(place)
    return groups


def write(flights: Sequence[Flight], logits: Tensor) -> list[tuple[Flight, Exception]]:
    """Every flight gets its next token, from logits (A, V); returns those that could not, and why."""
    faults: list[tuple[Flight, Exception]] = []
    ids = torch.zeros(len(flights), dtype=torch.int64, device=logits.device)
    for group in grouped(flights):
        some = [group] if len(group) == 1 or all(flights[place].row.guard is None for place in group) else [[place] for place in group]
        for part in some:  # what a constraint does not expect concerns one text alone
            try:
                scores = logits if len(part) == len(flights) else logits[part]
                ids[part] = pick(flights[part[0]].plan, [flights[place].row for place in part], scores)
            except Exception as error:
                faults += [(flights[place], error) for place in part]
    failed = {id(flight) for flight, _ in faults}
    known = logprobs_of(logits, ids).tolist()
    tops = best(flights, logits)
    for flight, token, logprob, top in zip(flights, ids.tolist(), known, tops, strict=True):
        if id(flight) in failed:
            continue
        try:
            flight.row.write(token, logprob, flight.plan)
        except Exception as error:
            faults.append((flight, error))
        if top and token >= 0:
            flight.tops.append(top)
    return faults


def best(flights: Sequence[Flight], logits: Tensor) -> list[tuple[tuple[int, float], ...]]:
    """The likeliest tokens of each flight under the model itself, as many as it wants to know; equals by their ids."""
    found: list[tuple[tuple[int, float], ...]] = [()] * len(flights)
    for place, flight in enumerate(flights):
        if flight.writing.top:
            found[place] = likeliest(logits[place], flight.writing.top)
    return found


def likeliest(logits: Tensor, count: int) -> tuple[tuple[int, float], ...]:
    """logits (V,) -> the ids of the highest, with their natural log-probabilities; of equals the lower id first."""
    values, ids = F.log_softmax(logits.float()[None], -1)[0].topk(min(count, len(logits)))
    return tuple(sorted(zip(ids.tolist(), values.tolist(), strict=True), key=lambda one: (-one[1], one[0])))

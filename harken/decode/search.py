"""A token after the other: always the likeliest, or one drawn.

A search is asked once a step. It is shown what the model says of every row under way, writes into the rows, and tells which of them go
on and from which of those before.   A rows under way · V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .plan import Plan
from .processors import OUT, apply
from .rows import Row
from .sample import draw, likeliest


class Step(NamedTuple):
    """`rows`: those that go on · `parents`: for each of them, the place among the rows before of the one it continues · `said`: tokens of
    text that are certain now, and of which row · `guesses`: for each row what else is to be read, as it may be what comes next."""

    rows: list[Row]
    parents: list[int]
    said: list[tuple[Row, int]]
    guesses: Sequence[Sequence[int]] = ()


class Search(Protocol):
    """One way to find the next tokens."""

    def step(self, known: Tensor, scores: Tensor) -> Step:
        """known (A, V): the model's own logits · scores (A, V): the same, guided where that is asked for."""
        ...

    def results(self) -> list[Row]:
        """The finished rows: those of the first prompt, then those of the next."""
        ...


class OneByOne:
    """Greedy decoding and sampling, https://arxiv.org/abs/1904.09751."""

    def __init__(self, plan: Plan, rows: Sequence[Row]):
        self.plan, self.all, self.rows = plan, list(rows), list(rows)

    def step(self, known: Tensor, scores: Tensor) -> Step:
        """Every row gets its next token."""
        ids = pick(self.plan, self.rows, scores)
        logprobs = logprobs_of(known, ids)
        said = [
            (row, token)
            for row, token, logprob in zip(self.rows, ids.tolist(), logprobs.tolist(), strict=True)
            if row.write(token, logprob, self.plan)
        ]
        parents = [i for i, row in enumerate(self.rows) if row.finish is None]
        self.rows = [self.rows[i] for i in parents]
        return Step(self.rows, parents, said)

    def results(self) -> list[Row]:
        """All rows, in the order they came in."""
        return self.all


def pick(plan: Plan, rows: Sequence[Any], scores: Tensor) -> Tensor:
    """scores (A, V) -> (A,) the next id of every row. It depends on the row alone: its tokens, its chance, how many it has written."""
    scores = permitted(apply(plan.processors, scores.float(), rows), rows)
    if not plan.options.do_sample:
        return settled(likeliest(scores), rows)
    chances = torch.tensor([row.chance.at(len(row.ids)) for row in rows], dtype=torch.float64)
    return settled(draw(apply(plan.filters, scores, rows), chances), rows)


def permitted(scores: Tensor, rows: Sequence[Any], count: int | None = None) -> Tensor:
    """scores (A, V) with -inf for what a row's constraint does not allow next. `count`: of those, only as many of the highest of each row
    that its text can still end in time behind them, as far as that is in doubt."""
    if all(row.guard is None for row in rows):
        return scores
    masks = [np.ones(scores.shape[-1], bool) if row.guard is None else row.guard.mask() for row in rows]
    scores = scores.masked_fill(~torch.from_numpy(np.stack(masks)).to(scores.device), OUT)
    for i, row in enumerate(rows):
        left = row.limit - len(row.ids)
        if count is not None and row.guard is not None and row.guard.pressed(left):
            order = scores[i].sort(descending=True, stable=True).indices[:count].tolist()
            kept = row.guard.fitting(order, left)
            scores[i] = torch.full_like(scores[i], OUT).index_copy(0, torch.tensor(kept, device=scores.device), scores[i][kept])
    return scores


def settled(ids: Tensor, rows: Sequence[Any]) -> Tensor:
    """ids (A,), but where a constrained text could not end in time behind one, what ends it."""
    if all(row.guard is None for row in rows):
        return ids
    found = [
        token if row.guard is None else row.guard.settle(token, row.limit - len(row.ids))
        for row, token in zip(rows, ids.tolist(), strict=True)
    ]
    return torch.tensor(found, device=ids.device)


def logprobs_of(logits: Tensor, ids: Tensor) -> Tensor:
    """logits (A, V), ids (A,) -> (A,) natural log-probability under the model itself (of no token, HALT, it has no meaning)."""
    return F.log_softmax(logits.float(), -1).gather(-1, ids.clamp(min=0)[:, None])[:, 0]

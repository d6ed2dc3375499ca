"""Guess the next tokens, read all of them at once, keep those that are right: several tokens for the time of one.

What is kept is what the model would have written by itself, to the bit: a token depends on the row alone, on its chance at that place
and on sums in a fixed order, so a guess is right or it is not. https://arxiv.org/abs/2211.17192 with nothing left to correct

A rows under way · T tokens read: of each row its newest, and the guesses after it · V vocabulary
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..nn.counts import NGram
from ..nn.mask import Mask
from ..nn.models import Model
from ..nn.smoothing import Smoothed
from .constrain.guard import Guard
from .plan import Plan
from .processors import OUT
from .reader import Reader
from .rows import Row
from .search import Step, logprobs_of, pick

GRAMS = (3, 2)
"""Tokens in a row that must have been seen before to guess what came after them, the longer first."""
FIRST = 4
"""Tokens guessed at the start; then more where all were right, and fewer where they were not."""
MOST = 16
"""Tokens guessed at once at most, where nobody says how many."""
TRIES = 3
"""Steps by which `Auto` judges a way to guess, and each of them again after some `AGAIN` steps."""
AGAIN = 60
SURE = 0.2
"""How often a token must have been the next one, among all times, to be guessed from counts."""


@dataclass(frozen=True)
class Ahead:
    """A row as it would be with some of its guesses; what a choice looks at."""

    row: Row
    guesses: Sequence[int]

    @property
    def begun(self) -> list[int]:
        return self.row.begun

    @property
    def source(self) -> list[int] | None:
        return self.row.source

    @property
    def limit(self) -> int:
        return self.row.limit

    @property
    def chance(self):
        return self.row.chance

    @property
    def ids(self) -> list[int]:
        """What would be written then."""
        return self.row.ids + list(self.guesses)

    @functools.cached_property
    def guard(self) -> Guard | None:
        """What could come next then, where the text keeps to a constraint."""
        if self.row.guard is None or not self.guesses:
            return self.row.guard
        guard = self.row.guard.fork()
        for token in self.guesses:
            guard.push(token)
        return guard


class Guesser(Protocol):
    """Who says what may come next."""

    def guess(self, rows: Sequence[Row], most: Sequence[int]) -> list[list[int]]:
        """At most so many tokens for each row; it may have asked for others before, and need not ask every time."""
        ...


class Speculative:
    """`OneByOne`, a few tokens at a time."""

    def __init__(self, plan: Plan, rows: Sequence[Row], guesser: Guesser):
        self.plan, self.guesser, self.all, self.rows = plan, guesser, list(rows), list(rows)
        self.guesses: list[list[int]] = [[] for _ in rows]
        self.most = plan.options.num_assistant_tokens or MOST
        self.lengths = [min(FIRST, self.most)] * len(rows)

    def step(self, known: Tensor, scores: Tensor) -> Step:
        """known and scores (T, V). Every row gets its next token, and those after it that were guessed right."""
        views = [Ahead(row, guess[:n]) for row, guess in zip(self.rows, self.guesses, strict=True) for n in range(len(guess) + 1)]
        ids = pick(self.plan, views, scores)
        logprobs, tokens = logprobs_of(known, ids).tolist(), ids.tolist()
        said, at = [], 0
        for i, (row, guess) in enumerate(zip(self.rows, self.guesses, strict=True)):
            for n in range(len(guess) + 1):
                token = tokens[at + n]
                if row.write(token, logprobs[at + n], self.plan):
                    said.append((row, token))
                if row.finish is not None or (n < len(guess) and token != guess[n]):
                    break
            if guess:
                self.lengths[i] = min(self.lengths[i] + 2, self.most) if n == len(guess) else max(1, n)
            at += len(guess) + 1
        parents = [i for i, row in enumerate(self.rows) if row.finish is None]
        self.rows, self.lengths = [self.rows[i] for i in parents], [self.lengths[i] for i in parents]
        room = [min(most, row.limit - len(row.ids) - 1) for row, most in zip(self.rows, self.lengths, strict=True)]
        self.guesses = self.guesser.guess(self.rows, room) if self.rows else []
        return Step(self.rows, parents, said, self.guesses)

    def results(self) -> list[Row]:
        """All rows, in the order they came in."""
        return self.all


@dataclass
class Known:
    """A text so far, and where it went on after the tokens that it holds; `fixed`: how much of it was there before it was written."""

    text: list[int]
    fixed: int
    after: dict[tuple[int, ...], int]

    def grow(self, ids: Sequence[int]) -> None:
        """All that was written until now."""
        known, self.text = len(self.text) if self.after else 0, self.text + list(ids[len(self.text) - self.fixed :])
        for n in GRAMS:  # but the very end, which nothing follows yet
            for end in range(max(n, known), len(self.text)):
                self.after[tuple(self.text[end - n : end])] = end


class Lookup:
    """What came next the last time these tokens stood in the text, or in its source.

    https://github.com/apoorvumang/prompt-lookup-decoding"""

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}

    def guess(self, rows: Sequence[Row], most: Sequence[int]) -> list[list[int]]:
        """What followed the longest known end of each text."""
        fresh = {}
        for row in rows:
            begun = [*(row.source or ()), *row.begun]
            fresh[id(row)] = known = self.known.get(id(row)) or Known(begun, len(begun), {})
            known.grow(row.ids)
        self.known = fresh
        return [self._of(fresh[id(row)], count) for row, count in zip(rows, most, strict=True)]

    def _of(self, known: Known, most: int) -> list[int]:
        for n in GRAMS:
            if (place := known.after.get(tuple(known.text[-n:]))) is not None:
                return known.text[place : place + most]
        return []


class Draft:
    """What a smaller model with the same tokens says, drawn by the same chance: the more alike the two, the more often it is right."""

    def __init__(self, model: Model, plan: Plan, vocab: int):
        """`vocab`: ids that the model guessed for has; of the same tokens, the two may count more or fewer that stand for nothing."""
        model.pack()
        self.model, self.plan, self.vocab = model, plan, vocab
        self.reader: Reader | None = None
        self.held: dict[int, tuple[int, int, list[int]]] = {}  # by row: its place, how much it had written, what was guessed then

    def guess(self, rows: Sequence[Row], most: Sequence[int]) -> list[list[int]]:
        """Token after token, for all rows at once; nothing once a text no longer fits, or holds an id that this model lacks."""
        guesses: list[list[int]] = [[] for _ in rows]
        if any(row.length + count > self.model.context for row, count in zip(rows, most, strict=True)):
            return guesses
        if any(max(row.ids, default=0) >= self.model.config.writes for row in rows):
            return guesses
        if self.reader is None:
            self.reader = Reader(self.model, [replace(row, source=None) for row in rows], 1)
        else:
            self.reader.go_on(rows, [self.held[id(row)][0] for row in rows], agreed=[self._agreed(row) for row in rows])
        for n in range(max(most)):
            going = [i for i in range(len(rows)) if len(guesses[i]) == n < most[i]]
            if not going:
                break
            views = [Ahead(rows[i], guesses[i]) for i in going]
            logits = self.reader.logits[going]
            logits = F.pad(logits, (0, self.vocab - logits.shape[-1]), value=OUT)  # or cut
            for i, token in zip(going, pick(self.plan, views, logits).tolist(), strict=True):
                if 0 <= token < self.model.config.writes and token not in self.plan.ends:
                    guesses[i].append(token)
            if n + 1 < max(most) and any(len(guess) > n for guess in guesses):
                self.reader.read_on([guess[n : n + 1] for guess in guesses])
        self.held = {id(row): (i, len(row.ids), guesses[i]) for i, row in enumerate(rows)}
        return guesses

    def _agreed(self, row: Row) -> int:
        """How many tokens of a row were read as they came to be."""
        _, written, guess = self.held[id(row)]
        right = next((n for n, (one, two) in enumerate(zip(guess, row.ids[written:], strict=False)) if one != two), len(guess))
        return min(row.length - len(row.ids) + written + right, row.length - 1)


class Counted:
    """What followed before in this text; where that is not known, what most often did in the text that an n-gram model has counted: a look
    into a table for each token."""

    def __init__(self, model: NGram, plan: Plan):
        self.model, self.plan, self.here = model, plan, Lookup()

    def guess(self, rows: Sequence[Row], most: Sequence[int]) -> list[list[int]]:
        """As far as the counts are sure enough."""
        smoothed = self.model.smoothed()
        found = self.here.guess(rows, most)
        return [here or self._of(smoothed, row, count) for here, row, count in zip(found, rows, most, strict=True)]

    def _of(self, smoothed: Smoothed, row: Row, most: int) -> list[int]:
        history = [*row.begun[-self.model.order :], *row.ids][-self.model.order :]
        found = smoothed.follow(np.array(history, np.int64), most, SURE).tolist()
        return found[: next((n for n, token in enumerate(found) if token in self.plan.ends), len(found))]


class Auto:
    """Of several guessers, and none, the one that brings the most tokens a second; the others are tried again from time to time. What is
    written does not depend on who guesses."""

    def __init__(self, guessers: Sequence[Guesser | None]):
        self.guessers, self.steps = list(guessers), 0
        self.rates: list[list[float]] = [[] for _ in guessers]  # tokens a second of the last tries
        self.who, self.began, self.before = 0, 0.0, {}

    def guess(self, rows: Sequence[Row], most: Sequence[int]) -> list[list[int]]:
        """Whoever is the fastest."""
        now = time.monotonic()
        if self.began:
            new = sum(len(row.ids) - self.before.get(id(row), len(row.ids)) for row in rows)
            self.rates[self.who] = [*self.rates[self.who], new / max(now - self.began, 1e-9)][-TRIES:]
        self.steps += 1
        if self.steps % AGAIN == 0:
            self.rates = [rates if i == self.who else [] for i, rates in enumerate(self.rates)]
        untried = [i for i, rates in enumerate(self.rates) if len(rates) < TRIES]
        self.who = untried[0] if untried else max(range(len(self.rates)), key=lambda i: sorted(self.rates[i])[TRIES // 2])
        self.began, self.before = now, {id(row): len(row.ids) for row in rows}
        guesser = self.guessers[self.who]
        return [[] for _ in rows] if guesser is None else guesser.guess(rows, most)


def speculative(model: Model, plan: Plan, rows: Sequence[Row]) -> Speculative:
    """The search that the options ask for. InputError where the model or its assistant cannot take back what it has read."""
    for reader, mend in ((model, "leave speculate out"), (plan.assistant, "take another assistant_model, such as ngram, gpt2 or llama")):
        if reader is not None and not _takes_back(reader):
            raise InputError(f"a {reader.config.model_type} model cannot take back a guess that was wrong: {mend}")
    helper = plan.assistant
    draft = None if helper is None else Counted(helper, plan) if isinstance(helper, NGram) else Draft(helper, plan, model.config.writes)
    guessers: dict[str, Guesser | None] = {"lookup": Lookup(), "draft": draft}
    guessers["auto"] = Auto([None, *(one for one in guessers.values() if one is not None)])
    guesser = guessers[plan.options.speculate or "draft"]
    assert guesser is not None  # settled: to draft there is a model
    return Speculative(plan, rows, guesser)


def _takes_back(model: Model) -> bool:
    source = [torch.zeros(1, 1, dtype=torch.int64), Mask()] if model.reads == "source" else []
    return model.begin(1, 1, *source).forgets

"""Chats laid out to be learned from: their ids end to end, and which of them an assistant says. Long ones are cut between turns.

T tokens · B rows · L tokens of a row
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..base.errors import InputError
from ..text.chat import learned_ids
from ..text.tokenizer import Tokenizer
from ..text.turns import Said
from .batches import Spans
from .chats import Chat, Message
from .examples import Examples
from .ledger import Ledger

Overflow = Literal["window", "truncate", "drop"]
"""What becomes of a chat that is longer than the context: read in several rows, only its last turns, or left out."""


@dataclass(frozen=True)
class Turns:
    """`spans`: the ids of all rows, each predicted whole but its first · `learned` (T,) bool: what of them counts · `chats` (n,): which
    chat each row is of."""

    spans: Spans
    learned: np.ndarray
    chats: np.ndarray

    @property
    def targets(self) -> int:
        """Tokens read in one epoch: what a run is planned by."""
        return self.spans.targets

    @functools.cached_property
    def answered(self) -> int:
        """Tokens learned in one epoch."""
        return sum(int(self.learned[begin:end].sum()) for begin, end in self.spans.spans.tolist())

    @property
    def context(self) -> int:
        """Tokens a row may have."""
        return self.spans.context

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return self.spans.longest

    def rows(self, rng: np.random.Generator | None = None) -> np.ndarray:
        """(n, 2) every row: what is too long was cut when it was laid out."""
        return self.spans.spans

    def within(self, context: int) -> Turns:
        """The same."""
        return self

    def take(self, rows: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """rows (B, 2) -> inputs (B, L) filled with `pad`, targets (B, L) that are -100 where nothing is learned, lengths (B,)."""
        inputs, targets, lengths = self.spans.take(rows, pad)
        for target, (begin, end) in zip(targets, rows, strict=True):
            target[: end - begin][~self.learned[begin:end]] = -100
        return inputs, targets, lengths

    def packed(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """rows (B, 2) end to end -> inputs (T,), targets (T,) that are -100 where nothing is learned, and starts (B + 1,)."""
        inputs, targets, starts = self.spans.packed(rows)
        learned = np.concatenate([self.learned[begin:end] for begin, end in rows])
        return inputs, np.where(learned, targets, -100), starts


@dataclass
class Fates:
    """What becomes of chats: how many are read whole, in several rows, cut or left out, and of their answers likewise."""

    rows: list[Said] = field(default_factory=list)
    of: list[int] = field(default_factory=list)
    chats: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("whole", "in several rows", "cut", "left out"), 0))
    answers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("learned", "cut", "left out"), 0))

    def take(self, whole: Said, fate: str, rows: Sequence[Said], *, cut: int = 0) -> None:
        """Count one chat. `cut`: answers of its rows that are not whole."""
        self.rows += rows
        self.of += [sum(self.chats.values())] * len(rows)
        learned = sum(row.answers for row in rows)
        self.chats[fate] += 1
        self.answers["learned"] += learned - cut
        self.answers["cut"] += cut
        self.answers["left out"] += whole.answers - learned


def written_out(examples: Examples[Chat], tokenizer: Tokenizer) -> list[Said]:
    """Every chat as ids. InputError with its number where the template cannot write one."""
    found = []
    for number, chat in enumerate(examples, 1):
        try:
            found.append(_said(tokenizer, chat.messages))
        except InputError as error:
            raise InputError(f"{examples.name}, chat {number:,}: {error}") from None
    return found


def reading(whole: Sequence[Said]) -> int:
    """Tokens of the longest chat: all but its last are read."""
    return max((len(each.ids) - 1 for each in whole), default=0)


def laid_out(
    examples: Examples[Chat],
    whole: Sequence[Said],
    tokenizer: Tokenizer,
    context: int,
    ledger: Ledger,
    *,
    overflow: Overflow | None = None,
    stage: str = "tokens",
) -> Turns:
    """Chats as they are read by a model with this context; the ledger's `stage` tells what became of every chat, answer and token.

    Of a longer chat "window" reads whole exchanges in as many rows as it takes, each behind the system's message, so that every answer is
    learned once; "truncate" reads one row, from which the first exchanges are dropped and, where the last one is still too long, the end
    of its answer; "drop" leaves it out. InputError that counts them where `overflow` is None, and where nothing is left."""
    fates, long = Fates(), [len(each.ids) - 1 > context for each in whole]
    if any(long) and overflow is None:
        raise InputError(
            f"{examples.name}: {sum(long):,} of {len(long):,} chats are longer than the context of {context:,} tokens (the longest has "
            f"{reading(whole):,}): give --context {reading(whole)}, or --overflow window, truncate or drop"
        )
    for chat, each, over in zip(examples, whole, long, strict=True):
        if not over:
            fates.take(each, "whole" if _learns(each) else "left out", [each] * _learns(each))
        elif overflow == "drop":
            fates.take(each, "left out", [])
        elif overflow == "window":
            rows = list(_windows(tokenizer, chat.messages, context))
            fates.take(each, "in several rows" if rows else "left out", rows)
        else:
            row, cut = _last(tokenizer, chat.messages, context)
            fates.take(each, "cut" if row else "left out", [row] if row else [], cut=cut)
    if not fates.rows:
        raise InputError(
            f"{examples.name}: none of its {len(whole):,} chats fits into the context of {context:,} tokens: give a larger one"
        )
    made = _joined(fates, context)
    _count(fates, made, tokenizer, ledger, stage)
    return made


def _said(tokenizer: Tokenizer, messages: Sequence[Message]) -> Said:
    """Up to the last answer: what is said behind it is not answered."""
    last = max(place for place, message in enumerate(messages) if message["role"] == "assistant")
    return learned_ids(tokenizer, messages[: last + 1])


def _learns(row: Said) -> bool:
    """Whether a row has a token to learn that another one stands in front of."""
    return any(row.learned[1:])


def exchanges(messages: Sequence[Message]) -> tuple[list[Message], list[list[Message]]]:
    """(what the system says first, the rest in parts that each begin where the user speaks and end with an answer)."""
    start = next((n for n, message in enumerate(messages) if message["role"] not in ("system", "developer")), len(messages))
    found: list[list[Message]] = []
    for place in range(start, len(messages)):
        answered = bool(found) and any(message["role"] == "assistant" for message in found[-1])
        if place == start or (messages[place]["role"] == "user" and answered):
            found.append([])
        found[-1].append(messages[place])
    while found and all(message["role"] != "assistant" for message in found[-1]):
        found.pop()
    return list(messages[:start]), found


def _windows(tokenizer: Tokenizer, messages: Sequence[Message], context: int) -> Iterator[Said]:
    """Rows of whole exchanges, as many in each as fit; an exchange that does not fit alone is in none."""
    head, found = exchanges(messages)
    rest = found
    while rest:
        row, count = None, 1
        while count <= len(rest):
            longer = _said(tokenizer, [*head, *(message for part in rest[:count] for message in part)])
            if len(longer.ids) - 1 > context:
                break
            row, count = longer, count + 1
        if row is not None and _learns(row):
            yield row
        rest = rest[max(1, count - 1) :]


def _last(tokenizer: Tokenizer, messages: Sequence[Message], context: int) -> tuple[Said | None, int]:
    """(the last exchanges that fit, or the last one without the end of its answers, and how many of these are not whole)."""
    head, found = exchanges(messages)
    row = _said(tokenizer, messages)
    for first in range(1, len(found)):
        row = _said(tokenizer, [*head, *(message for part in found[first:] for message in part)])
        if len(row.ids) - 1 <= context:
            return row, 0
    ids, learned = row.ids[: context + 1], row.learned[: context + 1]
    begun = [n for n in range(1, len(learned)) if learned[n] and not learned[n - 1]]  # where an answer begins
    if not begun:
        return None, 0
    cut = learned[-1] and row.learned[context + 1]
    last = max(n for n, each in enumerate(learned) if each) + 1
    return Said(ids[:last], learned[:last], len(begun)), int(cut)


def _joined(fates: Fates, context: int) -> Turns:
    rows = fates.rows
    edges = np.cumsum([0, *(len(row.ids) for row in rows)])
    ids = np.concatenate([np.array(row.ids, np.int32) for row in rows])
    learned = np.concatenate([np.array(row.learned, bool) for row in rows])
    learned[edges[:-1]] = False  # nothing stands in front of a first token
    return Turns(Spans(ids, np.stack([edges[:-1] + 1, edges[1:]], 1), None, context), learned, np.array(fates.of))


def _count(fates: Fates, made: Turns, tokenizer: Tokenizer, ledger: Ledger, stage: str) -> None:
    """Chats, answers and tokens, each adding up."""
    for what, counts in (("chats", fates.chats), ("answers", fates.answers)):
        ledger.add(stage, what, sum(counts.values()))
        for fate, n in counts.items():
            ledger.add(stage, f"{what} {fate}", n)
        ledger.balance(stage, what, *(f"{what} {fate}" for fate in counts))
    learned = made.answered
    facts = {"rows": len(made.rows()), "tokens used": len(made.spans.ids), "tokens learned": learned}
    facts |= {"tokens only read": int((~made.learned).sum()), "unknown": tokenizer.unknown(made.spans.ids)}
    for what, n in facts.items():
        ledger.add(stage, what, n)
    ledger.balance(stage, "tokens used", "tokens learned", "tokens only read")

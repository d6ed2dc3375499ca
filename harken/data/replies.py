"""Replies laid out to be learned: each behind its persona and history, beside candidates that are replies to something else.

A few replies of one dialogue are read at once, each with all that stands before it; the first of them has the history that was asked
for, the others a longer one. What candidates are read, and in which order the sentences of a persona, is drawn anew in every epoch, by a
number that is a function of (seed, epoch, place): so an example is read in the same way however a batch is split, and in a run that goes
on.

n examples · r replies of all · k candidates of all · s sentences of all · L tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .corrupted import keyed
from .segments import HISTORY, Speakers

FEW = 20
"""Dialogues that a source of candidates has at least."""
_TRIES = 50
"""To meet a reply of another dialogue by chance."""


@dataclass(frozen=True)
class Way:
    """How replies are learned. `history`: turns of the past that are read · `at_once`: replies of a dialogue in one reading · `candidates`:
    replies to choose from, the right one among them · `lm_coef`, `mc_coef`: weights of the two losses; without the second nothing is
    chosen · `permutations`: times an example is read in an epoch, each with its persona in another order; 0: once, as it is."""

    history: int = HISTORY
    at_once: int = 4
    candidates: int = 2
    lm_coef: float = 2.0
    mc_coef: float = 1.0
    permutations: int = 1

    @property
    def choices(self) -> int:
        """Candidates that are read."""
        return self.candidates if self.mc_coef else 1


class Choice(NamedTuple):
    """`prompt`, `types` (L,): what stands before a reply · `replies`: ids of each candidate with its end, the right one first."""

    prompt: np.ndarray
    types: np.ndarray
    replies: list[np.ndarray]


class Reading(NamedTuple):
    """`ids`, `types` (L,): a dialogue up to the last of its replies, which has no end · `spans`: where each reply begins and ends in it ·
    `wrong`: of each the wrong candidates, with their ends."""

    ids: np.ndarray
    types: np.ndarray
    spans: np.ndarray
    wrong: list[list[np.ndarray]]


@dataclass(frozen=True)
class Replies:
    """`said` (r, 2): which dialogue of the data each reply is from, and which of its turns · `spans` (r, 2): where it begins and ends in
    its sequence · `firsts` (n + 1,): the first reply of each example · `own` (n,):
    its dialogue · `sentences` (s,): tokens of each sentence of a persona, of which `personas` (n + 1,) says which are an example's ·
    `bank`: ids of the candidates end to end, which begin at `banks` (k + 1,) · `of`: the dialogue that each of the first was said in,
    which may be drawn; the others are for those who name them · `pools` (n, 2): which of these are drawn for an example · `offered`:
    candidates that replies name, of which `offers` (r + 1,) says
    whose they are · `length`: mean tokens of a reply, its end included."""

    way: Way
    speakers: Speakers
    said: np.ndarray
    spans: np.ndarray
    firsts: np.ndarray
    own: np.ndarray
    sentences: np.ndarray
    personas: np.ndarray
    bank: np.ndarray
    banks: np.ndarray
    of: np.ndarray
    pools: np.ndarray
    offered: np.ndarray
    offers: np.ndarray
    length: float

    def rows(self, rows: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Rows (n, 3) of the examples -> (n or more, 4): their tokens with all candidates as [0, end), their number, and the key of what
        is drawn."""
        sizes = np.add.reduceat(self.spans[:, 1] - self.spans[:, 0] + 1, self.firsts[:-1]) * (self.way.choices - 1)
        sizes += rows[:, 1] - rows[:, 0]
        whole = np.stack([np.zeros_like(sizes), sizes, rows[:, 2]], 1)
        return keyed(np.tile(whole, (max(1, self.way.permutations), 1)), rng)

    def reach(self, laid: Any) -> int:
        """Tokens that the longest example may have, whatever candidate ends its replies."""
        longest = int(np.diff(self.banks).max(initial=0))
        return 1 + max(laid.longest, int(self.spans[:, 0].max()) + longest)

    def reading(self, laid: Any, number: int, key: int) -> Reading:
        """What is read of an example of `laid`."""
        rng, replies = np.random.Generator(np.random.PCG64(key)), range(*self.firsts[number : number + 2].tolist())
        begin, end = laid.edges[number : number + 2].tolist()
        ids, types, spans = laid.ids[begin:end].astype(np.int64), laid.types[begin:end].astype(np.int64), self.spans[replies]
        wrong = [
            [np.append(self._text(i), self.speakers.eos) for i in self._wrong(reply, number, ids[slice(*span)], rng)]
            for reply, span in zip(replies, spans, strict=True)
        ]
        return Reading(self._permuted(ids, number, rng) if self.way.permutations else ids, types, spans, wrong)

    def choices(self, laid: Any, number: int, key: int) -> list[Choice]:
        """The same, each reply by itself."""
        read, end = self.reading(laid, number, key), self.speakers.eos
        return [
            Choice(read.ids[:begin], read.types[:begin], [np.append(read.ids[begin:stop], end), *wrong])
            for (begin, stop), wrong in zip(read.spans.tolist(), read.wrong, strict=True)
        ]

    def _wrong(self, reply: int, number: int, right: np.ndarray, rng: np.random.Generator) -> list[int]:
        """Which of the bank are the wrong candidates of a reply: some of those that it names, then replies of other dialogues."""
        wanted, own = self.way.choices - 1, self.own[number]
        low, high = self.pools[number].tolist()
        named = self.offered[self.offers[reply] : self.offers[reply + 1]]
        found: list[int] = (named if len(named) <= wanted else rng.permutation(named)[:wanted]).tolist()
        for _ in range(_TRIES * (wanted - len(found)) if high > low else 0):
            if len(found) == wanted:
                break
            i = int(rng.integers(low, high))
            if self.of[i] != own and i not in found and not np.array_equal(self._text(i), right):
                found.append(i)
        return found

    def _text(self, i: int) -> np.ndarray:
        return self.bank[self.banks[i] : self.banks[i + 1]].astype(np.int64)

    def _permuted(self, ids: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
        """The ids with the sentences of their persona, which stand behind <bos>, in another order."""
        sizes = self.sentences[self.personas[number] : self.personas[number + 1]]
        if len(sizes) < 2:
            return ids
        whole = 1 + int(sizes.sum())
        parts = np.split(ids[1:whole], np.cumsum(sizes)[:-1])
        return np.concatenate([ids[:1], *(parts[i] for i in rng.permutation(len(parts))), ids[whole:]])


def pools(homes: Sequence[int], sources: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Of each source, which replies may be drawn as candidates; `homes` (k,): the dialogue that each was said in, in order, `sources`: of
    each dialogue. A source that holds those of a few dialogues only takes any.

    Another source can give them away by its style. A model that learned from two at once, of which the smaller is in small letters, chose
    the right one of 20 in 0.08 of the smaller's own examples, and in 0.52 of the other's."""
    found: dict[str, list[int]] = {}
    for i, home in enumerate(homes):
        found.setdefault(sources[home], []).append(i)
    few = {source for source, some in found.items() if len({homes[i] for i in some}) < FEW}
    return {source: (0, len(homes)) if source in few or source not in found else (found[source][0], found[source][-1] + 1)
            for source in dict.fromkeys(sources)}  # fmt: skip


def conversations(examples: Sequence[Any]) -> np.ndarray:
    """(n,) of each dialogue a number; the two sides of one have the same."""
    numbers, last = [], None
    for example in examples:
        numbers.append((numbers[-1] if numbers else -1) + (example.turns != last))
        last = example.turns
    return np.array(numbers, np.int64)

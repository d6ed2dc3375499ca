"""Dialogues laid out to be learned: every reply behind as much of its past as there is room for, beside the candidates it is told from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..base.errors import InputError
from ..text.tokenizer import Tokenizer
from .dialogues import Dialogue
from .examples import Examples
from .fitting import encoded
from .laid import Laid, counted
from .ledger import Ledger
from .replies import Replies, Way, conversations
from .segments import SPEAKERS, Speakers, fitted, segments, speakers_of

SHARE = 4
"""A candidate that is drawn has at most this part of the context, so that persona and history keep theirs."""


def lay(
    examples: Examples[Dialogue],
    tokenizer: Tokenizer,
    way: Way,
    context: int,
    ledger: Ledger,
    *,
    overflow: str | None = None,
    stage: str = "tokens",
) -> Laid:
    """Every reply with what it is read behind. Of what is too long the oldest turns are left out first, then sentences of the persona; the
    ledger's `stage` counts them. InputError when a reply alone is longer than the context and `overflow` is not "drop", or when no other
    dialogue has a reply to lend."""
    speakers = speakers_of(tokenizer)
    if speakers is None:
        raise InputError(f"this tokenizer has no {' and '.join(SPEAKERS)}: take a model that learned with harken train --task dialogue")
    layer, bank = Layer(speakers, way, context), Bank(examples, tokenizer, way, context)
    parts = encoded((text for example in examples for text in (*example.persona, *example.turns)), tokenizer)
    for number, example in zip(conversations(examples).tolist(), examples, strict=True):
        persona, turns = [next(parts) for _ in example.persona], [next(parts) for _ in example.turns]
        for i, place in enumerate(example.replies):
            named = [bank.numbers[text] for text in (example.candidates[i] if example.candidates else ()) if bank.fits(text)]
            layer.add(persona, turns[:place], turns[place], number, named, bank.longest(named))
    layer.settle(examples, ledger, stage, overflow)
    laid = layer.laid(bank)
    if way.choices > 1 and any(len(laid.goal.choice(laid, i, 0).replies) < 2 for i in range(min(len(laid), 20))):
        raise InputError(f"{examples.name}: no other dialogue has a reply to tell the right one from: give candidates, or --mc-coef 0")
    for what, n in (("candidates that were named", len(layer.offered)), ("replies that are drawn as candidates", len(bank.of))):
        if way.choices > 1 and n:
            ledger.add(stage, what, n)
    counted(laid, ledger, stage, sum(tokenizer.unknown(each) for each in layer.ids))
    return laid


class Bank:
    """The candidates of all examples, each text once: the replies first, which may be drawn, then those that examples name."""

    def __init__(self, examples: Examples[Dialogue], tokenizer: Tokenizer, way: Way, context: int):
        homes: dict[str, int] = {}
        self.numbers: dict[str, int] = {}
        self.ids: list[np.ndarray] = []
        self.room = context - 3  # <bos>, its speaker and its end
        if way.choices > 1:
            for number, example in zip(conversations(examples).tolist(), examples, strict=True):
                for place in example.replies:
                    homes.setdefault(example.turns[place], number)
            self._take(homes, tokenizer, min(self.room, context // SHARE))
        self.of = np.array([homes[text] for text in self.numbers], np.int64)
        self.most = max(map(len, self.ids), default=0)
        if way.choices > 1:
            self._take({text: 0 for example in examples for some in example.candidates for text in some}, tokenizer, self.room)

    def _take(self, texts: dict[str, int], tokenizer: Tokenizer, room: int) -> None:
        fresh = [text for text in texts if text not in self.numbers]
        for text, ids in zip(fresh, encoded(fresh, tokenizer), strict=True):
            if len(ids) <= room:
                self.numbers[text] = len(self.ids)
                self.ids.append(ids)

    def fits(self, text: str) -> bool:
        """Whether a candidate is short enough to be read at all."""
        return text in self.numbers

    def longest(self, named: Sequence[int]) -> int:
        """Tokens of the longest candidate that may stand beside a reply which names some."""
        return max((len(self.ids[i]) for i in named), default=self.most)


class Layer:
    """What is laid out so far, one reply after another."""

    def __init__(self, speakers: Speakers, way: Way, context: int):
        self.speakers, self.way, self.context = speakers, way, context
        self.ids: list[np.ndarray] = []
        self.types: list[np.ndarray] = []
        self.facts: list[tuple[int, int, int]] = []  # where the reply begins, its dialogue, how many candidates it names
        self.personas: list[list[int]] = []
        self.offered: list[int] = []
        self.replies = self.dropped = self.turns = self.sentences = 0

    def add(self, persona: list, history: list, reply: np.ndarray, own: int, named: list[int], longest: int) -> None:
        """A reply, as much of its past as is read, and room for the longest of its candidates."""
        self.replies += 1
        history = history[max(0, len(history) - self.way.history) :]
        room = self.context - 1 - len(reply)
        kept = fitted(persona, history, min(room, self.context - 1 - longest)) or fitted(persona, history, room)
        if kept is None:
            self.dropped += 1
            return
        self.turns += kept.turns
        self.sentences += kept.sentences
        read = segments(kept.persona, kept.history, reply, self.speakers)
        self.ids.append(np.array(read.ids, np.int32))
        self.types.append(np.array(read.types, np.int32))
        self.facts.append((read.begin, own, len(named)))
        self.personas.append([len(each) for each in kept.persona])
        self.offered += named

    def settle(self, examples: Examples[Dialogue], ledger: Ledger, stage: str, overflow: str | None) -> None:
        """Count what was left out. InputError when a reply is too long and nobody said to drop it, or none is left."""
        if self.dropped and (overflow != "drop" or not self.ids):
            mend = "give a larger --context" + ("" if not self.ids else ", or --overflow drop to leave them out")
            raise InputError(
                f"{examples.name}: {self.dropped:,} of {self.replies:,} replies are longer than {self.context:,} tokens: {mend}"
            )
        for what, n in (
            ("dialogues", len(examples)),
            ("replies", self.replies),
            ("replies used", len(self.ids)),
            ("replies dropped", self.dropped),
            ("turns left out for room", self.turns),
            ("persona sentences left out for room", self.sentences),
        ):
            if n or what in ("dialogues", "replies"):
                ledger.add(stage, what, n)
        ledger.balance(stage, "replies", "replies used", "replies dropped")

    def laid(self, bank: Bank) -> Laid:
        """All of it."""
        begins, own, named = (np.array(each, np.int64) for each in zip(*self.facts, strict=True))
        goal = Replies(
            self.way,
            self.speakers,
            begins,
            own,
            np.array([size for some in self.personas for size in some], np.int64),
            np.cumsum([0, *map(len, self.personas)]),
            np.concatenate([np.zeros(0, np.int32), *bank.ids]),
            np.cumsum([0, *map(len, bank.ids)]),
            bank.of,
            np.array(self.offered, np.int64),
            np.cumsum([0, *named.tolist()]),
            float(np.mean([len(each) - begin for each, begin in zip(self.ids, begins, strict=True)])),
        )
        edges = np.cumsum([0, *map(len, self.ids)])
        return Laid(np.concatenate(self.ids), np.concatenate(self.types), edges, np.arange(len(edges)), self.context, goal)

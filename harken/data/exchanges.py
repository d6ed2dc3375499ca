"""Dialogues laid out to be learned: every reply behind as much of its past as there is room for, beside the candidates it is told from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..base.errors import InputError
from ..text.tokenizer import Tokenizer
from .dialogues import Dialogue
from .examples import Examples
from .fitting import encoded
from .laid import Laid, counted
from .ledger import Ledger
from .replies import Replies, Way, conversations, pools
from .segments import SPEAKERS, Speakers, fitted, segments, speakers_of

SHARE = 4
"""A candidate that is drawn has at most this part of the context, so that persona and history keep theirs; one that is named and does not
fit at all is cut to it."""


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
    for i, (number, example) in enumerate(zip(conversations(examples).tolist(), examples, strict=True)):
        persona, turns = [next(parts) for _ in example.persona], [next(parts) for _ in example.turns]
        wrong = example.candidates or ((),) * len(example.replies)
        named = {place: [bank.numbers[text] for text in some if text in bank.numbers]
                 for place, some in zip(example.replies, wrong, strict=True)}  # fmt: skip
        longest = {place: max((len(bank.ids[i]) for i in some), default=bank.most) for place, some in named.items()}
        for places in layer.grouped(persona, turns, longest):
            layer.add(persona, turns, places, named, longest)
            layer.own += [number] * (len(layer.ids) - len(layer.own))
            layer.sources += [example.source] * (len(layer.ids) - len(layer.sources))
            layer.said += [(i, place) for place in places][: len(layer.spans) - len(layer.said)]
    layer.settle(examples, ledger, stage, overflow)
    laid = layer.laid(bank)
    if way.choices > 1 and not all(all(laid.goal.reading(laid, i, 0).wrong) for i in range(min(len(laid), 20))):
        raise InputError(f"{examples.name}: no other dialogue has a reply to tell the right one from: give candidates, or --mc-coef 0")
    for what, n in (
        ("candidates that were named", len(laid.goal.offered)),
        ("candidates cut to fit", bank.cut),
        ("replies that are drawn as candidates", len(bank.of)),
    ):
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
        self.cut = 0
        room, share = context - 3, min(context - 3, context // SHARE)  # <bos>, its speaker and its end
        if way.choices > 1:
            for number, example in zip(conversations(examples).tolist(), examples, strict=True):
                for place in example.replies:
                    homes.setdefault(example.turns[place], number)
            self._take(homes, tokenizer, share, 0)
        self.of = np.array([homes[text] for text in self.numbers], np.int64)
        sources = {number: example.source for number, example in zip(conversations(examples).tolist(), examples, strict=True)}
        self.pools = pools(self.of.tolist(), list(sources.values()))
        self.most = max(map(len, self.ids), default=0)
        if way.choices > 1:
            self._take({text: 0 for example in examples for some in example.candidates for text in some}, tokenizer, room, share)

    def _take(self, texts: dict[str, int], tokenizer: Tokenizer, room: int, share: int) -> None:
        """Those that fit into `room`, and the beginnings of the others, of `share` tokens."""
        fresh = [text for text in texts if text not in self.numbers]
        for text, ids in zip(fresh, encoded(fresh, tokenizer), strict=True):
            if len(ids) <= room or share:
                self.cut += len(ids) > room
                self.numbers[text] = len(self.ids)
                self.ids.append(ids if len(ids) <= room else ids[:share])


class Layer:
    """What is laid out so far, one reply after another."""

    def __init__(self, speakers: Speakers, way: Way, context: int):
        self.speakers, self.way, self.context = speakers, way, context
        self.ids: list[np.ndarray] = []
        self.types: list[np.ndarray] = []
        self.own: list[int] = []  # of each example
        self.sources: list[str] = []
        self.said: list[tuple[int, int]] = []  # of each reply
        self.spans: list[tuple[int, int]] = []
        self.counts: list[int] = []  # of the replies of each example
        self.personas: list[list[int]] = []
        self.offered: list[list[int]] = []
        self.replies = self.dropped = self.turns = self.sentences = 0

    def grouped(self, persona: list, turns: list, longest: dict[int, int]) -> Iterator[list[int]]:
        """The places of replies that are read at once: some that follow one another, as many as there is room for."""
        for parity in (0, 1):  # without a persona both speakers' turns may be replies: each side is read by itself
            group: list[int] = []
            for place in sorted(place for place in longest if place % 2 == parity):
                more = [*group, place]
                follows = not group or place == group[-1] + 2
                if group and (not follows or len(group) == self.way.at_once or self._size(persona, turns, more, longest) > self.context):
                    yield group
                    more = [place]
                group = more
            if group:
                yield group

    def _size(self, persona: list, turns: list, places: list[int], longest: dict[int, int]) -> int:
        """Tokens up to the end of the last reply, or of its longest candidate."""
        first, last = max(0, places[0] - self.way.history), places[-1]
        before = 2 + sum(map(len, persona)) + sum(1 + len(turn) for turn in turns[first:last])
        return before + max(len(turns[last]), *(longest[place] for place in places)) + 1

    def add(self, persona: list, turns: list, places: list[int], named: dict[int, list[int]], longest: dict[int, int]) -> None:
        """Replies of one side, as much of their past as is read, and room for the longest candidate. Of several all fits."""
        first, last = places[0], places[-1]
        history, reply = turns[max(0, first - self.way.history) : last], turns[last]
        self.replies += len(places)
        room = self.context - 1 - len(reply)
        most = max(longest[place] for place in places)
        kept = fitted(persona, history, min(room, self.context - 1 - most)) or fitted(persona, history, room)
        if kept is None:
            self.dropped += len(places)
            return
        self.turns += kept.turns
        self.sentences += kept.sentences
        read = segments(kept.persona, kept.history, reply, self.speakers, end=False)
        self.ids.append(np.array(read.ids, np.int32))
        self.types.append(np.array(read.types, np.int32))
        self.counts.append(len(places))
        self.personas.append([len(each) for each in kept.persona])
        ends = len(read.ids) - np.cumsum([0, *(1 + len(turn) for turn in turns[first + 1 : last + 1][::-1])])[::-1]
        for place in places:
            end = int(ends[place - first])
            self.spans.append((end - len(turns[place]), end))
            self.offered.append(named[place])

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
            ("replies used", len(self.spans)),
            ("replies dropped", self.dropped),
            ("turns left out for room", self.turns),
            ("persona sentences left out for room", self.sentences),
        ):
            if n or what in ("dialogues", "replies"):
                ledger.add(stage, what, n)
        ledger.balance(stage, "replies", "replies used", "replies dropped")

    def laid(self, bank: Bank) -> Laid:
        """All of it."""
        spans = np.array(self.spans, np.int64)
        goal = Replies(
            self.way,
            self.speakers,
            np.array(self.said, np.int64),
            spans,
            np.cumsum([0, *self.counts]),
            np.array(self.own, np.int64),
            np.array([size for some in self.personas for size in some], np.int64),
            np.cumsum([0, *map(len, self.personas)]),
            np.concatenate([np.zeros(0, np.int32), *bank.ids]),
            np.cumsum([0, *map(len, bank.ids)]),
            bank.of,
            np.array([bank.pools[source] for source in self.sources], np.int64).reshape(-1, 2),
            np.array([i for some in self.offered for i in some], np.int64),
            np.cumsum([0, *map(len, self.offered)]),
            float((spans[:, 1] - spans[:, 0] + 1).mean()),
        )
        edges = np.cumsum([0, *map(len, self.ids)])
        kept = goal.said[goal.firsts[:-1], 0]
        return Laid(np.concatenate(self.ids), np.concatenate(self.types), edges, np.arange(len(edges)), kept, self.context, goal)

"""A dialogue as a model reads it: persona, turns and reply end to end, each turn behind a token that says who speaks.

    <bos> persona … <speaker2> turn <speaker1> turn <speaker2> turn <speaker1> reply <eos>

TransferTransfo, https://arxiv.org/abs/1901.08149, section 3. The one who replies is the first speaker, and the persona is theirs; every
token has its speaker's token as its type. In the authors' code the speaker of a turn is counted from the end and its type from the
beginning, so that the two disagree wherever the history has an even number of turns; here the type of a turn is its speaker's token
always, which is the same for an odd number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tokenizers

from ..base.errors import InputError
from ..text.tokenizer import Tokenizer

SPEAKERS = ("<speaker1>", "<speaker2>")
"""Special tokens: the one who replies, and whom they talk to."""
HISTORY = 5
"""Turns of the past that a reply is read with: two exchanges and what the partner said last, as in the paper's code."""


@dataclass(frozen=True)
class Turns:
    """What has been said so far, the oldest first, the last of it by the partner; the next reply is wanted of the one with the `persona`
    (sentences). Nothing said yet: they begin."""

    persona: tuple[str, ...] = ()
    history: tuple[str, ...] = ()


@dataclass(frozen=True)
class Speakers:
    """Ids of the special tokens: `first` replies and has the persona, `second` is the partner."""

    bos: int
    eos: int
    first: int
    second: int


class Segmented(NamedTuple):
    """`ids`, and of each its `types`: a speaker's id · `begin`: where the reply begins, behind its speaker's token."""

    ids: list[int]
    types: list[int]
    begin: int


class Fitted(NamedTuple):
    """What is left of persona and history (ids) · `turns`, `sentences`: how many of each were left out."""

    persona: Sequence[Sequence[int]]
    history: Sequence[Sequence[int]]
    turns: int
    sentences: int


def speakers_of(tokenizer: Tokenizer) -> Speakers | None:
    """The ids of a tokenizer for dialogues; None for any other."""
    if not isinstance(tokenizer.inner, tokenizers.Tokenizer):
        return None
    bos = tokenizer.eos_id if tokenizer.bos_id is None else tokenizer.bos_id
    found = (bos, tokenizer.eos_id, *map(tokenizer.inner.token_to_id, SPEAKERS))
    return None if None in found else Speakers(*(i for i in found if i is not None))


def segments(
    persona: Sequence[Sequence[int]], history: Sequence[Sequence[int]], reply: Sequence[int] | None, speakers: Speakers, *, end: bool = True
) -> Segmented:
    """Sentences, turns and a reply, each as ids, as they are read; `end`: with the token that ends the reply. Of a reply that is to be
    written (None) there is only its speaker's token."""
    ids = [speakers.bos, *(i for sentence in persona for i in sentence)]
    types = [speakers.first] * len(ids)
    said = () if reply is None else reply
    for place, turn in enumerate((*history, said)):
        speaker = speakers.second if (len(history) - place) % 2 else speakers.first
        ids += [speaker, *turn]
        types += [speaker] * (1 + len(turn))
    begin = len(ids) - len(said)
    if reply is not None and end:
        ids.append(speakers.eos)
        types.append(speakers.first)
    return Segmented(ids, types, begin)


def fitted(persona: Sequence[Sequence[int]], history: Sequence[Sequence[int]], room: int) -> Fitted | None:
    """As much as `room` tokens hold of what stands before a reply, its own tokens not counted: the oldest turns are left out first, down
    to the newest; then the last sentences of the persona; then the newest turn. None where there is no room for nothing at all."""
    sentences, turns = list(persona), list(history)
    size = 2 + sum(map(len, sentences)) + sum(1 + len(turn) for turn in turns)  # with <bos> and the speaker of the reply
    while size > room:
        if len(turns) > 1 or (turns and not sentences):
            size -= 1 + len(turns.pop(0))
        elif sentences:
            size -= len(sentences.pop())
        else:
            return None
    return Fitted(sentences, turns, len(history) - len(turns), len(persona) - len(sentences))


def read_turns(tokenizer: Tokenizer, turns: Turns, *, room: int | None = None) -> tuple[Segmented, Fitted]:
    """Turns as the ids that a reply is written behind, as many of them as `room` tokens hold (None: all), and what that leaves out.

    InputError when the tokenizer knows no speakers, a turn is empty, or there is no room."""
    speakers = speakers_of(tokenizer)
    if speakers is None:
        raise InputError(f"this tokenizer has no {' and '.join(SPEAKERS)}: take a model that learned with harken train --task dialogue")
    if empty := [number for number, turn in enumerate(turns.history, 1) if not turn.strip()]:
        raise InputError(f"turn {empty[0]:,} of the dialogue is empty: leave it out")
    persona, history = ([tokenizer.encode(text, special=False) for text in texts] for texts in (turns.persona, turns.history))
    kept = Fitted(persona, history, 0, 0) if room is None else fitted(persona, history, room)
    if kept is None:
        raise InputError(f"there is no room for a reply in {room:,} tokens: take a model with a larger context, or ask for a shorter reply")
    return segments(kept.persona, kept.history, None, speakers), kept

"""What is done to logits before a token is chosen: small frozen values, logits (A, V) -> logits (A, V), applied one after another.

Every one does what the class of the same meaning in transformers does. Each works row by row: a row alone, or among others, gives the same
bits. None writes into what it was given.

A rows · V vocabulary
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..base.errors import InputError

OUT = float("-inf")


class Past(Protocol):
    """What a processor may know of a row.

    `begun`: the ids that the text begins with, the prompt of a decoder, decoder_start of an encoder-decoder · `ids`: those written since ·
    `source`: what an encoder-decoder read, None in a decoder · `limit`: how many may be written at most.
    """

    @property
    def begun(self) -> Sequence[int]: ...
    @property
    def ids(self) -> Sequence[int]: ...
    @property
    def source(self) -> Sequence[int] | None: ...
    @property
    def limit(self) -> int: ...


class Processor(Protocol):
    """One change to the logits."""

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        """logits (A, V) float32 and what each row has behind it -> logits (A, V) float32, -inf for what may not be chosen."""
        ...


def apply(processors: Iterable[Processor], logits: Tensor, pasts: Sequence[Past]) -> Tensor:
    """logits (A, V) after one processor after another."""
    for processor in processors:
        logits = processor(logits, pasts)
    return logits


def described(processors: Iterable[Processor]) -> str:
    """`RepetitionPenalty(penalty=1.2) → Temperature(temperature=0.7)`; "none" where nothing is done."""
    return " → ".join(repr(processor).replace(", keep=1)", ")") for processor in processors) or "none"


# ---- what the text holds already


@dataclass(frozen=True)
class RepetitionPenalty:
    """Logits of the ids that a row's text holds, its beginning included, divided by `penalty`, or multiplied where negative.

    https://arxiv.org/abs/1909.05858 section 4.1"""

    penalty: float

    def __post_init__(self) -> None:
        needed(self.penalty > 0, "repetition_penalty", self.penalty, "above 0")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        places = _places(logits, [_text(past) for past in pasts])
        held = logits[places]
        return logits.index_put(places, torch.where(held < 0, held * self.penalty, held / self.penalty))


@dataclass(frozen=True)
class Frequency:
    """`penalty` taken from a logit for every time that its id was written; the beginning does not count. OpenAI's frequency_penalty."""

    penalty: float

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return _less(logits, pasts, self.penalty, each=True)


@dataclass(frozen=True)
class Presence:
    """`penalty` taken once from the logits of all ids written; the beginning does not count. OpenAI's presence_penalty."""

    penalty: float

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return _less(logits, pasts, self.penalty, each=False)


@dataclass(frozen=True)
class NoRepeatNgram:
    """No `n` ids in a row come twice in a text, its beginning included."""

    n: int

    def __post_init__(self) -> None:
        needed(self.n > 0, "no_repeat_ngram_size", self.n, "at least 1")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        texts = [_text(past) for past in pasts]
        return barred(logits, [_continued(text, text, self.n) for text in texts])


@dataclass(frozen=True)
class EncoderNoRepeatNgram:
    """No `n` ids in a row of the source come in the text; in a decoder, none of its prompt."""

    n: int

    def __post_init__(self) -> None:
        needed(self.n > 0, "encoder_no_repeat_ngram_size", self.n, "at least 1")

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        read = [_array(past.begun if past.source is None else past.source) for past in pasts]
        return barred(logits, [_continued(_text(past), source, self.n) for past, source in zip(pasts, read, strict=True)])


@dataclass(frozen=True)
class BadWords:
    """The last id of each of `words` (ids) is not chosen where the text ends with all its others."""

    words: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        needed(all(word and min(word) >= 0 for word in self.words), "bad_words", self.words, "sequences of ids, none of them empty")

    @functools.cached_property
    def _tables(self) -> list[np.ndarray]:
        """(words, length) ids, for each length there is."""
        lengths = sorted({len(word) for word in self.words})
        return [np.array([word for word in self.words if len(word) == length], np.int64) for length in lengths]

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        known(logits, (id for word in self.words for id in word), "bad_words")
        return barred(logits, [self._of(_text(past)) for past in pasts])

    def _of(self, text: np.ndarray) -> np.ndarray:
        found = [_NONE]
        for table in self._tables:
            if (begun := table.shape[1] - 1) <= len(text):
                found.append(table[(table[:, :-1] == text[len(text) - begun :]).all(1), -1])
        return np.concatenate(found)


# ---- always, or at a place


@dataclass(frozen=True)
class Suppress:
    """`ids` are never chosen."""

    ids: tuple[int, ...]

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return barred(logits, [_array(self.ids)] * len(pasts))


@dataclass(frozen=True)
class BeginSuppress:
    """`ids` are not the first that is written."""

    ids: tuple[int, ...]

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return barred(logits, [_NONE if past.ids else _array(self.ids) for past in pasts])


@dataclass(frozen=True)
class LogitBias:
    """`bias[id]` added to the logit of each id in it. OpenAI's logit_bias."""

    bias: Mapping[int, float]

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        known(logits, self.bias, "logit_bias")
        ids = torch.tensor(list(self.bias), dtype=torch.int64, device=logits.device)
        amounts = torch.tensor(list(self.bias.values()), dtype=logits.dtype, device=logits.device)
        return logits.index_copy(1, ids, logits[:, ids] + amounts)


@dataclass(frozen=True)
class MinLength:
    """The text does not end (with one of `ends`) before it has `n` ids, its beginning included."""

    n: int
    ends: tuple[int, ...]

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return barred(logits, [_array(self.ends) if len(past.begun) + len(past.ids) < self.n else _NONE for past in pasts])


@dataclass(frozen=True)
class MinNewTokens:
    """The text does not end (with one of `ends`) before `n` ids were written."""

    n: int
    ends: tuple[int, ...]

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return barred(logits, [_array(self.ends) if len(past.ids) < self.n else _NONE for past in pasts])


@dataclass(frozen=True)
class ForcedBos:
    """`id` comes after a text of one id: it is the first that an encoder-decoder writes."""

    id: int

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return forced(logits, [len(past.begun) + len(past.ids) == 1 for past in pasts], (self.id,), "forced_bos_token_id")


@dataclass(frozen=True)
class ForcedEos:
    """One of `ids` is the last token that a row's limit allows; where there are several, all are as likely."""

    ids: tuple[int, ...]

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return forced(logits, [len(past.ids) == past.limit - 1 for past in pasts], self.ids, "forced_eos_token_id")


# ---- for this file and `filters`

_NONE = np.zeros(0, np.int64)


def needed(holds: bool, option: str, value: object, should: str) -> None:
    """InputError unless the value of an option is as it should be."""
    if not holds:
        raise InputError(f"{option} is {value}, but should be {should}")


def known(logits: Tensor, ids: Iterable[int], option: str) -> None:
    """InputError where an option names an id that the logits (A, V) do not have."""
    wrong = next((id for id in ids if not 0 <= id < logits.shape[-1]), None)
    if wrong is not None:
        raise InputError(f"{option} names the token id {wrong}, which is outside the vocabulary of {logits.shape[-1]:,} tokens")


def barred(logits: Tensor, ids: Sequence[np.ndarray]) -> Tensor:
    """logits (A, V) with -inf at the ids of each row; ids that are not among the V cannot be chosen anyhow."""
    if not any(len(row) for row in ids):
        return logits
    return logits.index_put(_places(logits, ids), logits.new_tensor(OUT))


def forced(logits: Tensor, rows: Sequence[bool], ids: Sequence[int], option: str) -> Tensor:
    """logits (A, V), where of the rows that `rows` says only `ids` are left, with the logit 0."""
    known(logits, ids, option)
    if not any(rows):
        return logits
    only = torch.full_like(logits[0], OUT)
    only[list(ids)] = 0
    return torch.where(torch.tensor(rows, device=logits.device)[:, None], only, logits)


def _less(logits: Tensor, pasts: Sequence[Past], penalty: float, each: bool) -> Tensor:
    counted = [np.unique(_array(past.ids), return_counts=True) for past in pasts]
    inside = [(ids < logits.shape[-1], ids, counts) for ids, counts in counted]
    places = _places(logits, [ids[kept] for kept, ids, _ in inside])
    times = np.concatenate([counts[kept] for kept, _, counts in inside]) if each and inside else 1
    return logits.index_put(places, logits[places] - penalty * torch.as_tensor(times, dtype=logits.dtype, device=logits.device))


def _array(ids: Sequence[int]) -> np.ndarray:
    return np.asarray(ids, np.int64)


def _text(past: Past) -> np.ndarray:
    return np.concatenate([_array(past.begun), _array(past.ids)])


def _continued(text: np.ndarray, source: np.ndarray, n: int) -> np.ndarray:
    """The ids that follow, somewhere in `source`, the n - 1 ids that `text` ends with."""
    if len(source) < n or len(text) < n - 1:
        return _NONE
    windows = np.lib.stride_tricks.sliding_window_view(source, n)
    return windows[(windows[:, :-1] == text[len(text) - (n - 1) :]).all(1), -1]


def _places(logits: Tensor, ids: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Row and column of every id of every row, for those that the vocabulary has. The same place may come more than once."""
    columns = np.concatenate([*ids, _NONE])
    rows = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    inside = columns < logits.shape[-1]
    return torch.from_numpy(rows[inside]).to(logits.device), torch.from_numpy(columns[inside]).to(logits.device)

"""What is done to logits before a token is chosen: small frozen values, logits (A, V) -> logits (A, V), applied one after another.

Every one does what the class of the same meaning in transformers does. Each works row by row: a row alone, or among others, gives the same
bits. None writes into what it was given.

A rows · V vocabulary
"""

from __future__ import annotations

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
        at = places(logits, [text_of(past) for past in pasts])
        held = logits[at]
        return logits.index_put(at, torch.where(held < 0, held * self.penalty, held / self.penalty))


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


# ---- always, or at a place


@dataclass(frozen=True)
class LogitBias:
    """`bias[id]` added to the logit of each id in it. OpenAI's logit_bias."""

    bias: Mapping[int, float]

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        known(logits.shape[-1], self.bias, "logit_bias")
        ids = torch.tensor(list(self.bias), dtype=torch.int64, device=logits.device)
        amounts = torch.tensor(list(self.bias.values()), dtype=logits.dtype, device=logits.device)
        return logits.index_copy(1, ids, logits[:, ids] + amounts)


@dataclass(frozen=True)
class ForcedBos:
    """`id` comes after a text of one id: it is the first that an encoder-decoder writes."""

    id: int

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return forced(logits, [self.forces(past) for past in pasts], (self.id,), "forced_bos_token_id")

    def forces(self, past: Past) -> bool:
        """Whether the next id is that one."""
        return len(past.begun) + len(past.ids) == 1


@dataclass(frozen=True)
class ForcedEos:
    """One of `ids` is the last token that a row's limit allows; where there are several, all are as likely."""

    ids: tuple[int, ...]

    def __call__(self, logits: Tensor, pasts: Sequence[Past]) -> Tensor:
        return forced(logits, [self.forces(past) for past in pasts], self.ids, "forced_eos_token_id")

    def forces(self, past: Past) -> bool:
        """Whether the next id is one of them."""
        return len(past.ids) == past.limit - 1


# ---- for this file, `bars` and `filters`

NONE = np.zeros(0, np.int64)


def needed(holds: bool, option: str, value: object, should: str) -> None:
    """InputError unless the value of an option is as it should be."""
    if not holds:
        raise InputError(f"{option} is {value}, but should be {should}")


def known(vocab: int, ids: Iterable[int], option: str) -> None:
    """InputError where an option names an id that a vocabulary of so many tokens does not have."""
    wrong = next((id for id in ids if not 0 <= id < vocab), None)
    if wrong is not None:
        raise InputError(f"{option} names the token id {wrong}, which is outside the vocabulary of {vocab:,} tokens")


def forced(logits: Tensor, rows: Sequence[bool], ids: Sequence[int], option: str) -> Tensor:
    """logits (A, V), where of the rows that `rows` says only `ids` are left, with the logit 0."""
    known(logits.shape[-1], ids, option)
    if not any(rows):
        return logits
    only = torch.full_like(logits[0], OUT)
    only[list(ids)] = 0
    return torch.where(torch.tensor(rows, device=logits.device)[:, None], only, logits)


def _less(logits: Tensor, pasts: Sequence[Past], penalty: float, each: bool) -> Tensor:
    counted = [np.unique(array_of(past.ids), return_counts=True) for past in pasts]
    inside = [(ids < logits.shape[-1], ids, counts) for ids, counts in counted]
    at = places(logits, [ids[kept] for kept, ids, _ in inside])
    times = np.concatenate([counts[kept] for kept, _, counts in inside]) if each and inside else 1
    return logits.index_put(at, logits[at] - penalty * torch.as_tensor(times, dtype=logits.dtype, device=logits.device))


def array_of(ids: Sequence[int]) -> np.ndarray:
    """int64."""
    return np.asarray(ids, np.int64)


def text_of(past: Past) -> np.ndarray:
    """All ids of a row's text, its beginning included."""
    return np.concatenate([array_of(past.begun), array_of(past.ids)])


def places(logits: Tensor, ids: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Row and column of every id of every row, for those that the vocabulary has. The same place may come more than once."""
    columns = np.concatenate([*ids, NONE])
    rows = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    inside = columns < logits.shape[-1]
    return torch.from_numpy(rows[inside]).to(logits.device), torch.from_numpy(columns[inside]).to(logits.device)

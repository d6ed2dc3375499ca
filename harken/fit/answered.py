"""What `harken eval` says of a model that answers: how likely it finds the right answers, what it answers itself, and beside it the nearest
training answer and a second model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import InputError
from ..data.chats import Chat
from ..data.examples import Examples
from ..data.ledger import Ledger
from ..data.turns import Turns, laid_out, written_out
from ..decode.generate import generate
from ..decode.options import DecodeOptions
from ..measure.baselines.similarity import Shelf, tf_idf
from ..measure.loss import batches_of
from ..measure.metrics.answered import Answered
from ..measure.metrics.likelihood import Likelihood
from ..measure.metrics.metric import Tally
from ..measure.resample import Difference, paired
from ..nn.models import Model
from ..objectives.instruct import row_nats
from ..text.chat import chat_ids
from ..text.tokenizer import Tokenizer
from .instruct import question

PLAIN = """\
{{- bos_token }}{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}{{ message.content ~ eos_token }}\
{% endgeneration %}{% else %}{{ message.content ~ '\\n\\n' }}{% endif %}{% endfor %}"""
"""How a model without a chat template is asked: what is said as plain text, a blank line behind it, and the end of a text for that of an
answer."""
LONGEST = 1_024
"""Tokens of an answer at most."""
TOGETHER = 64
"""Prompts answered at once."""


@dataclass(frozen=True)
class Asked:
    """A model, a way to ask it, and chats: `sizes` (n,) their tokens, `prompts` (n,) those in front of the last answer, 0 where there are
    none · `turns`: as they are measured."""

    model: Model
    tokenizer: Tokenizer
    chats: Examples[Chat]
    sizes: np.ndarray
    prompts: np.ndarray
    turns: Turns
    ledger: Ledger

    @property
    def fits(self) -> np.ndarray:
        """(n,) bool: the prompts that leave room for the right answer."""
        return (self.prompts > 0) & (self.sizes <= self.model.context)


def asked_of(model: Model, tokenizer: Tokenizer, chats: Examples[Chat], overflow: Any) -> Asked:
    """Chats as this model reads them. A chat longer than its context is read in several rows, unless `overflow` says otherwise."""
    model.must_write()
    if model.reads == "source":
        raise InputError("this model reads a source first, so it cannot be asked in a chat: take one that continues a text")
    model.pack()
    if tokenizer.extra.get("chat_template") is None:
        tokenizer = Tokenizer(tokenizer.inner, tokenizer.names, {**tokenizer.extra, "chat_template": PLAIN})
    ledger = chats.ledger.copy()
    whole = written_out(chats, tokenizer)
    turns = laid_out(chats, whole, tokenizer, model.span, ledger, overflow=overflow or "window")
    sizes = np.array([len(each.ids) for each in whole])
    prompts = np.array([len(chat_ids(tokenizer, said)[1]) if (said := question(chat)) else 0 for chat in chats])
    return Asked(model, tokenizer, chats, sizes, prompts, turns, ledger)


def likelihoods(asked: Asked) -> np.ndarray:
    """(n, 3) of each chat the nats of its answers, their tokens, and their bytes where none is cut or left out: rows of `Likelihood`."""
    found = np.zeros((len(asked.chats), 3))
    asked.model.eval()
    for rows in batches_of(asked.model, asked.turns):
        of = asked.turns.chats[np.searchsorted(asked.turns.spans.spans[:, 0], rows[:, 0])]
        np.add.at(found[:, :2], of, row_nats(asked.model, asked.turns, rows, asked.tokenizer.pad_id or 0))
    whole = not asked.ledger.get("tokens", "answers cut") and not asked.ledger.get("tokens", "answers left out")
    if whole:
        found[:, 2] = [
            sum(len(each["content"].encode()) + 1 for each in chat.messages if each["role"] == "assistant") for chat in asked.chats
        ]
    return found


def chosen(fits: np.ndarray, most: int) -> list[int]:
    """The numbers of at most `most` chats that fit, evenly spread."""
    numbers = np.flatnonzero(fits)
    kept = numbers if len(numbers) <= most else numbers[np.linspace(0, len(numbers) - 1, most).round().astype(int)]
    return kept.tolist()


def answers(asked: Asked, numbers: Sequence[int], options: Any) -> list[tuple[str, bool]]:
    """What the model says to some prompts, and whether it ends by itself; `options`: as `manner` reads them."""
    how = manner(options, min(LONGEST, asked.model.context - 1))
    found: list[tuple[str, bool]] = []
    for at in range(0, len(numbers), TOGETHER):
        prompts = [question(asked.chats[n]) for n in numbers[at : at + TOGETHER]]
        found += [(one.text, one.finish_reason == "stop") for one in generate(asked.model, asked.tokenizer, prompts, how)]
    return found


def manner(options: Any, most: int) -> DecodeOptions:
    """How a model answers in `harken eval`: the temperature, no_repeat_ngram_size and consensus of its options, `most` new tokens."""
    said = {name: getattr(options, name) for name in ("temperature", "no_repeat_ngram_size", "consensus")}
    return DecodeOptions(max_new_tokens=most, seed=0, **said)


def nearest(train: Examples[Chat], chats: Examples[Chat], numbers: Sequence[int]) -> list[tuple[str, bool]]:
    """The answer to the most alike of all prompts that were learned from, by TF-IDF."""
    weights = tf_idf(train.keys)
    shelf = Shelf(weights, list(train.keys))
    return [(right(train[int(shelf.scores(chats.keys[n]).argmax())]), True) for n in numbers]


def right(chat: Chat) -> str:
    """The last answer of a chat."""
    return next(each["content"] for each in reversed(chat.messages) if each["role"] == "assistant")


def tallied(said: Sequence[tuple[str, bool]], chats: Examples[Chat], numbers: Sequence[int]) -> Tally:
    """Answers beside the right ones."""
    tally = Tally(Answered())
    tally.update(said, [right(chats[n]) for n in numbers])
    return tally


def against(first: tuple[np.ndarray, Tally | None], second: tuple[np.ndarray, Tally | None]) -> dict[str, Difference]:
    """Two models on the same chats, likelihoods and answers: a paired test of every metric."""
    both = (first[0][:, 1] > 0) & (second[0][:, 1] > 0)
    found = paired(first[0][both], second[0][both], Likelihood().value)
    if first[1] is not None and second[1] is not None:
        found |= paired(first[1].rows, second[1].rows, first[1].metric.value)
    return found

"""Fill a counting model: read every text once, whole, and count its n-grams.   https://doi.org/10.1006/csla.1999.0128

T tokens of all documents
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ..base.errors import InputError
from ..data.batches import Spans
from ..families.ngram import NgramConfig
from ..families.table import build
from ..measure.loss import measure
from ..nn.counts import NGram
from ..nn.models import Model
from ..text.tokenizer import Tokenizer

_ALPHABET = 1_000
"""A vocabulary below this is one of characters."""
_MOST_HELD = 200_000
"""Held-out targets beyond this change no choice of order."""


def count(model: Model, spans: Spans) -> int:
    """Fill `model` from whole documents, each behind the token that is read before its first target; returns the number of n-grams.

    Windows play no part: a history may reach back to the start of its document. What the model held before is forgotten.
    InputError when the model learns otherwise, or a text holds a token that the config says never occurs.
    """
    if not isinstance(model, NGram):
        raise InputError(f"{type(model).__name__} learns from gradients, not from counts")
    ids, starts = documents(spans)
    wrong = np.ones(len(ids), bool)
    wrong[starts] = False  # these are only read
    if len(ids) and int(ids.max()) >= len(model.floor):
        raise InputError(f"the text holds token {int(ids.max())}, the model's vocabulary ends at {len(model.floor) - 1}")
    wrong &= model.floor[ids] == 0
    if wrong.any():
        raise InputError(f"the text holds token {int(ids[wrong.argmax()])}, which the model's config lists as never predicted (skip)")
    return model.counts.fill(ids, starts, model.order)


def documents(spans: Spans) -> tuple[np.ndarray, np.ndarray]:
    """(ids (T,) int32, starts (documents,)): each document is the token read before its first target, then its targets."""
    lengths = spans.spans[:, 1] - spans.spans[:, 0] + 1
    starts = np.cumsum(lengths) - lengths
    ids = np.empty(int(lengths.sum()), np.int32)
    for (begin, end), start in zip(spans.spans.tolist(), starts.tolist(), strict=True):
        ids[start] = spans.ids[begin - 1] if spans.lead is None else spans.lead
        ids[start + 1 : start + 1 + end - begin] = spans.ids[begin:end]
    return ids, starts


def never_predicted(tokenizer: Tokenizer) -> list[int]:
    """The ids a config's `skip` lists: padding and <bos>, unless they also end a text or stand for the unknown."""
    kept = {tokenizer.eos_id, tokenizer.unk_id}
    return sorted({i for i in (tokenizer.pad_id, tokenizer.bos_id) if i is not None and i not in kept})


def choose_order(train: Spans, valid: Spans | None = None, config: NgramConfig | None = None) -> int:
    """The order with the least loss on `valid` when `train` is counted: 2 to 8 for an alphabet, 2 to 5 for a larger vocabulary.

    `valid` should be cut from the training text, or the validation loss flatters; without it a tenth of `train` is held out here.
    `config` gives the smoothing and the vocabulary (default: Kneser-Ney over the ids that occur).
    """
    train, valid = held_out(train) if valid is None else (train, valid)
    vocab = 1 + int(max(train.ids.max(), valid.ids.max(), train.lead or 0, valid.lead or 0))
    config = config or NgramConfig(vocab_size=vocab)
    orders = range(2, 9 if config.vocab_size < _ALPHABET else 6)
    if not valid.targets:
        return orders[0]
    model = build(dataclasses.replace(config, order=orders[-1]))
    assert isinstance(model, NGram)
    count(model, train)
    whole = dataclasses.replace(valid, context=model.context)
    losses = {}
    for model.order in orders:  # the counts of the highest order hold those of all others
        losses[model.order] = measure(model, whole, pad=0, most_tokens=_MOST_HELD).nats
    return min(losses, key=losses.__getitem__)


def held_out(spans: Spans, share: float = 0.1) -> tuple[Spans, Spans]:
    """(the rest, a share of it): every tenth document, or the end of the longest where there are fewer than ten."""
    rows, every = spans.spans, round(1 / share)
    if len(rows) >= every:
        held = np.arange(len(rows)) % every == every - 1
        return dataclasses.replace(spans, spans=rows[~held]), dataclasses.replace(spans, spans=rows[held])
    i = int((rows[:, 1] - rows[:, 0]).argmax())
    begin, end = rows[i].tolist()
    cut = max(begin + 1, end - max(1, int(share * spans.targets)))
    kept = np.concatenate([rows[:i], [[begin, cut]], rows[i + 1 :]])
    return dataclasses.replace(spans, spans=kept), dataclasses.replace(spans, spans=np.array([[cut, end]]))

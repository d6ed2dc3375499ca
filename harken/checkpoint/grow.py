"""A model with rows for more tokens: token vectors, the head's matrix or bias, whatever has one row for every token.

The row of a new token is the mean of the rows of the pieces its text was made of before, so that it begins as the word did; where it had
none, the mean of all old rows: its logit is then the mean of theirs, so it is never far above them, as one drawn by chance may be.
https://nlp.stanford.edu/~johnhew/vocab-expansion.html
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..base.errors import InputError
from ..families.config import Config, SourceConfig
from ..nn.models import Model
from . import origin
from .fill import undrawn

_MULTIPLES = (128, 64, 32, 16, 8)


def grown(model: Model, size: int, pieces: Mapping[int, Sequence[int]] | None = None, *, known: int | None = None) -> Model:
    """The model with `size` rows for tokens; what it says of the old ones is what it said.

    Args:
        size: rows, not fewer than there are; as many as there are only fills those that are new.
        pieces: new id -> the ids its text was made of; empty, or missing, for none.
        known: how many of the rows have meant a token so far (default: all); the others are padding, and new from now on.

    InputError for fewer rows, and for a model whose two sides have a vocabulary each.
    """
    if model.adapters.names:
        raise InputError("a model with an adapter on cannot be given more tokens: the adapter is for as many as it has; convert it first")
    old, pieces = model.config.vocab_size, pieces or {}
    used = old if known is None else known
    if size < old:
        raise InputError(f"the model has rows for {old:,} tokens: it can be given more, not {size:,}")
    if isinstance(model.config, SourceConfig) and model.config.writes != old:
        raise InputError(f"this {model.config.model_type} model has a vocabulary for each side, which cannot grow")
    before, larger = model.state_dict(), undrawn(_sized(model.config, size))
    other = undrawn(_sized(model.config, size + 1)).state_dict()  # where it differs in shape, there is a row for every token
    with torch.no_grad():
        for name, tensor in larger.state_dict().items():
            axis = next((n for n, length in enumerate(tensor.shape) if other[name].shape[n] != length), None)
            tensor.copy_(before[name] if axis is None else _more(before[name], axis, size, used, pieces))
    larger.generation = model.generation
    if (home := origin.origin(model)) is not None:
        origin.remember(larger, home)
    return larger


def _sized(config: Config, size: int) -> Config:
    changes: Any = {"vocab_size": size, "extra": dict(config.extra)}
    if getattr(config, "decoder_vocab_size", None) is not None:
        changes["decoder_vocab_size"] = size
    return dataclasses.replace(config, **changes)


def _more(before: Tensor, axis: int, size: int, known: int, pieces: Mapping[int, Sequence[int]]) -> Tensor:
    """`before` with `size` rows along `axis`, of which the first `known` stay as they are."""
    rows = before.movedim(axis, 0)
    mean = rows[:known].mean(0)
    new = [rows[list(pieces[i])].mean(0) if pieces.get(i) else mean for i in range(known, size)]
    return torch.cat([rows[:known], torch.stack(new)]).movedim(0, axis) if new else before


def padded(rows: int, known: int, wanted: int) -> int:
    """Rows for `wanted` tokens in a model that had `rows` for `known`: as many as there are where they suffice, else as many as are
    needed, rounded up as the old ones were."""
    if wanted <= rows:
        return rows
    multiple = next((each for each in _MULTIPLES if rows % each == 0), 1) if rows > known else 1
    return -(-wanted // multiple) * multiple

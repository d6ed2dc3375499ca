"""Why these words: how likely the model found each token of a reply, where it stood among all, and what else it could have said.

These are the model's own probabilities, before temperature, penalties and filters.   V vocabulary · T tokens at once
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..decode.options import DecodeOptions
from ..decode.plan import Plan
from ..decode.prompt import encode_prompt
from ..decode.reader import Reader
from ..decode.rows import start_rows
from ..nn.models import Model
from ..text.tokenizer import Tokenizer

AT_ONCE = 64
"""Tokens read at once, so that a long reply needs no more memory than a short one."""


@dataclass(frozen=True)
class Other:
    """A token that might have come instead."""

    token: str
    id: int
    probability: float


@dataclass(frozen=True)
class Chosen:
    """A token of a reply. `logprob`: natural · `rank`: 1 for the likeliest, of equals the one with the smaller id · `others`: the likeliest
    that were not chosen, likeliest first."""

    token: str
    id: int
    logprob: float
    probability: float
    rank: int
    others: tuple[Other, ...]


@torch.no_grad()
def why(model: Model, tokenizer: Tokenizer, prompt: Any, ids: Sequence[int], top: int = 3) -> list[Chosen]:
    """What the model thought of each of the `ids` that were written after `prompt`, those before it given."""
    if not ids:
        return []
    model.pack()
    planned = Plan(DecodeOptions(max_new_tokens=len(ids)), "greedy", (), (), ())
    rows = start_rows(model, tokenizer, [encode_prompt(model, tokenizer, prompt)], planned)
    reader = Reader(model, rows, 1)
    found = [chosen(tokenizer.target, reader.logits[0], ids[0], top)]
    for at in range(0, len(ids) - 1, AT_ONCE):
        read, after = ids[at : at + AT_ONCE], ids[at + 1 : at + 1 + AT_ONCE]
        read = read[: len(after)]
        rows[0].ids.append(read[0])
        reader.go_on(rows, [0], [read[1:]])
        rows[0].ids += read[1:]
        found += [chosen(tokenizer.target, logits, token, top) for logits, token in zip(reader.logits, after, strict=True)]
    return found


def chosen(tokenizer: Tokenizer, logits: torch.Tensor, token: int, top: int) -> Chosen:
    """One token among all that the model has scores (V,) for."""
    known = logits.float().log_softmax(-1)
    own = float(known[token])
    rank = 1 + int((known > known[token]).sum()) + int((known[:token] == known[token]).sum())
    near = known.topk(min(top + 1, len(known)))
    order = sorted(zip(near.indices.tolist(), near.values.tolist(), strict=True), key=lambda one: (-one[1], one[0]))
    others = tuple(Other(tokenizer.token(i), i, math.exp(value)) for i, value in order if i != token)[:top]
    return Chosen(tokenizer.token(token), token, own, math.exp(own), rank, others)

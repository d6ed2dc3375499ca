"""How likely a model finds a text, token by token."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..base.errors import InputError
from ..checkpoint.load import opened
from ..nn.models import Model
from ..text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Scored:
    """`ids`: of the text, the template's special tokens and the end included · `logprobs`: natural log-probability of each given those
    before it, 0 for the first, which nothing precedes · `total`: their sum."""

    text: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    total: float


def score(model: str | os.PathLike[str] | tuple[Model, Tokenizer], texts: str | Sequence[str]) -> list[Scored]:
    """Score whole texts, each independent of the others. InputError when one is longer than the model's context."""
    net, tokenizer = opened(model)
    net.pack()
    out = []
    for text in [texts] if isinstance(texts, str) else texts:
        ids = tokenizer.encode(text) + ([] if tokenizer.eos_id is None else [tokenizer.eos_id])
        if not ids:
            raise InputError("an empty text cannot be scored with this tokenizer: it has no token to begin or end with")
        if len(ids) > net.context:
            raise InputError(
                f"a text of {len(ids):,} tokens cannot be scored whole: this model reads at most {net.context:,}; use harken eval"
            )
        with torch.inference_mode():
            known = net.score(torch.tensor([ids], device=net.device))[0].tolist()
        out.append(Scored(text, tuple(ids), tuple(known), sum(known)))
    return out

"""Choose the next token. Every step works row by row, so a row's choice does not depend on the rest of the batch.

A batch (rows) · V vocabulary
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .options import DecodeOptions


class Chance:
    """Uniform numbers keyed by (seed, the prompt's ids, sample, step): the same in every batch, order and process."""

    def __init__(self, seed: int, prompt: Sequence[int], sample: int):
        content = f"{seed} {sample} ".encode() + np.asarray(prompt, np.int64).tobytes()
        self.key = hashlib.blake2b(content, digest_size=32).digest()

    def at(self, step: int) -> float:
        """A number in [0, 1) for this step."""
        digest = hashlib.blake2b(step.to_bytes(8, "little"), key=self.key, digest_size=8).digest()
        return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def choose(
    logits: Tensor, options: DecodeOptions, chances: Sequence[float], barred: Sequence[int] = (), texts: Sequence[Sequence[int]] = ()
) -> tuple[Tensor, Tensor]:
    """logits (A, V), one number in [0, 1) a row -> (ids (A,), natural log-probabilities (A,) under the model itself).

    The ids in `barred` are not chosen. `texts`: the ids of each row so far, which a repetition penalty looks at."""
    logits = logits.float()
    known = F.log_softmax(logits, -1)  # (A, V)
    if options.repetition_penalty != 1:
        logits = penalised(logits, texts, options.repetition_penalty)
    if barred:
        logits = logits.clone()
        logits[:, list(barred)] = float("-inf")
    if options.temperature == 0:
        ids = torch.from_numpy(logits.cpu().numpy().argmax(-1)).to(logits.device)  # the first of equals, unlike torch's
    else:
        ids = draw(filtered(logits.double() / options.temperature, options), torch.tensor(chances, dtype=torch.float64))
    return ids, known.gather(-1, ids[:, None])[:, 0]


def penalised(logits: Tensor, texts: Sequence[Sequence[int]], penalty: float) -> Tensor:
    """logits (A, V), those of ids that a row's text holds divided by `penalty`, or multiplied where negative.

    https://arxiv.org/abs/1909.05858 section 4.1"""
    logits = logits.clone()
    for row, text in zip(logits, texts, strict=True):
        ids = torch.tensor(sorted(set(text)), device=logits.device)
        held = row[ids]
        row[ids] = torch.where(held < 0, held * penalty, held / penalty)
    return logits


def filtered(scores: Tensor, options: DecodeOptions) -> Tensor:
    """Scores (A, V) with -inf where top-k, then top-p, then min-p (https://arxiv.org/abs/2407.01082) take a token out; one stays."""
    if 0 < options.top_k < scores.shape[-1]:
        least = scores.topk(options.top_k).values[:, -1:]
        scores = scores.masked_fill(scores < least, float("-inf"))
    if options.top_p < 1:
        ordered, places = scores.sort(dim=-1, descending=True, stable=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)  # probability of all that is likelier
        out = torch.zeros_like(before, dtype=torch.bool).scatter(-1, places, before >= options.top_p)
        scores = scores.masked_fill(out, float("-inf"))
    if options.min_p > 0:
        weights = scores.softmax(-1)
        scores = scores.masked_fill(weights < options.min_p * weights.amax(-1, keepdim=True), float("-inf"))
    return scores


def draw(scores: Tensor, chances: Tensor) -> Tensor:
    """Sample one id a row from softmax(scores (A, V)) by inverting its cumulative sum at `chances` (A,)."""
    weights = scores.softmax(-1)
    reached = weights.cumsum(-1)
    aim = chances.to(scores.device)[:, None] * reached[:, -1:]
    ids = torch.searchsorted(reached, aim, right=True)[:, 0]
    last = scores.shape[-1] - 1 - (weights > 0).flip(-1).int().argmax(-1)  # rounding must never pick what was filtered out
    return torch.minimum(ids, last)

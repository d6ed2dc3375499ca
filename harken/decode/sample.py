"""Choose the next token. Every step works row by row, so a row's choice does not depend on the rest of the batch.

A batch (rows) · V vocabulary
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LARGE = 8_192
"""Tokens of a vocabulary from which on rows are drawn one by one, as one row's float64 stays in the cache: 1.7 times as fast at 50,257."""


class Chance:
    """Uniform numbers keyed by (seed, the prompt's ids, sample, step): the same in every batch, order and process."""

    def __init__(self, seed: int, prompt: Sequence[int], sample: int):
        content = f"{seed} {sample} ".encode() + np.asarray(prompt, np.int64).tobytes()
        self.key = hashlib.blake2b(content, digest_size=32).digest()

    def at(self, step: int) -> float:
        """A number in [0, 1) for this step."""
        return (self._bits(step) >> 11) * 2.0**-53

    def many(self, step: int, count: int) -> np.ndarray:
        """(count,) float64 numbers in [0, 1) for this step."""
        return np.random.Generator(np.random.Philox(key=self._bits(step))).random(count)

    def _bits(self, step: int) -> int:
        return int.from_bytes(hashlib.blake2b(step.to_bytes(8, "little"), key=self.key, digest_size=8).digest(), "little")


def likeliest(scores: Tensor) -> Tensor:
    """scores (A, V) -> (A,) the highest of each row; of equals the first, unlike torch's."""
    return torch.from_numpy(scores.cpu().numpy().argmax(-1)).to(scores.device)


def draw(scores: Tensor, chances: Tensor) -> Tensor:
    """Sample one id a row from softmax(scores (A, V)) by inverting its cumulative sum at `chances` (A,) float64."""
    if len(scores) > 1 and scores.shape[-1] >= LARGE:
        return torch.cat([draw(*each) for each in zip(scores.split(1), chances.split(1), strict=True)])
    weights = scores.double().softmax(-1)
    reached = weights.cumsum(-1)
    aim = chances.to(scores.device)[:, None] * reached[:, -1:]
    ids = torch.searchsorted(reached, aim, right=True)[:, 0]
    last = scores.shape[-1] - 1 - (weights > 0).flip(-1).int().argmax(-1)  # rounding must never pick what was filtered out
    return torch.minimum(ids, last)

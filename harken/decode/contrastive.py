"""Contrastive search: of the likeliest tokens the one least like what the text holds already. https://arxiv.org/abs/2202.06417

    (1 - α) p(v | x) - α max over j of cos(h_v, h_j)

h_j are the last hidden states of all tokens so far, h_v that of a candidate: each is read before one is chosen.

A rows under way · K candidates of each · L tokens · D width · V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..base.errors import InputError
from ..nn.mask import Mask
from ..nn.models import Model
from .beams import leading
from .plan import Plan
from .processors import apply
from .reader import TOKENS, padded
from .rows import Row
from .search import Step, logprobs_of


class Contrastive:
    """It keeps a cache of its own, with every row K times, one for each candidate.

    InputError when texts may grow over the context; from the first step when the model has no hidden states."""

    def __init__(self, model: Model, plan: Plan, rows: Sequence[Row]):
        if plan.options.overflow == "window":
            raise InputError("contrastive search looks back at all of a text, which no window shows: leave overflow out")
        if model.named_types and any(row.prompt.types for row in rows):
            raise InputError("contrastive search does not tell the speakers of a dialogue apart: leave penalty_alpha out")
        self.model, self.plan, self.all, self.rows = model, plan, list(rows), list(rows)
        self.count = plan.options.top_k or 1
        self.said: list[np.ndarray] = []  # of each row (L, D), what its tokens say, each of length 1

    def step(self, known: Tensor, scores: Tensor) -> Step:
        """Every row gets its next token."""
        if not self.said:
            self.count = min(self.count, scores.shape[-1])
            self._begin()
        scores = apply(self.plan.processors, scores.float(), self.rows)
        ids = leading(scores, self.count)  # (A, K)
        chances = scores.softmax(-1).gather(-1, ids).cpu().numpy()
        states = self.model.hidden(ids.reshape(-1, 1), cache=self.cache).unflatten(0, ids.shape)[:, :, 0]  # (A, K, D)
        chosen = []
        for i, (row, chance) in enumerate(zip(self.rows, chances, strict=True)):
            new = directions(states[i])
            best = choose(chance, new, self.said[i][: len(row.begun) + len(row.ids)], self.plan.options.penalty_alpha or 0.0)
            self.said[i][len(row.begun) + len(row.ids)] = new[best]
            chosen.append(best)
        picked = ids.gather(1, torch.tensor(chosen, device=ids.device)[:, None])[:, 0]
        written = zip(self.rows, picked.tolist(), logprobs_of(known, picked).tolist(), strict=True)
        said = [(row, token) for row, token, logprob in written if row.write(token, logprob, self.plan)]
        parents = [i for i, row in enumerate(self.rows) if row.finish is None]
        if parents:
            self.cache.select(torch.tensor([i * self.count + chosen[i] for i in parents for _ in range(self.count)]))
        self.rows, self.said = [self.rows[i] for i in parents], [self.said[i] for i in parents]
        return Step(self.rows, parents, said)

    def results(self) -> list[Row]:
        """All rows, in the order they came in."""
        return self.all

    def _begin(self) -> None:
        """Read what the rows begin with."""
        room = max(len(row.begun) + row.limit for row in self.rows)
        sources = [row.source for row in self.rows if row.source is not None]
        source = padded(sources, self.model.device) if sources else (None, None)
        self.cache = self.model.begin(len(self.rows), room, *source)
        texts = [row.begun for row in self.rows]
        step, read = max(1, TOKENS // len(texts)), [[] for _ in texts]
        for at in range(0, max(map(len, texts)), step):
            parts = [text[at : at + step] for text in texts]
            ids, mask = padded(parts, self.model.device)
            states = self.model.hidden(ids, mask if len(set(map(len, parts))) > 1 else Mask(), cache=self.cache)  # (A, L, D)
            for found, part, of_row in zip(read, parts, states, strict=True):
                found.append(directions(of_row[: len(part)]))
        self.said = [np.concatenate([*found, np.empty((row.limit, found[0].shape[1]))]) for found, row in zip(read, self.rows, strict=True)]
        self.cache.select(torch.arange(len(texts)).repeat_interleave(self.count))


def directions(states: Tensor) -> np.ndarray:
    """states (L, D) -> the same at length 1, float64."""
    found = states.double().cpu().numpy()
    return found / np.sqrt((found * found).sum(-1, keepdims=True)).clip(min=1e-12)


def choose(chances: np.ndarray, new: np.ndarray, before: np.ndarray, alpha: float) -> int:
    """Which of the candidates: chances (K,) and directions (K, D), beside the directions (L, D) of what the text holds.

    A row is judged by itself, so nothing about the batch can change a bit of it. What is barred is not taken, however unlike it is."""
    like = np.einsum("ld,kd->kl", before, new).max(-1)
    return int(np.where(chances > 0, (1 - alpha) * chances - alpha * like, -np.inf).argmax())

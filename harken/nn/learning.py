"""Attention to learn by in bfloat16 on a CPU: products of a few heads at a time, and only q, k and v are kept for the gradient.

    P = softmax(q kᵀ · scale),  y = P v          dV = Pᵀ dY,  dS = P ∘ (dP - Σ P ∘ dP) · scale with dP = dY Vᵀ,  dQ = dS K,  dK = dSᵀ Q

The scores are made again on the way back, as in https://arxiv.org/abs/2205.14135; they never take more than `SCORES`. Torch's own kernel
for a CPU takes three to five times as long for this where texts are short, most of it on the way back. Twin: `attend.eager`.

B batch · N heads · G key/value heads · L queries · M keys · K head width · T packed tokens · C matrices at once
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .dropout import chances
from .kernels.exact import use_threads
from .kernels.softmax import slope, weigh
from .mask import Mask

SCORES = 1 << 20
"""Scores that are there at once, where a matrix has no more: what stays in a processor's cache."""
QUERIES = 256
"""Queries at once, where each sees only some of the keys: half of the scores of a long causal text are never made."""


@dataclass
class Seen:
    """Which keys each query sees, start <= j < stop, both (B, L) int64, and of a text that goes on in several ways (`branches`) those below
    `before` (B, L) as well; (0, 0): none. Of a packed row the B documents lie side by side in it: each
    token at places (B, L), and back (T,) where it lies among those; None: as they are."""

    start: np.ndarray
    stop: np.ndarray
    places: Tensor | None = None
    back: Tensor | None = None
    packed: bool = False
    before: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @classmethod
    def of(cls, mask: Mask, rows: int, queries: int, keys: int) -> Seen:
        """Of rows (B, L) of their own, or the documents of a packed row."""
        if mask.branches is not None:
            before, start = (each.contiguous().numpy() for each in mask.branches.unbind(-1))
            return cls(start, np.tile(np.arange(1, keys + 1), (rows, 1)), before=before)
        if mask.starts is None:
            start, stop = mask.intervals(torch.arange(queries).expand(rows, queries), keys)
            return cls(start.numpy(), stop.numpy())
        lengths = mask.starts.diff()
        longest = int(lengths.max())
        step = torch.arange(longest)
        start, stop = Mask(mask.causal, mask.window, lengths).intervals(step.expand(len(lengths), longest), longest)
        if bool((lengths == longest).all()):
            return cls(start.numpy(), stop.numpy(), packed=True)
        real = step < lengths[:, None]
        places = torch.where(real, mask.starts[:-1, None] + step, 0)
        stop = torch.where(real, torch.minimum(stop, lengths[:, None]), 0)  # what fills up a document sees nothing, and teaches nothing
        return cls(start.numpy(), stop.numpy(), places, real.flatten().nonzero()[:, 0], packed=True)

    def split(self, keys: int) -> bool:
        """Whether it pays to take a few queries at a time."""
        return self.start.shape[1] > QUERIES and int((self.stop - self.start).min()) < keys

    def keys(self, k: Tensor) -> int:
        """Keys of one matrix."""
        return self.start.shape[1] if self.packed else k.shape[2]

    def apart(self, x: Tensor, groups: int) -> Tensor:
        """x (B, N, L, K), or (1, N, T, K) packed -> (C, N / G, L, K), contiguous: one matrix of keys for each of the C."""
        if not self.packed:
            return x.reshape(-1, x.shape[1] // groups, *x.shape[2:]).contiguous()
        rows = x[0] if self.places is None else x[0][:, self.places]
        shape = groups, x.shape[1] // groups, *self.start.shape, x.shape[-1]
        return rows.reshape(shape).transpose(1, 2).flatten(0, 1).contiguous()

    def together(self, y: Tensor, like: Tensor) -> Tensor:
        """The inverse, of the shape of `like`; in memory tokens come before heads."""
        if not self.packed:
            return y.view(like.shape).transpose(1, 2).contiguous().transpose(1, 2)
        rows = y.unflatten(0, (-1, len(self.start))).transpose(1, 2).reshape(like.shape[1], -1, y.shape[-1])
        rows = rows.transpose(0, 1)  # (B · L, N, K)
        return (rows.contiguous() if self.back is None else rows.index_select(0, self.back)).transpose(0, 1)[None]


def attend_learning(q: Tensor, k: Tensor, v: Tensor, seen: Seen, scale: float, dropout: float = 0.0) -> Tensor:
    """q (B, N, L, K), k and v (B, G, M, K), or (1, heads, T, K) packed, all bfloat16 -> (B, N, L, K), differentiable."""
    seed = int(torch.randint(1 << 32, ())) if dropout else 0
    return _Attention.apply(q, k, v, seen, scale, dropout, seed)  # pyright: ignore[reportReturnType]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        q, k, v, *rest = given
        ctx.save_for_backward(q, k, v)
        ctx.rest = rest
        out = torch.empty_like(rest[0].apart(q, k.shape[1]))
        for part in parts(q, k, v, *rest):
            part.queries_of(out).copy_(part.split(part.weights(dropped=True) @ part.v))
        return rest[0].together(out, q)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor):
        q, k, v = ctx.saved_tensors
        seen, groups = ctx.rest[0], k.shape[1]
        dy = seen.apart(slopes[0].to(q.dtype), groups)
        dq = torch.empty_like(dy)
        once = not seen.split(seen.keys(k))  # else sums of several parts, in float32
        dk, dv = (
            (torch.empty if once else torch.zeros)(len(dy), seen.keys(t), t.shape[-1], dtype=q.dtype if once else None) for t in (k, v)
        )
        for part in parts(q, k, v, *ctx.rest):
            given = part.queries_of(dy).flatten(1, 2)
            weights, changes = part.slopes(part.weights(), given @ part.v.mT)
            part.queries_of(dq).copy_(part.split(changes @ part.k))
            for found, rows, columns in ((dk, changes, part.q), (dv, weights, given)):
                if once:
                    torch.bmm(rows.mT, columns, out=found[part.rows])
                else:
                    found[part.rows, part.keys] += rows.mT @ columns
        dk, dv = (each[:, None].to(q.dtype) for each in (dk, dv))
        return seen.together(dq, q), seen.together(dk, k), seen.together(dv, v), None, None, None, None


@dataclass
class Part:
    """Some of the C matrices, some of their queries, and the keys that any of these sees: q (c, R, K), k and v (c, keys, K)."""

    q: Tensor
    k: Tensor
    v: Tensor
    rows: slice
    asked: slice
    keys: slice
    before: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    side: int
    scale: np.float32
    drop: tuple[np.uint32, np.float32, np.uint32]

    def queries_of(self, x: Tensor) -> Tensor:
        """x (C, N / G, L, K) -> (c, N / G, queries, K), those that are asked."""
        return x[self.rows, :, self.asked]

    def split(self, y: Tensor) -> Tensor:
        """y (c, R, K) -> (c, N / G, queries, K)."""
        return y.unflatten(1, (-1, self.asked.stop - self.asked.start))

    @property
    def place(self) -> tuple[int, int, int, int, int]:
        """As the kernels take it."""
        return self.rows.start, self.side, self.asked.start, self.asked.stop - self.asked.start, self.keys.start

    def weights(self, *, dropped: bool = False) -> Tensor:
        """(c, R, keys) P, some of it dropped if asked for."""
        scores = self.q @ self.k.mT
        least, share, seed = self.drop
        use_threads(32 * scores.numel())
        weigh(bits(scores), self.before, self.start, self.stop, self.place, self.scale, least if dropped else np.uint32(0), share, seed)
        return scores

    def slopes(self, weights: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
        """P and dP, both (c, R, keys), become the weights that v was multiplied with, and dS · scale."""
        use_threads(16 * weights.numel())
        slope(bits(weights), bits(changes), self.start, self.stop, self.place, self.scale, *self.drop)
        return weights, changes


def bits(x: Tensor) -> np.ndarray:
    """Those of bfloat16."""
    return x.view(torch.uint16).numpy()


def parts(q: Tensor, k: Tensor, v: Tensor, seen: Seen, scale: float, dropout: float, seed: int) -> Iterator[Part]:
    """All there is to do."""
    groups = k.shape[1]
    q, k, v = (seen.apart(t, groups) for t in (q, k, v))
    k, v = k[:, 0], v[:, 0]
    drop = chances(dropout, seed)
    length, keys, side = q.shape[2], k.shape[1], 1 if seen.packed else groups
    split = seen.split(keys)
    for first, last in itertools.pairwise([*range(0, length, QUERIES), length] if split else [0, length]):
        low = int(seen.start[:, first:last].min()) if split and not len(seen.before) else 0
        high = max(int(seen.stop[:, first:last].max()), low + 1) if split else keys
        each = max(1, SCORES // (q.shape[1] * (last - first) * (high - low)))
        for at in range(0, len(q), each):
            rows, asked, there = slice(at, min(at + each, len(q))), slice(first, last), slice(low, high)
            some = q[rows, :, asked].flatten(1, 2), k[rows, there], v[rows, there]
            yield Part(*some, rows, asked, there, seen.before, seen.start, seen.stop, side, np.float32(scale), drop)

"""Attention to learn by in bfloat16 on a CPU: one kernel makes the answer, another all gradients; q, k, v and two numbers of each row are
all that is kept. Texts may lie side by side in rows, padded, or end to end in one row, packed: either way each is worked on by itself.

Torch's own kernel for a CPU takes three to ten times as long for this, most of it on the way back. Twin: `attend.eager`.

B batch · C texts · N heads · G key/value heads · L queries · M keys · K head width · T packed tokens
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .dropout import chances
from .kernels.exact import use_threads
from .kernels.learning import BLOCKS, backward, forward
from .mask import Mask

BYTES = torch.bfloat16.itemsize
NOTHING, NO_SLOPES = np.zeros((0, 0), np.float32), np.zeros((0, 0, 0), np.float32)
"""No bias, and nothing to learn of it, as the kernels take them."""


@dataclass
class Seen:
    """The texts of a call and which keys each query sees, start <= j < stop, both (C, L) int64, and of a text that goes on in several ways
    (`branches`) those below `before` (C, L) as well; (0, 0): none. queries and keys (C,): how many each text has; in a `packed`
    row they lie end to end, else they are rows of a batch. What follows from these is worked out once for all layers."""

    start: np.ndarray
    stop: np.ndarray
    queries: np.ndarray
    keys: np.ndarray
    packed: bool = False
    before: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @classmethod
    def of(cls, mask: Mask, rows: int, queries: int, keys: int) -> Seen:
        """Of rows (B, L) of their own, or the documents of a packed row."""
        if mask.starts is not None:
            asked = mask.starts.diff()
            there = asked if mask.sources is None else mask.sources.diff()
            step = torch.arange(int(asked.max())).expand(len(asked), -1)
            start, stop = Mask(mask.causal, mask.window, there).intervals(step, int(there.max()))
            return cls(start.numpy(), torch.minimum(stop, there[:, None]).numpy(), asked.numpy(), there.numpy(), packed=True)
        sizes = np.full(rows, queries), np.full(rows, keys)
        if mask.branches is not None:
            before, start = (each.contiguous().numpy() for each in mask.branches.unbind(-1))
            return cls(start, np.tile(np.arange(1, keys + 1), (rows, 1)), *sizes, before=before)
        start, stop = mask.intervals(torch.arange(queries).expand(rows, queries), keys)
        return cls(start.numpy(), stop.numpy(), *sizes)

    def texts(self, q: Tensor, k: Tensor, v: Tensor) -> np.ndarray:
        """(C, 7) int64, as the kernels take them."""

        def beginnings(x: Tensor, first: np.ndarray) -> np.ndarray:
            return BYTES * (first * x.stride(2) if self.packed else np.arange(len(first)) * x.stride(0))

        one, other = self.firsts
        return np.stack([beginnings(q, one), beginnings(k, other), beginnings(v, other), self.queries, self.keys, one, other], 1)

    @functools.cached_property
    def firsts(self) -> tuple[np.ndarray, np.ndarray]:
        """(C,) int64 each: queries, and keys, of all texts before each."""
        one, other = (sizes.cumsum() - sizes for sizes in (self.queries, self.keys))
        return one, other

    @functools.cached_property
    def scores(self) -> int:
        """Of one head, of all texts."""
        return int(self.queries @ self.keys)

    def clear(self, sizes: np.ndarray, *written: Tensor) -> None:
        """What stands behind the last document of a packed row becomes zero, of each (1, T, heads, K)."""
        for each in written if self.packed else ():
            each[:, int(sizes.sum()) :] = 0

    def work(self, q: Tensor) -> int:
        """Multiply-adds of an answer, about."""
        return 2 * q.shape[1] * q.shape[3] * self.scores


def attend_learning(q: Tensor, k: Tensor, v: Tensor, seen: Seen, scale: float, dropout: float = 0.0, bias: Tensor | None = None) -> Tensor:
    """q (B, N, L, K), k and v (B, G, M, K), or (1, heads, T, K) packed, all bfloat16 -> (B, N, L, K), differentiable. `bias` (N,
    2 · longest - 1): added to the scores by the distance j - i of key and query, the middle one where there is none."""
    seed = int(torch.randint(1 << 32, ())) if dropout else 0
    q, k, v = (t if t.stride(-1) == 1 else t.contiguous() for t in (q, k, v))
    return _Attention.apply(q, k, v, bias, seen, scale, dropout, seed)  # pyright: ignore[reportReturnType]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        q, k, v, bias, *rest = given
        y = blank(q)
        kept = np.empty((q.shape[0] * q.shape[2], q.shape[1], 2), np.float32)
        use_threads(rest[0].work(q))
        forward(*asked(q, k, v, bias, *rest), y.data_ptr(), kept)
        rest[0].clear(rest[0].queries, y)
        ctx.save_for_backward(q, k, v, bias)
        ctx.kept, ctx.rest = kept, rest
        return y.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor):
        q, k, v, bias = ctx.saved_tensors
        dy = slopes[0].to(q.dtype).transpose(1, 2).contiguous()
        dq, dk, dv = (blank(each) for each in (q, k, v))
        dbias = NO_SLOPES if bias is None else np.zeros((BLOCKS, *bias.shape), np.float32)
        use_threads(ctx.rest[0].work(q))
        given = asked(q, k, v, bias, *ctx.rest)
        backward(*given, ctx.kept, dy.data_ptr(), (dq.data_ptr(), dk.data_ptr(), dv.data_ptr()), dbias)
        ctx.rest[0].clear(ctx.rest[0].queries, dq)
        ctx.rest[0].clear(ctx.rest[0].keys, dk, dv)
        learned = None if bias is None else torch.from_numpy(dbias.sum(0))
        return *(each.transpose(1, 2) for each in (dq, dk, dv)), learned, None, None, None, None


def blank(like: Tensor) -> Tensor:
    """(B, N, L, K) -> (B, L, N, K) to be written: in memory tokens come before heads."""
    b, n, length, width = like.shape
    return torch.empty(b, length, n, width, dtype=like.dtype)


def asked(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, seen: Seen, scale: float, dropout: float, seed: int) -> tuple[Any, ...]:
    """What both kernels take."""
    lie = tuple((t.data_ptr(), t.stride(2) * BYTES, t.stride(1) * BYTES) for t in (q, k, v))
    sizes = k.shape[1], q.shape[1] // k.shape[1], q.shape[-1], int(seen.keys.max())
    added = NOTHING if bias is None else (bias.detach() / scale).contiguous().numpy()
    sees = seen.before, seen.start, seen.stop
    return lie, sizes, seen.texts(q, k, v), sees, added, np.float32(scale), chances(dropout, seed)

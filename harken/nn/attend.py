"""Scaled dot-product attention: one question, several kernels.   https://arxiv.org/abs/1706.03762

    attend(q, k, v, look) = softmax(q kᵀ · scale + bias, over the keys each query may see) v

B batch · L queries · M keys · N heads · G key/value heads · K head width
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .kernels.attention import attention
from .kernels.exact import use_threads
from .learning import Seen, attend_learning
from .mask import Mask, dense

NONE = np.zeros((0, 0, 0, 0), np.float32)
"""No bias, as the exact kernel takes it."""


@dataclass
class Look:
    """What a call may look at, worked out once and read by every layer. Build it outside compiled regions."""

    mask: Mask
    keys: int  # M, the keys that hold anything
    start: Tensor | None = None  # (B, L) intervals, for the exact kernel
    stop: Tensor | None = None
    allowed: Tensor | None = None  # (B, 1, L, M) bool, for torch; None: causal or nothing hidden
    exact: bool = False  # one fixed order of additions (packed models on a CPU)
    apart: Apart | None = None  # the documents of a packed row, each looked at by itself
    maps: list | None = None  # attention maps are appended here when asked for; asking leaves the fused kernels
    seen: Seen | None = None  # what is seen by whom, once a layer learns by it

    @property
    def longest(self) -> int:
        """Keys of the longest text."""
        return self.keys if self.mask.starts is None else int(self.mask.starts.diff().max())

    @classmethod
    def of(cls, mask: Mask, positions: Tensor, keys: int, *, past: int = 0, exact: bool = False, maps: list | None = None) -> Look:
        """positions (B, L) of the queries among `keys` keys, of which the longest row held `past` before this call."""
        whole = past == 0 and positions.shape[-1] == keys
        if mask.plain and (whole or not mask.causal) and not exact and maps is None:
            return cls(mask, keys)
        if mask.starts is not None and not exact and maps is None:
            return cls(mask, keys, apart=Apart.of(mask))
        if mask.branches is not None:
            return cls(mask, keys, maps=maps)
        start, stop = mask.intervals(positions, keys)
        if exact and maps is None:
            return cls(mask, keys, start, stop, exact=True)
        return cls(mask, keys, allowed=dense(start, stop, keys), maps=maps)


@dataclass
class Apart:
    """A packed row (T,) seen as a padded batch of its documents: attention alone needs it, and everything else reads no padding.

    places (documents, longest): where each token of each document lies · back (T,): where each token lies in the flat batch · keys: places
    of what the documents look at."""

    places: Tensor
    back: Tensor
    keys: Tensor
    look: Look

    @classmethod
    def of(cls, mask: Mask) -> Apart:
        """From the `starts` of a mask."""
        assert mask.starts is not None
        places, real = laid(mask.starts)
        keys, there = (places, real) if mask.sources is None else laid(mask.sources)
        inner = Mask(mask.causal, mask.window, None if mask.causal else there.sum(1))
        step = torch.arange(places.shape[1], device=places.device)
        return cls(places, real.flatten().nonzero()[:, 0], keys, Look.of(inner, step[None].expand(len(places), -1), keys.shape[1]))


def laid(starts: Tensor) -> tuple[Tensor, Tensor]:
    """starts (documents + 1,) -> where each token of each document lies, and whether it is one, both (documents, longest)."""
    lengths = starts.diff()
    step = torch.arange(int(lengths.max()), device=starts.device)
    real = step < lengths[:, None]
    return torch.where(real, starts[:-1, None] + step, 0), real


def attend(
    q: Tensor, k: Tensor, v: Tensor, look: Look, *, scale: float | None = None, bias: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """q (B, N, L, K), k (B, G, M, K), v (B, G, M, any width) -> (B, N, L, that width). `bias` is added to the scores: (B or 1, N, L, M), or
    (N, 2 · longest - 1) of the distance from query to key, as a packed row takes it."""
    scale = float(q.shape[-1] ** -0.5) if scale is None else scale
    if look.exact:
        return exact(q, k, v, look, scale, bias)
    if (bias is None or bias.dim() == 2) and narrow(q, v, look):
        look.seen = look.seen or Seen.of(look.mask, len(q), q.shape[2], look.keys)
        return attend_learning(q.bfloat16(), k.bfloat16(), v.bfloat16(), look.seen, scale, dropout, bias)
    if look.apart is not None:
        return apart(q, k, v, look.apart, scale, dropout, bias)
    bias = by_distance(bias, q.shape[2], look.keys) if bias is not None and bias.dim() == 2 else bias
    if look.allowed is None and look.mask.branches is not None:
        look.allowed = look.mask.branched()
    k, v = k[:, :, : look.keys], v[:, :, : look.keys]
    if look.maps is not None:
        return eager(q, k, v, look.allowed, scale, look.maps, bias)
    causal = look.allowed is None and look.mask.causal
    allowed, causal = (look.allowed, causal) if bias is None else (biased(bias, look.allowed, causal), False)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=allowed, is_causal=causal, dropout_p=dropout, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )


def narrow(q: Tensor, v: Tensor, look: Look) -> bool:
    """Whether something is learned in bfloat16 on a CPU, where torch's kernel is slow; in float32 it is not."""
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else q.dtype
    plain = look.maps is None and (look.mask.branches is None or look.mask.window is None) and q.shape[-1] == v.shape[-1]
    return plain and kind == torch.bfloat16 and q.device.type == "cpu" and torch.is_grad_enabled() and q.requires_grad


def apart(q: Tensor, k: Tensor, v: Tensor, documents: Apart, scale: float, dropout: float, bias: Tensor | None) -> Tensor:
    """q (1, N, T, K), k and v (1, G, T, K) of a packed row -> (1, N, T, K): no document sees another."""
    given = q.shape[2]  # tokens may stand behind the last document
    lie = (q, documents.places), (k, documents.keys), (v, documents.keys)
    q, k, v = (t[0][:, places].transpose(0, 1) for t, places in lie)  # (documents, heads, longest, K)
    y = attend(q, k, v, documents.look, scale=scale, bias=bias, dropout=dropout).transpose(0, 1)  # (N, documents, longest, K)
    return F.pad(y.flatten(1, 2)[:, documents.back], (0, 0, 0, given - len(documents.back)))[None]


def by_distance(bias: Tensor, queries: int, keys: int) -> Tensor:
    """(N, 2 · longest - 1), the middle one of no distance -> (1, N, L, M)."""
    middle = bias.shape[1] // 2
    return bias.unfold(1, keys, 1)[:, middle - queries + 1 : middle + 1].flip(1)[None]


def biased(bias: Tensor, allowed: Tensor | None, causal: bool) -> Tensor:
    """What torch's kernel adds to the scores: the bias (B or 1, N, L, M), and minus infinity where a query may not look."""
    if causal:
        allowed = torch.ones(bias.shape[-2:], dtype=torch.bool, device=bias.device).tril()
    return bias if allowed is None else bias.masked_fill(~allowed, float("-inf"))


def exact(q: Tensor, k: Tensor, v: Tensor, look: Look, scale: float, bias: Tensor | None = None) -> Tensor:
    """The Numba kernel: float32 on a CPU, the same bits whatever the padding and the batch."""
    b, n, length, width = q.shape
    groups = k.shape[1]
    out = torch.empty(b, groups, n // groups * length, v.shape[-1])
    first = NONE if bias is None else (bias / scale).contiguous().view(len(bias), groups, n // groups * length, bias.shape[-1]).numpy()
    keys_first = k.mT.contiguous()  # (B, G, K, M): how a cache holds its keys, so no copy there
    start, stop = (t.expand(b, length).contiguous().numpy() for t in (look.start, look.stop) if t is not None)
    rows = q.contiguous().view(b, groups, n // groups * length, width)
    use_threads(2 * q.numel() * look.keys)
    attention(rows.numpy(), keys_first.numpy(), v.contiguous().numpy(), first, start, stop, scale, out.numpy())
    return out.view(b, n, length, v.shape[-1])


def eager(
    q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None, scale: float, maps: list | None = None, bias: Tensor | None = None
) -> Tensor:
    """The formula, step by step: the twin of every fast path, and the one that can show its weights (B, N, L, M)."""
    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
    scores = q @ k.mT * scale  # (B, N, L, M)
    scores = scores if bias is None else scores + bias
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    weights = scores.softmax(-1)
    if allowed is not None:
        weights = weights.masked_fill(~allowed, 0.0)  # a query that may see nothing gets zeros
    if maps is not None:
        maps.append(weights)
    return weights @ v

"""Attention of a recurrent network to its source: which of the words read is the next word written about?

    c_t = Σ_s a_ts m_s,   a_t = softmax over s of score(h_t, m_s)       https://arxiv.org/abs/1409.0473, https://arxiv.org/abs/1508.04025

Local attention looks at a window of source tokens only, p_t - D <= s <= p_t + D (the second paper, section 3.2):

    local-m   p_t = t, both languages going at one pace
    local-p   p_t = S σ(v · tanh(W h_t)), where S is the source's length;  a_ts is also multiplied by exp(-2 (s - p_t)² / D²)

B batch · L queries · M source tokens · H width of a query · D half of a window
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attend import Look, attend
from .linear import Linear, activate
from .mask import Mask, dense
from .scores import Additive, Dot, General


class Alignment(nn.Module):
    """`window`: D, or None for all of the source · `predicts`: local-p, for queries of this width; None: local-m."""

    def __init__(self, score: Dot | General | Additive, *, window: int | None = None, predicts: int | None = None):
        super().__init__()
        self.score, self.window = score, window
        self.place = None if predicts is None else Linear(predicts, predicts, bias=False)
        self.aim = None if predicts is None else Linear(predicts, 1, bias=False)
        if self.aim is not None and predicts is not None:
            self.aim.first = predicts**-0.5  # at the full rate σ soon says 0 or 1 alone, and learns nothing any more

    def forward(
        self, h: Tensor, memory: Tensor, keys: Tensor, sources: Tensor, steps: Tensor, *, exact: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """h (B, L, H), memory (B, M, any width), keys as the score makes them of it, `sources` (B,) real tokens, `steps` (B, L) which
        target token each query is -> (c (B, L, that width), a (B, L, M)). `exact`: the kernel, the same bits in every batch; no a."""
        centre = self.centre(h, sources, steps)
        start, stop = self.interval(centre, sources, steps)
        fade = None if self.place is None else self.fade(centre, memory.shape[1], exact)  # (B, L, M)
        if exact:
            return self._exact(h, memory, keys, start, stop, fade), None
        seen = dense(start, stop, memory.shape[1])[:, 0]  # (B, L, M)
        scores = self.score(h, keys)  # under autocast of another type than h
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)  # finite: a window may be empty
        a = scores.softmax(-1).masked_fill(~seen, 0.0)
        a = a if fade is None else a * fade.to(a)
        return a @ memory, a

    def centre(self, h: Tensor, sources: Tensor, steps: Tensor) -> Tensor:
        """(B, L) where each query looks."""
        if self.place is None or self.aim is None:
            return steps.float()
        return sources[:, None] * self.aim(self.place(h, "tanh"), "sigmoid")[..., 0].float()

    def interval(self, centre: Tensor, sources: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """(start, stop), both (B, L) int64: the source tokens start <= s < stop are looked at."""
        length = sources[:, None].expand_as(steps)
        if self.window is None:
            return torch.zeros_like(length), length
        start = (centre - self.window).ceil().long().clamp(min=0)
        stop = torch.minimum((centre + self.window).floor().long() + 1, length)
        start = torch.minimum(start, length)
        return start, torch.maximum(stop, start)

    def fade(self, centre: Tensor, length: int, exact: bool = False) -> Tensor:
        """(B, L, M) exp(-(s - p)² / 2σ²), σ = D / 2: what is further from the centre counts less."""
        assert self.window is not None
        far = torch.arange(length, device=centre.device) - centre[..., None]  # (B, L, M)
        x = 2 * far * far / self.window**2
        if not exact:
            return torch.exp(-x)
        return activate(-x, "sigmoid", True) / activate(x, "sigmoid", True)  # e^-x, whose bits do not depend on where x stands

    def _exact(self, h: Tensor, memory: Tensor, keys: Tensor, start: Tensor, stop: Tensor, fade: Tensor | None) -> Tensor:
        """The same by the kernel of attention, which takes scores that are no products as a bias."""
        bias = None if self.score.multiplies else self.score(h, keys)[:, None]  # (B, 1, L, M)
        width = h.shape[-1] if bias is None else 0
        q, k, v = h[:, None, :, :width], keys[:, None, :, :width], memory[:, None]
        if fade is not None:  # each query has values of its own: a batch of B · L queries
            batch, length, _ = h.shape
            rows = torch.arange(batch).repeat_interleave(length)
            q, k = q.reshape(batch * length, 1, 1, width), k[rows]
            v = (fade[..., None] * memory[:, None]).flatten(0, 1)[:, None]  # (B · L, 1, M, width of the memory)
            bias = None if bias is None else bias.transpose(1, 2).flatten(0, 1)[:, None]
            start, stop = start.reshape(-1, 1), stop.reshape(-1, 1)
        y = attend(q, k, v, Look(Mask(), memory.shape[1], start, stop, exact=True), scale=1.0, bias=bias)
        return y.reshape(*h.shape[:2], memory.shape[-1])

"""The second half of a feed-forward layer that learns in bfloat16 on a CPU: what comes between its two products is worked out once more on
the way back instead of kept, which is a quarter of what a GPT keeps.

    y = drop(act(h)) Wᵀ + b        or, with a gate g, drop(act(g) · h) Wᵀ + b

T tokens · F hidden · D width
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .dropout import chances
from .kernels.acting import acted, inclined
from .kernels.exact import use_threads
from .linear import NUMBERS, Linear
from .rounded import learns_narrow

NOTHING = np.zeros(0, np.uint16)
"""No gate."""


def learns(x: Tensor, down: Linear) -> bool:
    """Whether this is how it is done: the products are made in bfloat16, and nothing is between them and the weights."""
    plain = down.change is None and down.packed is None and not down.frozen and down.weight.dtype == torch.float32
    return plain and learns_narrow(x.device)


def down(h: Tensor, gate: Tensor | None, layer: Linear, act: str, rate: float) -> Tensor:
    """h and gate (..., F), before the activation -> (..., D) in bfloat16."""
    seed = int(torch.randint(1 << 32, ())) if rate else 0
    given = (h.bfloat16(), None if gate is None else gate.bfloat16(), layer.weight, layer.bias)
    return _Down.apply(*given, act, rate, seed)  # pyright: ignore[reportReturnType]


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        h, gate, weight, bias, *ctx.way = given
        ctx.save_for_backward(h, gate, weight, bias)
        with torch.autocast("cpu", enabled=False):
            inner, w = between(h, gate, *ctx.way), weight.bfloat16()
            y = inner @ w.T if bias is None else torch.addmm(bias.bfloat16(), inner, w.T)
        return y.view(*h.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor):
        h, gate, weight, bias = ctx.saved_tensors
        dy = slopes[0].bfloat16().reshape(-1, len(weight))
        dw = db = None
        if ctx.needs_input_grad[2]:
            dw = (dy.T @ between(h, gate, *ctx.way)).float()
        if bias is not None and ctx.needs_input_grad[3]:
            db = dy.sum(0).float()
        dh, dgate = (dy @ weight.bfloat16()).contiguous(), None if gate is None else torch.empty_like(gate)
        act, rate, seed = ctx.way
        use_threads(16 * dh.numel())
        inclined(
            bits(h),
            NOTHING if gate is None else bits(gate),
            NUMBERS[act],
            bits(dh),
            NOTHING if dgate is None else bits(dgate),
            *chances(rate, seed),
        )
        return dh.view(h.shape), dgate, dw, db, None, None, None


def between(h: Tensor, gate: Tensor | None, act: str, rate: float, seed: int) -> Tensor:
    """(T, F) what the second product takes."""
    y = torch.empty(h.numel() // h.shape[-1], h.shape[-1], dtype=torch.bfloat16)
    use_threads(16 * y.numel())
    acted(bits(h), NOTHING if gate is None else bits(gate), NUMBERS[act], bits(y), *chances(rate, seed))
    return y


def bits(x: Tensor) -> np.ndarray:
    """Those of bfloat16, (n,)."""
    return x.detach().contiguous().view(-1).view(torch.uint16).numpy()

"""Dropout whose mask is never kept: backward works it out again.   https://jmlr.org/papers/v15/srivastava14a.html

Torch's own draws a random number after another on one thread, a fifth of a small model's step, and keeps a mask of each layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .kernels.dropout import drop, drop_half
from .kernels.exact import use_threads

KERNELS = {torch.float32: drop, torch.bfloat16: drop_half}


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """x (...) with each value zero with probability `rate`, else x / (1 - rate); x itself unless in training."""
    if not training or not rate:
        return x
    if x.device.type != "cpu" or x.dtype not in KERNELS or rate >= 1:
        return F.dropout(x, rate)
    return _Dropout.apply(x, rate, int(torch.randint(1 << 32, ())))  # pyright: ignore[reportReturnType]


def chances(rate: float, seed: int) -> tuple[np.uint32, np.float32, np.uint32]:
    """As the kernels take them: what 32 random bits are below where a value is dropped, what the others are multiplied by, the seed."""
    return np.uint32(rate * (1 << 32)), np.float32(1 / (1 - rate)), np.uint32(seed)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        x, *ctx.chance = given
        return dropped(x, *ctx.chance)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor):
        return dropped(slopes[0], *ctx.chance), None, None


def dropped(x: Tensor, rate: float, seed: int) -> Tensor:
    """x (...) without the values that this seed drops."""
    x = x.detach().contiguous()
    y, bits = torch.empty_like(x), torch.uint16 if x.dtype == torch.bfloat16 else x.dtype
    use_threads(4 * x.numel())
    KERNELS[x.dtype](x.view(-1).view(bits).numpy(), y.view(-1).view(bits).numpy(), *chances(rate, seed))
    return y

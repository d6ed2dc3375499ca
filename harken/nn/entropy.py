"""Cross-entropy over a vocabulary whose logits are never whole: a few rows at a time become logits, nats and gradient.

    Σ_r -(1 - ε) log softmax(x_r Wᵀ + b)[target_r] - ε mean(log softmax(x_r Wᵀ + b))           ε: label smoothing

With V = 50,257 the logits of 4,096 tokens are 824 MB in float32, and several such are alive when torch goes back through them. Here the
gradient of each part is worked out as soon as its logits are there, in their own memory.   R rows · D width · V vocabulary
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .kernels.entropy import entropy, entropy_half
from .kernels.exact import use_threads
from .linear import Linear
from .rounded import rounded

ROWS = 1_024
"""Logits that are there at once: fewer are more passes over W's gradient, which is as large as W."""


def cross_entropy(x: Tensor, layer: Linear, targets: Tensor, *, shift: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """x (R, D), targets (R,) -> summed nats, a scalar in float32, differentiable in x and the layer's weight and bias. `shift`: (1, V) or
    (V,), added to the logits and not learned. Under autocast the products are made in its type, as torch's own would be."""
    half = torch.is_autocast_enabled(x.device.type)
    kind = torch.get_autocast_dtype(x.device.type) if half else x.dtype
    given = (x, layer.weight, layer.bias)
    learns = torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in given)
    return _Summed.apply(*given, layer, targets, shift, smoothing, kind, learns)


class _Summed(torch.autograd.Function):
    """Forward works out the gradient too: backward only hands it on."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        x, weight, bias, layer, targets, shift, smoothing, kind, learns = given
        half = kind == torch.bfloat16 and x.device.type == "cpu"
        with torch.autocast(x.device.type, enabled=False):
            narrow, matrix = x.detach().to(kind), layer.read(kind)
            added = None if bias is None else bias.detach().to(kind)
            dx = torch.empty_like(x) if learns else None
            dw = torch.zeros_like(weight) if learns and weight.requires_grad else None
            db = torch.zeros_like(bias) if learns and bias is not None and bias.requires_grad else None
            total = 0.0
            for first in range(0, len(x), ROWS):
                part = slice(first, first + ROWS)
                some, count = rounded(narrow[part]) if half else narrow[part], len(narrow[part])
                logits = F.linear(some, matrix, added)
                logits = logits if shift is None else logits + shift.to(kind).view(-1)
                total += nats(logits[:count], targets[part], smoothing, learns)
                logits[count:] = 0
                if dx is not None:
                    dx[part] = (logits @ matrix)[:count]
                if dw is not None:
                    dw += logits.T @ some
                if db is not None:
                    db += logits.sum(0, dtype=db.dtype)
        ctx.gradients = dx, dw, db
        return x.new_tensor(total, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *given: Tensor):
        by, gradients = given[0], ctx.gradients
        del ctx.gradients
        if by.item() != 1:
            gradients = tuple(None if each is None else each * by for each in gradients)
        return *gradients, None, None, None, None, None, None


def nats(logits: Tensor, targets: Tensor, smoothing: float, learns: bool) -> float:
    """Summed nats of logits (R, V), which become their gradient where something `learns`."""
    bits = {torch.float32: entropy, torch.bfloat16: entropy_half}.get(logits.dtype)
    if logits.device.type != "cpu" or bits is None or not learns:
        return by_torch(logits, targets, smoothing, learns)
    each = np.empty(len(logits))
    use_threads(8 * logits.numel())
    bits((logits if logits.dtype == torch.float32 else logits.view(torch.uint16)).numpy(), targets.numpy(), smoothing, each)
    return float(each.sum())


def by_torch(logits: Tensor, targets: Tensor, smoothing: float, learns: bool) -> float:
    """The same step by step: the kernels' twin."""
    found = logits.float().log_softmax(-1)
    total = F.nll_loss(found, targets, reduction="sum").double().item() * (1 - smoothing)
    total -= found.double().mean(1).sum().item() * smoothing if smoothing else 0.0
    if learns:
        found = found.exp_().sub_(smoothing / found.shape[1])
        logits.copy_(found.scatter_add_(1, targets[:, None], found.new_full((len(targets), 1), smoothing - 1.0)))
    return total

"""norm(x), and the one place that chooses how: to answer, a kernel whose bits depend on the row; where gradients are needed, torch's, or a
kernel where what reads it learns in bfloat16 on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .kernels.exact import use_threads
from .kernels.norm import BLOCKS, LAYER, RMS, norm, norm_back, norm_learning
from .rounded import learns_narrow

NONE = np.zeros(0, np.float32)
"""No bias, as the kernel takes it."""


def known(part: nn.Module | None) -> bool:
    """Whether the kernel can do what this norm does."""
    return isinstance(part, nn.LayerNorm | nn.RMSNorm) and part.weight is not None


def kind_of(part: nn.Module) -> int:
    """Which norm it is, as the compiled code sees it."""
    return LAYER if isinstance(part, nn.LayerNorm) else RMS


def eps_of(part: nn.LayerNorm | nn.RMSNorm) -> float:
    """What is added below the root."""
    return torch.finfo(torch.float32).eps if part.eps is None else part.eps


def normalise(x: Tensor, part: nn.Module, exact: bool, *, narrow: bool = False) -> Tensor:
    """x (..., D) -> the same shape. `exact`: the model is packed, on a CPU · `narrow`: only products read it, so that it may be bfloat16
    where these are made so."""
    if narrow and known(part) and isinstance(part, nn.LayerNorm | nn.RMSNorm) and x.dtype == torch.float32 and learns_narrow(x.device):
        bias = part.bias if isinstance(part, nn.LayerNorm) else None
        return _Norm.apply(x, part.weight, bias, kind_of(part), eps_of(part))  # pyright: ignore[reportReturnType]
    if not (exact and known(part) and isinstance(part, nn.LayerNorm | nn.RMSNorm) and x.dtype == torch.float32):
        return part(x)
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    y = torch.empty_like(rows)
    bias = part.bias.detach().numpy() if isinstance(part, nn.LayerNorm) and part.bias is not None else NONE
    use_threads(8 * rows.numel())
    norm(rows.numpy(), part.weight.detach().numpy(), bias, kind_of(part), np.float32(eps_of(part)), y.numpy())
    return y.view(x.shape)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        x, weight, bias, kind, eps = given
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        y, ctx.kept, ctx.kind = torch.empty_like(rows, dtype=torch.bfloat16), np.empty((len(rows), 2), np.float32), kind
        use_threads(8 * rows.numel())
        added = NONE if bias is None else bias.detach().numpy()
        norm_learning(rows.numpy(), weight.detach().numpy(), added, kind, np.float32(eps), y.view(torch.uint16).numpy(), ctx.kept)
        ctx.save_for_backward(x, weight)
        return y.view(x.shape)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor):
        x, weight = ctx.saved_tensors
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        dy, dx = slopes[0].to(torch.bfloat16).reshape(rows.shape).contiguous(), torch.empty_like(rows)
        widths = [rows.shape[1] if ctx.needs_input_grad[which] else 0 for which in (1, 2)]
        dweight, dbias = (np.zeros((BLOCKS, width), np.float32) for width in widths)
        use_threads(16 * rows.numel())
        bits = dy.view(torch.uint16).numpy()
        norm_back(rows.detach().numpy(), bits, weight.detach().numpy(), ctx.kind, ctx.kept, dx.numpy(), dweight, dbias)
        learned = (torch.from_numpy(each.sum(0)) if each.shape[1] else None for each in (dweight, dbias))
        return dx.view(x.shape), *learned, None, None

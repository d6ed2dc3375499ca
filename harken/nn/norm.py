"""norm(x), and the one place that chooses how: torch's where gradients are needed, to answer a kernel whose bits depend on the row."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .kernels.exact import use_threads
from .kernels.norm import LAYER, RMS, norm

NONE = np.zeros(0, np.float32)
"""No bias, as the kernel takes it."""


def known(part: nn.Module | None) -> bool:
    """Whether the kernel can do what this norm does."""
    return (isinstance(part, nn.LayerNorm) and part.bias is not None) or (isinstance(part, nn.RMSNorm) and part.weight is not None)


def kind_of(part: nn.Module) -> int:
    """Which norm it is, as the compiled code sees it."""
    return LAYER if isinstance(part, nn.LayerNorm) else RMS


def eps_of(part: nn.LayerNorm | nn.RMSNorm) -> float:
    """What is added below the root."""
    return torch.finfo(torch.float32).eps if part.eps is None else part.eps


def normalise(x: Tensor, part: nn.Module, exact: bool) -> Tensor:
    """x (..., D) -> the same shape. `exact`: the model is packed, on a CPU."""
    if not (exact and known(part) and isinstance(part, nn.LayerNorm | nn.RMSNorm) and x.dtype == torch.float32):
        return part(x)
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    y = torch.empty_like(rows)
    bias = part.bias.detach().numpy() if isinstance(part, nn.LayerNorm) else NONE
    use_threads(8 * rows.numel())
    norm(rows.numpy(), part.weight.detach().numpy(), bias, kind_of(part), np.float32(eps_of(part)), y.numpy())
    return y.view(x.shape)

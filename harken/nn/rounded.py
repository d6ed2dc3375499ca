"""Rows filled up to a number that comes again: torch compiles its bfloat16 products for a CPU anew for every shape, which takes longer than
most of them do, and packed rows have hardly twice the same number of tokens.   T packed tokens · D width
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS = 64
"""Rows come in multiples of it."""


def learns_narrow(device: torch.device) -> bool:
    """Whether products are made in bfloat16 on a CPU, to learn by."""
    half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return half and device.type == "cpu" and torch.is_grad_enabled()


def rounded(x: Tensor) -> Tensor:
    """x (..., T, D) with zeros behind."""
    return F.pad(x, (0, 0, 0, -x.shape[-2] % ROWS))

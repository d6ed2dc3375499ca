"""Where a token stands: learned vectors added to the embedding, or rotations inside attention."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class Learned(nn.Embedding):
    """One learned vector a position.   https://arxiv.org/abs/1706.03762 section 3.5"""

    def __init__(self, length: int, dim: int):
        super().__init__(length, dim)


class Rotary(nn.Module):
    """Rotate each pair (x_i, x_{i + K/2}) by position · theta^(-2i/K).   https://arxiv.org/abs/2104.09864

    Sines and cosines come from one table, so that a token's rotation has the same bits in every batch.
    """

    def __init__(self, width: int, theta: float = 10000.0):
        super().__init__()
        self.width, self.theta = width, theta
        self.register_buffer("table", torch.empty(0, 2, width // 2), persistent=False)

    def reach(self, length: int) -> None:
        """Make the table hold positions 0..length-1; called outside compiled regions."""
        have = self.table.shape[0]
        if have >= length:
            return
        size = max(256, 1 << (length - 1).bit_length())
        frequency = 1.0 / self.theta ** (torch.arange(0, self.width, 2).float() / self.width)  # (K/2,)
        angle = np.arange(size, dtype=np.float32)[:, None] * frequency.numpy()  # (size, K/2), float32 as Hugging Face has it
        self.table = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)], 1)).to(self.table.device)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.table = torch.empty(0, 2, self.width // 2, device=self.table.device)  # made anew in float32 when next reached
        return self

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """x (B, L, H, K), positions (B, L) -> the same shape, rotated."""
        cos, sin = self.table[positions].to(x.dtype)[:, :, None].unbind(-2)  # (B, L, 1, K/2)
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

"""Where a token stands: learned vectors or waves added to the embedding, or rotations inside attention.

    waves     sin(position · f_i), cos(position · f_i),   f_i = 10000^(-2i/D)                   https://arxiv.org/abs/1706.03762
    rotary    x_i + x_{i + K/2} turned by the angle position · f_i,   f_i = theta^(-2i/K)      https://arxiv.org/abs/2104.09864

To read further than was learned, the frequencies f are stretched. Each way is a function of the settings that config.json calls
`rope_scaling`; L is the length learned from, s the factor.   D width · K head width
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .kernels.exact import use_threads
from .kernels.rotate import rotate

Settings = dict[str, Any]


class Learned(nn.Embedding):
    """One learned vector a position, behind `offset` rows that are never looked up.   https://arxiv.org/abs/1706.03762 section 3.5"""

    def __init__(self, length: int, dim: int, *, offset: int = 0):
        super().__init__(length + offset, dim)
        self.offset = offset

    def forward(self, positions: Tensor) -> Tensor:
        return super().forward(positions + self.offset)


def waves(length: int, dim: int, *, halves: bool = False) -> np.ndarray:
    """(length, D) float64: sines and cosines in turn, https://arxiv.org/abs/1706.03762 section 3.5, or all sines first (`halves`)."""
    angle = np.arange(length)[:, None] / 10000 ** (np.arange(dim) // 2 * 2 / dim)  # (length, D)
    found = np.where(np.arange(dim) % 2, np.cos(angle), np.sin(angle))
    return np.concatenate([found[:, ::2], found[:, 1::2]], 1) if halves else found


class Sinusoidal(nn.Module):
    """One fixed vector a position, made of waves from 2π to 10000 · 2π long; nothing is learned, and nothing is stored on disk."""

    table: Tensor

    def __init__(self, length: int, dim: int, *, halves: bool = False):
        super().__init__()
        self.register_buffer("table", torch.from_numpy(waves(length, dim, halves=halves)).float(), persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """positions (B, L) -> (B, L, D)"""
        return self.table[positions]


def plain(width: int, theta: float | Tensor) -> Tensor:
    """theta^(-2i/K), i = 0 .. K/2 - 1, in float32 step by step as Hugging Face has it."""
    return 1.0 / theta ** (torch.arange(0, width, 2).float() / width)


def linear(width: int, rope: Settings, places: Tensor) -> tuple[Tensor, float]:
    """Position interpolation, f / s.   https://arxiv.org/abs/2306.15595"""
    return plain(width, rope["rope_theta"]) / rope["factor"], 1.0


def dynamic(width: int, rope: Settings, places: Tensor) -> tuple[Tensor, float]:
    """A larger theta for what lies beyond L, as much as its position asks for: theta (s n/L - (s - 1))^(K/(K-2)) at position n - 1.

    https://arxiv.org/abs/2309.00071 section 3.3. The same answer in portions as at once, which one theta for each length would not give.
    """
    length, factor = rope["original_max_position_embeddings"], rope["factor"]
    stretch = factor * (places + 1).clamp(min=length) / length - (factor - 1)  # 1 within L
    return plain(width, rope["rope_theta"] * stretch ** (width / max(width - 2, 1))), 1.0


def yarn(width: int, rope: Settings, places: Tensor) -> tuple[Tensor, float]:
    """Slow frequencies are interpolated, fast ones kept, with a ramp between them; sharper attention.   https://arxiv.org/abs/2309.00071"""
    theta, factor, length = rope["rope_theta"], rope["factor"], rope["original_max_position_embeddings"]

    def turning(rotations: float) -> float:
        """The index of the pair that turns so often within L."""
        return width * math.log(length / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = turning(rope.get("beta_fast") or 32), turning(rope.get("beta_slow") or 1)
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    ramp = ((torch.arange(width // 2).float() - low) / (high - low or 0.001)).clamp(0, 1)  # 0: kept, 1: interpolated
    frequencies = plain(width, theta)
    return frequencies / factor * ramp + frequencies * (1 - ramp), _sharpness(rope)


def _sharpness(rope: Settings) -> float:
    """YaRN's scale of q and k: sqrt of 1/t, 0.1 ln(s) + 1, unless the settings name their own."""
    if rope.get("attention_factor") is not None:
        return rope["attention_factor"]
    one, all_dims = rope.get("mscale"), rope.get("mscale_all_dim")
    grown = 0.1 * math.log(max(rope["factor"], 1))
    return (grown * one + 1) / (grown * all_dims + 1) if one and all_dims else grown + 1


def llama3(width: int, rope: Settings, places: Tensor) -> tuple[Tensor, float]:
    """f / s for wavelengths longer than L / low, f for those shorter than L / high, smooth between.   https://arxiv.org/abs/2407.21783"""
    frequencies, length = plain(width, rope["rope_theta"]), rope["original_max_position_embeddings"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    kept = ((length * frequencies / (2 * math.pi) - low) / (high - low)).clamp(0, 1)
    return (1 - kept) * frequencies / rope["factor"] + kept * frequencies, 1.0


def default(width: int, rope: Settings, places: Tensor) -> tuple[Tensor, float]:
    """As in the paper."""
    return plain(width, rope["rope_theta"]), 1.0


SCALINGS: dict[str, Callable[[int, Settings, Tensor], tuple[Tensor, float]]] = {
    "default": default,
    "linear": linear,
    "dynamic": dynamic,
    "yarn": yarn,
    "llama3": llama3,
}
"""rope_type -> (width, settings, positions (P, 1)) -> (frequencies (K/2,) or (P, K/2), scale of cosines and sines)."""


SHORTEST = 256
"""Positions that every table of rotations holds, so that short texts find it made."""


class Rotary(nn.Module):
    """Rotate each pair (x_i, x_{i + K/2}) by its angle. `rope`: rope_type, rope_theta and what that type needs.

    Sines and cosines come from one table, so that a token's rotation has the same bits in every batch.
    """

    def __init__(self, width: int, rope: Settings | None = None):
        super().__init__()
        self.width = width
        self.rope = {"rope_type": "default", "rope_theta": 10000.0} | (rope or {})
        self.register_buffer("table", torch.empty(0, 2, width // 2), persistent=False)
        self.reach(SHORTEST)

    def reach(self, length: int) -> None:
        """Make the table hold positions 0..length-1; called outside compiled regions."""
        if self.table.shape[0] >= length:
            return
        places = torch.arange(max(SHORTEST, 1 << (length - 1).bit_length())).float()[:, None]
        frequencies, scale = SCALINGS[self.rope["rope_type"]](self.width, self.rope, places)
        angle = places.numpy() * frequencies.numpy()  # (P, K/2), float32 as Hugging Face has it
        self.table = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)], 1) * np.float32(scale)).to(self.table.device)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.table = torch.empty(0, 2, self.width // 2, device=self.table.device)
        self.reach(SHORTEST)  # anew: it stays in float32
        return self

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """x (B, L, H, K), positions (B, L) -> the same shape, rotated."""
        if x.dtype == torch.bfloat16 and x.device.type == "cpu" and torch.is_grad_enabled() and x.requires_grad:
            return _Rotate.apply(x, self.table, positions)  # pyright: ignore[reportReturnType]
        cos, sin = self.table[positions].to(x.dtype)[:, :, None].unbind(-2)  # (B, L, 1, K/2)
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        x, ctx.table, positions = given
        ctx.places = positions.reshape(-1)
        return rotated(x, ctx.table, ctx.places, 1)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor):
        return rotated(slopes[0], ctx.table, ctx.places, -1), None, None


def rotated(x: Tensor, table: Tensor, places: Tensor, way: int) -> Tensor:
    """x (B, L, H, K) bfloat16 at places (B · L,), or (L,) in every row -> the same shape, turned forth (1) or back (-1)."""
    b, length, heads, width = x.shape
    side_by_side = x.stride(3) == 1 and x.stride(2) == width and x.stride(0) == length * x.stride(1)
    x = x.detach() if side_by_side else x.detach().contiguous()
    y = torch.empty(b, length, heads, width, dtype=x.dtype)
    use_threads(4 * x.numel())
    rotate(x.data_ptr(), x.stride(1) * 2, (b * length, heads, width), table.numpy(), places.numpy(), way, y.data_ptr())
    return y

"""Weights as they are held to answer: float32, or narrower, so that there is less to read; `kernels/narrow.py` says what the bits mean.

    kind       bits a weight     held where
    float32    32                matrices of fewer than 32 inputs, whatever was asked for
    bfloat16   16
    int8        8.5              also token tables and heads of an int4 model: they see every error directly
    int4        5

What float32 weights multiply is float32; what narrow ones do is made as narrow first, a row by itself, int8 for int4 too (`twin`).
N outputs · K inputs · B blocks of 64 outputs
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .kernels import exact, product, quantise
from .kernels.dots import TINY
from .kernels.narrow import GROUP, LANES
from .kernels.product import BYTE, HALF, NIBBLE, WHOLE
from .pages import room

KINDS = ("float32", "bfloat16", "int8", "int4")
"""From the widest to the narrowest."""
DIRECT = re.compile(r"(^|\.)(embed\.tokens|head(\..*)?)$")
"""Names of layers that int4 leaves at int8."""


def kind_of(name: str, inputs: int, kind: str) -> str:
    """How a layer of a model that is held as `kind` is held itself."""
    if kind == "int4" and (DIRECT.search(name) or inputs % 2):
        kind = "int8"
    return "float32" if kind in ("int8", "int4") and inputs < GROUP else kind


class Held(Protocol):
    """A weight in the layout of its kernel."""

    def place(self) -> tuple[int, int, int, int]:
        """How it is held, as the kernels number it, and the addresses of its arrays, 0 for those it does not have."""
        ...

    def lines(self, ids: Tensor) -> np.ndarray:
        """ids (...) -> (..., K or more): rows of the weight as they were before, and columns of nothing."""
        ...


@dataclass
class Whole:
    """float32: `w` (B, K, 64)."""

    w: np.ndarray

    def place(self) -> tuple[int, int, int, int]:
        return WHOLE, self.w.ctypes.data, 0, 0

    def lines(self, ids: Tensor) -> np.ndarray:
        return _lines(self.w, ids)


@dataclass
class Half:
    """bfloat16: `w` (B, K' / 2, 64) uint32 of two inputs each, K' the next multiple of 32."""

    w: np.ndarray

    def place(self) -> tuple[int, int, int, int]:
        return HALF, self.w.ctypes.data, 0, 0

    def lines(self, ids: Tensor) -> np.ndarray:
        return widened(_lines(self.w, ids).view(np.uint16))


@dataclass
class Bytes:
    """int8: `w` (B, K' / 4, 64) uint32 of four inputs each, 128 too high, `scales` (B, K' / 32, 64) bits of bfloat16."""

    w: np.ndarray
    scales: np.ndarray

    def table(self) -> dict[str, np.ndarray]:
        return {"codes": self.codes(_rows(self.w)), "scales": _rows(self.scales)}

    def place(self) -> tuple[int, int, int, int]:
        return BYTE, self.w.ctypes.data, self.scales.ctypes.data, 0

    def lines(self, ids: Tensor) -> np.ndarray:
        return decode(self.codes(_lines(self.w, ids)), _lines(self.scales, ids))

    @staticmethod
    def codes(words: np.ndarray) -> np.ndarray:
        """(..., K' / 4) -> (..., K') int8."""
        return (words.view(np.uint8) ^ 128).view(np.int8)


@dataclass
class Nibbles:
    """int4: `w` (B, K' / 8, 64) uint32 of eight inputs each, `scales` and `lows` (B, K' / 32, 64) bits of bfloat16."""

    w: np.ndarray
    scales: np.ndarray
    lows: np.ndarray

    def table(self) -> dict[str, np.ndarray]:
        codes = self.codes(_rows(self.w))
        return {"codes": codes[:, ::2] | codes[:, 1::2] << 4, "scales": _rows(self.scales), "lows": _rows(self.lows)}

    def place(self) -> tuple[int, int, int, int]:
        return NIBBLE, self.w.ctypes.data, self.scales.ctypes.data, self.lows.ctypes.data

    def lines(self, ids: Tensor) -> np.ndarray:
        return scaled(self.codes(_lines(self.w, ids)), _lines(self.scales, ids), _lines(self.lows, ids))

    @staticmethod
    def codes(words: np.ndarray) -> np.ndarray:
        """(..., K' / 8) -> (..., K') uint8, 0 to 15."""
        found = words[..., None].view(np.uint8)  # (..., K' / 8, 4)
        return np.concatenate([found & 15, found >> 4], -1).reshape(*words.shape[:-1], -1)


def hold(weight: Tensor, kind: str) -> Held:
    """weight (N, K) float32 or bfloat16, on a CPU -> as `kind` holds it."""
    if kind == "bfloat16":
        halves = weight.detach().bfloat16()
        halves = F.pad(halves, (0, -halves.shape[1] % GROUP)).contiguous()
        return Half(product.pack(halves.view(torch.uint16).numpy().view(np.uint32)))
    values = weight.detach().float().numpy()
    if kind == "float32":  # straight from where they lie, in a file perhaps, and in either orientation
        return Whole(product.pack(values))
    values = np.ascontiguousarray(values)
    blocks, groups = -(-values.shape[0] // LANES), -(-values.shape[1] // GROUP)
    scales = room((blocks, groups, LANES), np.uint16)
    exact.use_threads(values.size)
    if kind == "int8":
        codes = room((blocks, groups * GROUP // 4, LANES, 4), np.uint8)
        quantise.to_bytes(values, codes, scales)
        return Bytes(codes.view(np.uint32)[..., 0], scales)
    codes, lows = room((blocks, groups * GROUP // 8, LANES, 4), np.uint8), room(scales.shape, np.uint16)
    quantise.to_nibbles(values, codes, scales, lows)
    return Nibbles(codes.view(np.uint32)[..., 0], scales, lows)


def values(held: Held, n: int, k: int) -> Tensor:
    """(N, K) float32 of a held weight: what it multiplies with."""
    if isinstance(held, Whole):
        return torch.from_numpy(product.unpack(held.w, n))
    out = np.empty((n, k), np.float32)
    for first in range(0, n, LANES):  # block by block: no second copy of a large weight
        ids = torch.arange(first, min(first + LANES, n))
        out[first : first + LANES] = held.lines(ids)[:, :k]
    return torch.from_numpy(out)


def decode(codes: np.ndarray, scales: np.ndarray, lows: np.ndarray | None = None) -> np.ndarray:
    """Rows as files have them, codes (..., K) int8, or (..., K / 2) of two each, scales and lows (..., K' / 32) -> (..., K) float32."""
    if lows is not None:
        codes = np.stack([codes & 15, codes >> 4], -1).reshape(*codes.shape[:-1], -1)
    return scaled(codes, scales, lows)


def scaled(codes: np.ndarray, scales: np.ndarray, lows: np.ndarray | None = None) -> np.ndarray:
    """codes (..., K) -> (..., K) float32."""
    found = codes.astype(np.float32)
    found *= widened(scales).repeat(GROUP, -1)[..., : codes.shape[-1]]
    return found if lows is None else found + widened(lows).repeat(GROUP, -1)[..., : codes.shape[-1]]


def widened(bits: np.ndarray) -> np.ndarray:
    """Bits of bfloat16 -> float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _rows(blocks: np.ndarray) -> np.ndarray:
    """(B, columns, 64) -> (B · 64, columns)."""
    return np.ascontiguousarray(blocks.transpose(0, 2, 1)).reshape(-1, blocks.shape[1])


def _lines(blocks: np.ndarray, ids: Tensor) -> np.ndarray:
    """(B, columns, 64), ids (...) -> (..., columns)."""
    at: Any = ids.numpy()
    return np.ascontiguousarray(blocks[at // LANES, :, at % LANES])


def twin(x: np.ndarray, held: Held, n: int) -> np.ndarray:
    """x (R, K) -> (R, N) = x Wᵀ as the kernels have it, in numpy: the same bits for int8 and int4; of bfloat16 almost."""
    rows = np.pad(x, ((0, 0), (0, -x.shape[1] % GROUP))).reshape(len(x), 1, -1, GROUP)  # (R, 1, groups, 32)
    if isinstance(held, Whole | Half):
        given = x if isinstance(held, Whole) else torch.from_numpy(x).bfloat16().float().numpy()
        return given @ values(held, n, x.shape[1]).numpy().T
    assert isinstance(held, Bytes | Nibbles)
    codes = held.codes(_rows(held.w))[:n].reshape(1, n, -1, GROUP).astype(np.int32)
    most = np.abs(rows).max(-1, keepdims=True)
    by = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > TINY)
    whole = np.rint(rows * by).astype(np.int32)
    size, scale = most[..., 0] / np.float32(127), widened(_rows(held.scales)[:n])
    sums = np.einsum("rngi,rngi->rng", codes, whole).astype(np.float32) * scale
    lifts = whole.sum(-1).astype(np.float32) * size
    found = np.zeros(sums.shape[:2], np.float32)
    for group in range(sums.shape[2]):  # fused: rounded once, which float64 does but for ties
        found = (sums[..., group].astype(float) * size[..., group] + found).astype(np.float32)
        if isinstance(held, Nibbles):
            found = (widened(_rows(held.lows)[:n])[:, group].astype(float) * lifts[..., group] + found).astype(np.float32)
    return found

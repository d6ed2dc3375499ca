"""y = act(x Wᵀ + b) with the same bits at every number of rows, threads and tiles.

Weights are packed (N / 64, K, 64): the vector lanes are *outputs*, so each output's sum runs over k in order whatever the
row tile. Four, two or one row share each load of W. Twin: `torch.nn.functional.linear`.  N outputs · K inputs · R rows
"""

from __future__ import annotations

import numpy as np
from numba import prange

# with exact.py 74c28968: Numba recompiles when this file changes, not when that one does
from .exact import NONE, activate, parallel

LANES = 64


def pack(weight: np.ndarray) -> np.ndarray:
    """(N, K) -> (ceil(N / 64), K, 64) of the same type, zeros in the lanes beyond N."""
    n, k = weight.shape
    blocks = -(-n // LANES)
    out = np.zeros((blocks, k, LANES), weight.dtype)
    for block in range(blocks):  # block by block: no second copy of a large weight
        rows = weight[block * LANES : (block + 1) * LANES]
        out[block, :, : rows.shape[0]] = rows.T
    return out


def unpack(packed: np.ndarray, n: int) -> np.ndarray:
    """The inverse of `pack`: the first `n` rows of the weight."""
    blocks, k, lanes = packed.shape
    return np.ascontiguousarray(packed.transpose(0, 2, 1).reshape(blocks * lanes, k)[:n])


@parallel
def product(w, x, bias, act, y):
    """w packed, x (R, K) contiguous, bias (blocks · 64,), act: number of an activation, y (R, N) is written."""
    count, inner, wide = x.shape[0], w.shape[1], y.shape[1]
    for block in prange(w.shape[0]):
        first = block * LANES
        lanes = min(LANES, wide - first)
        r = 0
        while r + 4 <= count:
            acc = np.zeros((4, LANES), np.float32)
            for k in range(inner):
                for lane in range(LANES):
                    value = w[block, k, lane]
                    acc[0, lane] += value * x[r, k]
                    acc[1, lane] += value * x[r + 1, k]
                    acc[2, lane] += value * x[r + 2, k]
                    acc[3, lane] += value * x[r + 3, k]
            for row in range(4):
                for lane in range(lanes):
                    y[r + row, first + lane] = acc[row, lane] + bias[first + lane]
            r += 4
        while r + 2 <= count:
            acc2 = np.zeros((2, LANES), np.float32)
            for k in range(inner):
                for lane in range(LANES):
                    value = w[block, k, lane]
                    acc2[0, lane] += value * x[r, k]
                    acc2[1, lane] += value * x[r + 1, k]
            for row in range(2):
                for lane in range(lanes):
                    y[r + row, first + lane] = acc2[row, lane] + bias[first + lane]
            r += 2
        while r < count:
            acc1 = np.zeros(LANES, np.float32)
            for k in range(inner):
                for lane in range(LANES):
                    acc1[lane] += w[block, k, lane] * x[r, k]
            for lane in range(lanes):
                y[r, first + lane] = acc1[lane] + bias[first + lane]
            r += 1
        if act != NONE:
            activate(y, first, first + lanes, act)

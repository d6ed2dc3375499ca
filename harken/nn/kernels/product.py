"""y = act(x Wᵀ + b) with the same bits at every number of rows, threads and tiles, whatever W is held as.

Weights are packed (N / 64, K, 64): the vector lanes are *outputs*, so each output's sum runs over k in order whatever the
row tile. Four rows share each load of W. Twin: `torch.nn.functional.linear`.  N outputs · K inputs · R rows
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

# with exact.py f1a79445, machine.py 3728b55e, narrow.py d8db18ce: Numba recompiles when this file changes, not when those do
from .exact import NONE, activate, f32, kernel, parallel
from .machine import bytes_, chars, floats, four_rows, halves
from .narrow import (
    GROUP,
    LANES,
    four_byte,
    four_half,
    four_nibble,
    one_byte,
    one_half,
    one_nibble,
    widen_byte,
    widen_half,
    widen_nibble,
)

WHOLE, HALF, BYTE, NIBBLE = range(4)
"""How weights are held, as the compiled code sees it."""
KIND, CODES, SCALES, LOWS, BIAS, OUTPUTS, MATRIX = range(7)
"""Where a matrix of a model, six int64, says how it is held, where its arrays lie and how many outputs it has."""
PANEL = 128
"""Inputs that are widened at once: 32 KB of weights, which stay in the nearest cache."""
MANY = 32
"""Rows from which on it pays to widen int4 once for all; for the others, which widen faster, it takes four times as many (measured)."""
SLAB = 256
"""Rows that share a panel."""


def pack(weight: np.ndarray) -> np.ndarray:
    """(N, K) -> (ceil(N / 64), K, 64) of the same type, zeros in the lanes beyond N."""
    n, k = weight.shape
    whole = n // LANES
    out = np.empty((-(-n // LANES), k, LANES), weight.dtype)
    np.copyto(out[:whole], weight[: whole * LANES].reshape(whole, LANES, k).transpose(0, 2, 1))
    if n % LANES:
        out[whole, :, : n % LANES] = weight[whole * LANES :].T
        out[whole, :, n % LANES :] = 0
    return out


def unpack(packed: np.ndarray, n: int) -> np.ndarray:
    """The inverse of `pack`: the first `n` rows of the weight."""
    blocks, k, lanes = packed.shape
    return np.ascontiguousarray(packed.transpose(0, 2, 1).reshape(blocks * lanes, k)[:n])


@kernel
def one_whole(w, x, out):
    """w (K, 64), x (K,) -> out (64,)"""
    acc = numba.carray(four_rows(), (4, LANES))
    for lane in range(LANES):
        acc[0, lane] = f32(0.0)
    for k in range(x.shape[0]):
        value = x[k]
        for lane in range(LANES):
            acc[0, lane] += w[k, lane] * value
    for lane in range(LANES):
        out[lane] = acc[0, lane]


@kernel
def advance(w, x, first, out):
    """out (R, 64) += x (R, first : first + k) w (k, 64), four rows at a time."""
    acc = numba.carray(four_rows(), (4, LANES))
    whole = out.shape[0] - out.shape[0] % 4
    for r in range(0, whole, 4):
        for row in range(4):
            for lane in range(LANES):
                acc[row, lane] = out[r + row, lane]
        for k in range(w.shape[0]):
            x0, x1, x2, x3 = x[r, first + k], x[r + 1, first + k], x[r + 2, first + k], x[r + 3, first + k]
            for lane in range(LANES):
                value = w[k, lane]
                acc[0, lane] += value * x0
                acc[1, lane] += value * x1
                acc[2, lane] += value * x2
                acc[3, lane] += value * x3
        for row in range(4):
            for lane in range(LANES):
                out[r + row, lane] = acc[row, lane]
    for r in range(whole, out.shape[0]):
        for lane in range(LANES):
            acc[0, lane] = out[r, lane]
        for k in range(w.shape[0]):
            x0 = x[r, first + k]
            for lane in range(LANES):
                acc[0, lane] += w[k, lane] * x0
        for lane in range(LANES):
            out[r, lane] = acc[0, lane]


@kernel
def block_of(matrix, block, x, out, panel):
    """x (R, K) -> out (R, 64) = x Wᵀ + b of one block of outputs. Few rows widen weights as they are read; many rows share weights that
    were widened once, into the panel."""
    count, inner, kind, codes = x.shape[0], x.shape[1], matrix[KIND], matrix[CODES]
    groups = (inner + GROUP - 1) // GROUP
    padded = inner if kind <= HALF else groups * GROUP
    whole = numba.carray(floats(codes + block * inner * LANES * 4), (inner, LANES))
    half = numba.carray(halves(codes + block * inner * LANES * 2), (inner, LANES))
    quarter = numba.carray(chars(codes + block * padded * LANES), (padded, LANES))
    eighth = numba.carray(bytes_(codes + block * padded // 2 * LANES), (padded // 2, LANES))
    scales = numba.carray(halves(matrix[SCALES] + block * groups * LANES * 2), (groups, LANES))
    lows = numba.carray(halves(matrix[LOWS] + block * groups * LANES * 2), (groups, LANES))
    if kind == WHOLE and count > 1:
        out[:, :] = f32(0.0)
        advance(whole, x, 0, out)
    elif count >= (MANY if kind == NIBBLE else 4 * MANY):
        out[:, :] = f32(0.0)
        for first in range(0, inner, PANEL):
            part = panel[: min(PANEL, inner - first)]
            if kind == HALF:
                widen_half(half, first, part)
            elif kind == BYTE:
                widen_byte(quarter, scales, first, part)
            else:
                widen_nibble(eighth, scales, lows, first, part)
            advance(part, x, first, out)
    else:
        fours = count - count % 4
        for r in range(0, fours, 4):
            if kind == HALF:
                four_half(half, x[r : r + 4], out[r : r + 4])
            elif kind == BYTE:
                four_byte(quarter, scales, x[r : r + 4], out[r : r + 4])
            else:
                four_nibble(eighth, scales, lows, x[r : r + 4], out[r : r + 4])
        for r in range(fours, count):
            if kind == WHOLE:
                one_whole(whole, x[r], out[r])
            elif kind == HALF:
                one_half(half, x[r], out[r])
            elif kind == BYTE:
                one_byte(quarter, scales, x[r], out[r])
            else:
                one_nibble(eighth, scales, lows, x[r], out[r])
    bias = numba.carray(floats(matrix[BIAS] + block * LANES * 4), (LANES,))
    for r in range(count):
        for lane in range(LANES):
            out[r, lane] += bias[lane]


@parallel
def product(matrix, x, act, y):
    """matrix (6,): see above, x (R, K) contiguous, act: number of an activation, y (R, N) is written."""
    count, outputs = x.shape[0], matrix[OUTPUTS]
    for block in prange((outputs + LANES - 1) // LANES):
        first = block * LANES
        lanes = min(LANES, outputs - first)
        part, panel = np.empty((min(count, SLAB), LANES), np.float32), np.empty((PANEL if count > 1 else 1, LANES), np.float32)
        for r in range(0, count, SLAB):
            rows = min(SLAB, count - r)
            block_of(matrix, block, x[r : r + rows], part[:rows], panel)
            if act != NONE:
                activate(part[:rows], 0, LANES, act)
            for row in range(rows):
                for lane in range(lanes):
                    y[r + row, first + lane] = part[row, lane]

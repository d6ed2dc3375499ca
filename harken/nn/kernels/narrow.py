"""y = act(x Wᵀ + b) with weights of 16, 8 or 4 bits: each becomes the float32 it stands for in a register, and is multiplied as such.

    bfloat16   w = the upper half of a float32
    int8       w = q · scale,          q from -127 to 127     scale and low, both bfloat16, are those of GROUP inputs of one output
    int4       w = q · scale + low,    q from 0 to 15, two inputs to a byte, the earlier in its lower half

q · scale is exact in float32, so a product has the very bits of `product.product` with the weights as they are given back: that is the
twin. What is read from memory is less, and reading is what a single row waits for.  R rows · K inputs, a multiple of GROUP
"""

from __future__ import annotations

import numpy as np
from numba import prange

# with exact.py 74c28968: Numba recompiles when this file changes, not when that one does
from .exact import NONE, activate, f32, parallel, widened

LANES, GROUP = 64, 32
i32 = np.int32


@parallel
def product_half(w, x, bias, act, y):
    """w (blocks, K, 64) bits of bfloat16; K need not be a multiple of anything."""
    count, inner, outputs = x.shape[0], w.shape[1], y.shape[1]
    for block in prange(w.shape[0]):
        first = block * LANES
        lanes = min(LANES, outputs - first)
        r = 0
        while r + 4 <= count:
            acc = np.zeros((4, LANES), np.float32)
            for k in range(inner):
                for lane in range(LANES):
                    value = widened(w[block, k, lane])
                    acc[0, lane] += value * x[r, k]
                    acc[1, lane] += value * x[r + 1, k]
                    acc[2, lane] += value * x[r + 2, k]
                    acc[3, lane] += value * x[r + 3, k]
            for row in range(4):
                for lane in range(lanes):
                    y[r + row, first + lane] = acc[row, lane] + bias[first + lane]
            r += 4
        while r < count:
            acc1 = np.zeros(LANES, np.float32)
            for k in range(inner):
                for lane in range(LANES):
                    acc1[lane] += widened(w[block, k, lane]) * x[r, k]
            for lane in range(lanes):
                y[r, first + lane] = acc1[lane] + bias[first + lane]
            r += 1
        if act != NONE:
            activate(y, first, first + lanes, act)


@parallel
def product_byte(w, scales, x, bias, act, y):
    """w (blocks, K, 64) int8, scales (blocks, K / GROUP, 64) bits of bfloat16."""
    count, groups, outputs = x.shape[0], scales.shape[1], y.shape[1]
    for block in prange(w.shape[0]):
        first = block * LANES
        lanes = min(LANES, outputs - first)
        scale, r = np.empty(LANES, np.float32), 0
        while r + 4 <= count:
            acc = np.zeros((4, LANES), np.float32)
            for group in range(groups):
                for lane in range(LANES):
                    scale[lane] = widened(scales[block, group, lane])
                for k in range(group * GROUP, group * GROUP + GROUP):
                    for lane in range(LANES):
                        value = f32(w[block, k, lane]) * scale[lane]
                        acc[0, lane] += value * x[r, k]
                        acc[1, lane] += value * x[r + 1, k]
                        acc[2, lane] += value * x[r + 2, k]
                        acc[3, lane] += value * x[r + 3, k]
            for row in range(4):
                for lane in range(lanes):
                    y[r + row, first + lane] = acc[row, lane] + bias[first + lane]
            r += 4
        while r < count:
            acc1 = np.zeros(LANES, np.float32)
            for group in range(groups):
                for lane in range(LANES):
                    scale[lane] = widened(scales[block, group, lane])
                for k in range(group * GROUP, group * GROUP + GROUP):
                    for lane in range(LANES):
                        acc1[lane] += f32(w[block, k, lane]) * scale[lane] * x[r, k]
            for lane in range(lanes):
                y[r, first + lane] = acc1[lane] + bias[first + lane]
            r += 1
        if act != NONE:
            activate(y, first, first + lanes, act)


@parallel
def product_nibble(w, scales, lows, x, bias, act, y):
    """w (blocks, K / 2, 64) uint8, scales and lows (blocks, K / GROUP, 64) bits of bfloat16."""
    count, groups, outputs = x.shape[0], scales.shape[1], y.shape[1]
    for block in prange(w.shape[0]):
        first = block * LANES
        lanes = min(LANES, outputs - first)
        scale, low, r = np.empty(LANES, np.float32), np.empty(LANES, np.float32), 0
        while r + 4 <= count:
            acc = np.zeros((4, LANES), np.float32)
            for group in range(groups):
                for lane in range(LANES):
                    scale[lane], low[lane] = widened(scales[block, group, lane]), widened(lows[block, group, lane])
                for j in range(group * GROUP // 2, (group + 1) * GROUP // 2):
                    for lane in range(LANES):
                        pair = i32(w[block, j, lane])
                        one = f32(i32(pair & i32(15))) * scale[lane] + low[lane]
                        two = f32(i32(pair >> i32(4))) * scale[lane] + low[lane]
                        acc[0, lane] = acc[0, lane] + one * x[r, 2 * j] + two * x[r, 2 * j + 1]
                        acc[1, lane] = acc[1, lane] + one * x[r + 1, 2 * j] + two * x[r + 1, 2 * j + 1]
                        acc[2, lane] = acc[2, lane] + one * x[r + 2, 2 * j] + two * x[r + 2, 2 * j + 1]
                        acc[3, lane] = acc[3, lane] + one * x[r + 3, 2 * j] + two * x[r + 3, 2 * j + 1]
            for row in range(4):
                for lane in range(lanes):
                    y[r + row, first + lane] = acc[row, lane] + bias[first + lane]
            r += 4
        while r < count:
            acc1 = np.zeros(LANES, np.float32)
            for group in range(groups):
                for lane in range(LANES):
                    scale[lane], low[lane] = widened(scales[block, group, lane]), widened(lows[block, group, lane])
                for j in range(group * GROUP // 2, (group + 1) * GROUP // 2):
                    for lane in range(LANES):
                        pair = i32(w[block, j, lane])
                        one = f32(i32(pair & i32(15))) * scale[lane] + low[lane]
                        two = f32(i32(pair >> i32(4))) * scale[lane] + low[lane]
                        acc1[lane] = acc1[lane] + one * x[r, 2 * j] + two * x[r, 2 * j + 1]
            for lane in range(lanes):
                y[r, first + lane] = acc1[lane] + bias[first + lane]
            r += 1
        if act != NONE:
            activate(y, first, first + lanes, act)

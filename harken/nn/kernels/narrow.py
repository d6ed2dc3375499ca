"""Weights of 16, 8 or 4 bits: each becomes the float32 it stands for, and is multiplied as such.

    bfloat16   w = the upper half of a float32
    int8       w = q · scale,          q from -127 to 127     scale and low, both bfloat16, are those of GROUP inputs of one output
    int4       w = q · scale + low,    q from 0 to 15, two inputs to a byte, the earlier in its lower half

q · scale is exact in float32, so a product has the very bits of the float32 product with the weights as they are given back: that is the
twin. What is read from memory is less, and reading is what few rows wait for: `one_*` and `four_*` widen in registers. Many rows share what
`widen_*` puts into a panel, small enough to stay in the nearest cache.   K inputs · all arrays are those of one block of 64 outputs
"""

from __future__ import annotations

import numba
import numpy as np

# with exact.py f1a79445, machine.py 3728b55e: Numba recompiles when this file changes, not when those do
from .exact import f32, kernel, widened
from .machine import four_rows

LANES, GROUP = 64, 32
i32 = np.int32


@kernel
def one_half(w, x, out):
    """w (K, 64) bits of bfloat16, x (K,) -> out (64,)"""
    acc = numba.carray(four_rows(), (4, LANES))
    for lane in range(LANES):
        acc[0, lane] = f32(0.0)
    for k in range(x.shape[0]):
        value = x[k]
        for lane in range(LANES):
            acc[0, lane] += widened(w[k, lane]) * value
    for lane in range(LANES):
        out[lane] = acc[0, lane]


@kernel
def one_byte(w, scales, x, out):
    """w (K, 64) int8, scales (K / GROUP, 64) bits of bfloat16, x (K,) -> out (64,)"""
    acc = numba.carray(four_rows(), (4, LANES))  # the second row: scales
    for lane in range(LANES):
        acc[0, lane] = f32(0.0)
    for group in range((x.shape[0] + GROUP - 1) // GROUP):
        for lane in range(LANES):
            acc[1, lane] = widened(scales[group, lane])
        for k in range(group * GROUP, min(group * GROUP + GROUP, x.shape[0])):
            value = x[k]
            for lane in range(LANES):
                acc[0, lane] += f32(w[k, lane]) * acc[1, lane] * value
    for lane in range(LANES):
        out[lane] = acc[0, lane]


@kernel
def one_nibble(w, scales, lows, x, out):
    """w (K / 2, 64) uint8, scales and lows (K / GROUP, 64) bits of bfloat16, x (K,) -> out (64,)"""
    acc = numba.carray(four_rows(), (4, LANES))  # the second row: scales, the third: lows
    for lane in range(LANES):
        acc[0, lane] = f32(0.0)
    for group in range((x.shape[0] + GROUP - 1) // GROUP):
        for lane in range(LANES):
            acc[1, lane], acc[2, lane] = widened(scales[group, lane]), widened(lows[group, lane])
        for j in range(group * GROUP // 2, min((group + 1) * GROUP, x.shape[0]) // 2):
            x1, x2 = x[2 * j], x[2 * j + 1]
            for lane in range(LANES):
                pair = i32(w[j, lane])
                one = f32(i32(pair & i32(15))) * acc[1, lane] + acc[2, lane]
                two = f32(i32(pair >> i32(4))) * acc[1, lane] + acc[2, lane]
                acc[0, lane] = acc[0, lane] + one * x1 + two * x2
    for lane in range(LANES):
        out[lane] = acc[0, lane]


@kernel
def four_half(w, x, out):
    """Four rows x (4, K) -> out (4, 64) that share each weight as it is widened."""
    acc = numba.carray(four_rows(), (4, LANES))
    for row in range(4):
        for lane in range(LANES):
            acc[row, lane] = f32(0.0)
    for k in range(x.shape[1]):
        x0, x1, x2, x3 = x[0, k], x[1, k], x[2, k], x[3, k]
        for lane in range(LANES):
            value = widened(w[k, lane])
            acc[0, lane] += value * x0
            acc[1, lane] += value * x1
            acc[2, lane] += value * x2
            acc[3, lane] += value * x3
    for row in range(4):
        for lane in range(LANES):
            out[row, lane] = acc[row, lane]


@kernel
def four_byte(w, scales, x, out):
    """The same for int8."""
    acc, scale = numba.carray(four_rows(), (4, LANES)), numba.carray(four_rows(), (4, LANES))
    for row in range(4):
        for lane in range(LANES):
            acc[row, lane] = f32(0.0)
    for group in range((x.shape[1] + GROUP - 1) // GROUP):
        for lane in range(LANES):
            scale[0, lane] = widened(scales[group, lane])
        for k in range(group * GROUP, min(group * GROUP + GROUP, x.shape[1])):
            x0, x1, x2, x3 = x[0, k], x[1, k], x[2, k], x[3, k]
            for lane in range(LANES):
                value = f32(w[k, lane]) * scale[0, lane]
                acc[0, lane] += value * x0
                acc[1, lane] += value * x1
                acc[2, lane] += value * x2
                acc[3, lane] += value * x3
    for row in range(4):
        for lane in range(LANES):
            out[row, lane] = acc[row, lane]


@kernel
def four_nibble(w, scales, lows, x, out):
    """The same for int4."""
    acc, scale = numba.carray(four_rows(), (4, LANES)), numba.carray(four_rows(), (4, LANES))  # of the latter, the second row: lows
    for row in range(4):
        for lane in range(LANES):
            acc[row, lane] = f32(0.0)
    for group in range((x.shape[1] + GROUP - 1) // GROUP):
        for lane in range(LANES):
            scale[0, lane], scale[1, lane] = widened(scales[group, lane]), widened(lows[group, lane])
        for k in range(group * GROUP, min(group * GROUP + GROUP, x.shape[1]), 2):
            at = k // 2
            for lane in range(LANES):
                pair = i32(w[at, lane])
                one = f32(i32(pair & i32(15))) * scale[0, lane] + scale[1, lane]
                two = f32(i32(pair >> i32(4))) * scale[0, lane] + scale[1, lane]
                acc[0, lane] = acc[0, lane] + one * x[0, k] + two * x[0, k + 1]
                acc[1, lane] = acc[1, lane] + one * x[1, k] + two * x[1, k + 1]
                acc[2, lane] = acc[2, lane] + one * x[2, k] + two * x[2, k + 1]
                acc[3, lane] = acc[3, lane] + one * x[3, k] + two * x[3, k + 1]
    for row in range(4):
        for lane in range(LANES):
            out[row, lane] = acc[row, lane]


@kernel
def widen_half(w, first, panel):
    """Inputs from `first` on -> panel (as many, 64)."""
    for k in range(panel.shape[0]):
        for lane in range(LANES):
            panel[k, lane] = widened(w[first + k, lane])


@kernel
def widen_byte(w, scales, first, panel):
    """The same for int8; `first` is a multiple of GROUP."""
    scale = numba.carray(four_rows(), (4, LANES))
    for begin in range(0, panel.shape[0], GROUP):
        group = (first + begin) // GROUP
        for lane in range(LANES):
            scale[0, lane] = widened(scales[group, lane])
        for k in range(begin, min(begin + GROUP, panel.shape[0])):
            for lane in range(LANES):
                panel[k, lane] = f32(w[first + k, lane]) * scale[0, lane]


@kernel
def widen_nibble(w, scales, lows, first, panel):
    """The same for int4; `panel` has an even number."""
    rows = numba.carray(four_rows(), (4, LANES))  # scales, lows, and what two inputs become
    for begin in range(0, panel.shape[0], GROUP):
        group = (first + begin) // GROUP
        for lane in range(LANES):
            rows[0, lane], rows[1, lane] = widened(scales[group, lane]), widened(lows[group, lane])
        for k in range(begin, min(begin + GROUP, panel.shape[0]), 2):
            at = (first + k) // 2
            for lane in range(LANES):
                pair = i32(w[at, lane])
                rows[2, lane] = f32(i32(pair & i32(15))) * rows[0, lane] + rows[1, lane]
                rows[3, lane] = f32(i32(pair >> i32(4))) * rows[0, lane] + rows[1, lane]
            for lane in range(LANES):
                panel[k, lane] = rows[2, lane]
            for lane in range(LANES):
                panel[k + 1, lane] = rows[3, lane]

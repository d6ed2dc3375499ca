"""Norms with every sum in a fixed order, so that a token's has the same bits in every batch and in every kernel.

    layer   (x - mean) / √(var + ε) · w + b         https://arxiv.org/abs/1607.06450
    rms     x / √(mean(x²) + ε) · w                 https://arxiv.org/abs/1910.07467

Twins: torch's `layer_norm` and `rms_norm`, whose order depends on the processor.   R rows · D width
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

# with exact.py f1a79445, machine.py 3728b55e: Numba recompiles when this file changes, not when those do
from .exact import f32, helper, parallel
from .machine import four_rows

LAYER, RMS = range(2)
SUMS = 64
"""Sums side by side, so that LLVM makes lanes of them."""


@helper
def mean(x, middle, square):
    """The mean of x (D,), or of (x - middle)²."""
    sums = numba.carray(four_rows(), (SUMS,))
    for lane in range(SUMS):
        sums[lane] = f32(0.0)
    whole = x.shape[0] - x.shape[0] % SUMS
    for i in range(0, whole, SUMS):
        for lane in range(SUMS):
            value = x[i + lane] - middle
            sums[lane] += value * value if square else value
    for i in range(whole, x.shape[0]):
        value = x[i] - middle
        sums[i - whole] += value * value if square else value
    total = f32(0.0)
    for lane in range(SUMS):
        total += sums[lane]
    return total / f32(x.shape[0])


@helper
def normalise(x, weight, bias, kind, eps, y):
    """One row x (D,) -> y (D,), which may be x; `bias` (D,) is for layer norms, or (0,)."""
    middle = mean(x, f32(0.0), False) if kind == LAYER else f32(0.0)
    by = f32(1.0) / np.sqrt(mean(x, middle, True) + eps)
    for i in range(x.shape[0]):
        y[i] = (x[i] - middle) * by * weight[i]
    for i in range(bias.shape[0]):
        y[i] += bias[i]


@parallel
def norm(x, weight, bias, kind, eps, y):
    """x (R, D) -> y (R, D)"""
    for r in prange(x.shape[0]):
        normalise(x[r], weight, bias, kind, eps, y[r])

"""The weights of attention and their slopes, in the memory of the scores, each row over an interval of keys of its own, or two.

    P = exp((s - max s) · scale) / Σ          dS = P ∘ (dP - Σ P ∘ dP) · scale

Outside its interval a row becomes zeros. Of weights that are dropped, the others count 1 / (1 - share) times as much; which are follows
from a seed and the place alone, so that backward finds the same. Everything is bfloat16, as the 16 bits it is: in float32 torch's own
kernels are as fast. Twin: `attend.eager`.

C matrices of one call, from matrix `at` on · R rows · M keys, from key `first` on · B rows of the batch · L queries
"""

from __future__ import annotations

import numpy as np
from numba import prange

# with dropout.py 8cae2d88, exact.py f1a79445: Numba recompiles when this file changes, not when that one does
from .dropout import factor
from .exact import exp, f32, kernel, narrowed, parallel, widened

LANES = 32
"""Sums and maxima side by side, so that their order is fixed and LLVM makes lanes of them."""
TILE = 32
"""Rows of one task."""


@kernel
def largest(tops):
    """Of (LANES,), which are overwritten."""
    for lane in range(16):
        tops[lane] = max(tops[lane], tops[lane + 16])
    for lane in range(8):
        tops[lane] = max(tops[lane], tops[lane + 8])
    for lane in range(4):
        tops[lane] = max(tops[lane], tops[lane + 4])
    return max(tops[0], tops[1], tops[2], tops[3])


@kernel
def total(sums):
    """Of (LANES,), which are overwritten."""
    for lane in range(16):
        sums[lane] += sums[lane + 16]
    for lane in range(8):
        sums[lane] += sums[lane + 8]
    for lane in range(4):
        sums[lane] += sums[lane + 4]
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


@kernel
def weights(parts, scale):
    """parts (P, LANES) of scores, -inf where nothing is, become weights; zeros where there is no score at all."""
    tops, sums = np.full(LANES, -3e38, np.float32), np.zeros(LANES, np.float32)
    for p in range(parts.shape[0]):
        for lane in range(LANES):
            tops[lane] = max(tops[lane], parts[p, lane])
    top = largest(tops)
    for p in range(parts.shape[0]):
        for lane in range(LANES):
            value = exp((parts[p, lane] - top) * scale)
            parts[p, lane] = value
            sums[lane] += value
    whole = total(sums)
    part = f32(1.0) / whole if whole != f32(0.0) else f32(0.0)
    for p in range(parts.shape[0]):
        for lane in range(LANES):
            parts[p, lane] *= part


@kernel
def dropped(row, seed, number, first, least, share):
    """row (M,) of weights, as they are where some are dropped."""
    for j in range(row.shape[0]):
        row[j] *= factor(seed, number, np.uint32(first + j), least, share)


@kernel
def slopes(weight, change, scale):
    """change (P, LANES), dO Vᵀ, becomes dS; weight (P, LANES)."""
    sums = np.zeros(LANES, np.float32)
    for p in range(weight.shape[0]):
        for lane in range(LANES):
            sums[lane] += weight[p, lane] * change[p, lane]
    mean = total(sums)
    for p in range(weight.shape[0]):
        for lane in range(LANES):
            change[p, lane] = weight[p, lane] * (change[p, lane] - mean) * scale


@parallel
def weigh(scores, before, start, stop, place, scale, least, share, seed):
    """scores (C, R, M) become weights · before, start, stop (B, L): seen are the keys below `before` and from start up to stop; before
    (0, 0): only those · place: (at, matrices side by side for one row of the batch, first query, queries of R, first key)."""
    at, side, query, queries, first = place
    count, rows, keys = scores.shape
    tiles, size = -(-rows // TILE), -(-keys // LANES) * LANES
    for task in prange(count * tiles):
        c, tile = task // tiles, task % tiles * TILE
        b, row = (at + c) // side % start.shape[0], np.empty(size, np.float32)
        for r in range(tile, min(tile + TILE, rows)):
            here, found = query + r % queries, scores[c, r]
            low, high = max(start[b, here] - first, 0), min(stop[b, here] - first, keys)
            last = max(-(-high // LANES), 1) * LANES
            both = min(before[b, here] - first, low) if before.shape[0] > 0 else 0
            for j in range(both):
                row[j] = widened(found[j])
            row[max(both, 0) : min(low, last)] = f32(-np.inf)
            for j in range(low, high):
                row[j] = widened(found[j])
            row[max(low, high, 0) : last] = f32(-np.inf)
            weights(row[:last].reshape(-1, LANES), scale)
            if least > np.uint32(0):
                number = ((at + c) * (rows // queries) + r // queries) * start.shape[1] + here
                dropped(row[:last], seed, np.uint32(number), first, least, share)
            for j in range(min(last, keys)):
                found[j] = narrowed(row[j])
            found[min(last, keys) :] = np.uint16(0)


@parallel
def slope(weights, changes, start, stop, place, scale, least, share, seed):
    """weights (C, R, M) as `weigh` left them, none dropped, and changes (C, R, M), dO Vᵀ, become the weights as they were multiplied with
    and dS · start, stop and place: as there."""
    at, side, query, queries, first = place
    count, rows, keys = weights.shape
    size, tiles = -(-keys // LANES) * LANES, -(-rows // TILE)
    for task in prange(count * tiles):
        c, tile = task // tiles, task % tiles * TILE
        b, weight, change = (at + c) // side % start.shape[0], np.zeros(size, np.float32), np.zeros(size, np.float32)
        for r in range(tile, min(tile + TILE, rows)):
            here, some, others = query + r % queries, weights[c, r], changes[c, r]
            high = max(min(stop[b, here] - first, keys), 0)
            last = -(-high // LANES) * LANES
            for j in range(min(last, keys)):
                weight[j] = widened(some[j])
                change[j] = widened(others[j])
            number = np.uint32(((at + c) * (rows // queries) + r // queries) * start.shape[1] + here)
            if least > np.uint32(0):
                dropped(change[:last], seed, number, first, least, share)
            slopes(weight[:last].reshape(-1, LANES), change[:last].reshape(-1, LANES), scale)
            if least > np.uint32(0):
                dropped(weight[:last], seed, number, first, least, share)
                for j in range(min(last, keys)):
                    some[j] = narrowed(weight[j])
            for j in range(min(last, keys)):
                others[j] = narrowed(change[j])
            others[min(last, keys) :] = np.uint16(0)

"""All blocks of a decoder in one call: x = x + attention(norm x), x = x + mlp(norm x), layer after layer, for the new tokens of all rows.

A step of one token is hundreds of small pieces of work, and to ask for each from Python costs more than most of them. Here the threads go
through all of them together: normalise, project, look, project, normalise, widen, narrow, each a turn (`machine.py`) whose items are blocks
of outputs, or heads. Every sum is that of `product.py`, `norm.py` and `attention.py`, in the same order. Twin: the blocks themselves.

T new tokens of all rows · D width · N heads · G key/value heads · K head width · F hidden · M room of a row
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

# with attention.py d3e43790, exact.py f1a79445, machine.py 3728b55e, norm.py d6c4773a, product.py 084a0ca6: Numba recompiles file by file
from .attention import gather, gather4, softmax
from .exact import NONE, activate, f32, helper, kernel, parallel
from .machine import APART, DONE, floats, take, wait
from .norm import LAYER, normalise
from .product import LANES, MATRIX, OUTPUTS, PANEL, block_of

QKV, OUT, GATE, UP, DOWN = (MATRIX * place for place in range(5))
NORMS = 5 * MATRIX
"""Norms, three int64 each: whether there is one and of which kind, and where its weight and its bias lie."""
ATTN_NORM, MLP_NORM, Q_NORM, K_NORM, NORM = 0, 1, 2, 3, 3
WINDOW, ACT, LAYER_WIDTH = NORMS + 4 * NORM, NORMS + 4 * NORM + 1, NORMS + 4 * NORM + 2
"""What a layer is: a line of so many int64. Matrices that are not there have no outputs."""
SCALE = 4
"""Numbers of a layer, float32: the ε of its four norms, the scale of its scores."""
HEADS, GROUPS, WIDTH, HIDDEN, BATCH, ROOM = range(6)
ROW, BEGIN, COUNT, SLOT, POSITION = range(5)
"""What a row reads: its place in the cache, its first token among the T, how many; the first one's slot in the cache and its position."""
SHARE = 8
"""Tokens that are normalised as one item."""
PHASES = 8


@kernel
def normalised(line, which, eps, x, out, turns, turn):
    """out (T, D) = norm(x)"""
    at, dim = NORMS + which * NORM, x.shape[1]
    weight = numba.carray(floats(line[at + 1]), (dim,))
    bias = numba.carray(floats(line[at + 2]), (dim if line[at] == LAYER else 0,))
    count = (x.shape[0] + SHARE - 1) // SHARE
    while True:
        item = take(turns, turn)
        if item >= count:
            break
        for t in range(item * SHARE, min(item * SHARE + SHARE, x.shape[0])):
            normalise(x[t], weight, bias, line[at], eps, out[t])
        take(turns, turn + DONE)
    wait(turns, turn, count)


@kernel
def projected(matrix, x, add, out, part, panel, turns, turn):
    """out (T, N) = x Wᵀ + b, or that much more."""
    count = (matrix[OUTPUTS] + LANES - 1) // LANES
    while True:
        block = take(turns, turn)
        if block >= count:
            break
        block_of(matrix, block, x, part, panel)
        first = block * LANES
        for t in range(x.shape[0]):
            for lane in range(min(LANES, matrix[OUTPUTS] - first)):
                out[t, first + lane] = out[t, first + lane] + part[t, lane] if add else part[t, lane]
        take(turns, turn + DONE)
    wait(turns, turn, count)


@kernel
def hidden(line, x, out, part, panel, turns, turn):
    """out (T, F) = act(up x), or act(gate x) · up x"""
    act, gate, up = line[ACT], line[GATE : GATE + MATRIX], line[UP : UP + MATRIX]
    count, gated = (up[OUTPUTS] + LANES - 1) // LANES, gate[OUTPUTS] > 0
    while True:
        block = take(turns, turn)
        if block >= count:
            break
        first = block * LANES
        lanes = min(LANES, up[OUTPUTS] - first)
        for side in range(2 if gated else 1):
            block_of(up if side == 1 or not gated else gate, block, x, part, panel)
            if side == 0 and act != NONE:
                activate(part, 0, LANES, act)
            for t in range(x.shape[0]):
                for lane in range(lanes):
                    out[t, first + lane] = out[t, first + lane] * part[t, lane] if side == 1 else part[t, lane]
        take(turns, turn + DONE)
    wait(turns, turn, count)


@helper
def rotate(x, cos, sin):
    """One head (K,), each pair (x_i, x_{i + K/2}) by its angle, in place."""
    half = x.shape[0] // 2
    for i in range(half):
        a, b = x[i], x[i + half]
        x[i], x[i + half] = a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]


@kernel
def turned(line, numbers, which, x, position, rotations):
    """A query or a key (K,), normalised and rotated where the family does so, in place."""
    at = NORMS + which * NORM
    if line[at] >= 0:
        weight = numba.carray(floats(line[at + 1]), x.shape)
        normalise(x, weight, numba.carray(floats(line[at + 2]), (x.shape[0] if line[at] == LAYER else 0,)), line[at], numbers[which], x)
    if rotations.shape[0] > 0:
        rotate(x, rotations[position, 0], rotations[position, 1])


@kernel
def look(parts, answers, row, head, share, keys, values, window, scale, space, four):
    """The queries of a row's new tokens, of `share` heads from `head` on, which share keys (K, M) and values (M, K) -> their answers."""
    begin, new, slot = row[BEGIN], row[COUNT], row[SLOT]
    for r in range(0, share * new, 4):
        count = min(4, share * new - r)
        first, last = keys.shape[1], 0
        for i in range(count):
            t = (r + i) % new
            first, last = min(first, max(slot + t - window + 1, 0) if window > 0 else 0), max(last, slot + t + 1)
            four[i] = parts[begin + t, head + (r + i) // new]
        scores = numba.carray(floats(space.ctypes.data), (count, last - first))
        scores[:, :] = f32(0.0)
        if count == 4:
            gather4(four, keys, first, scores)
        else:
            for i in range(count):
                gather(four[i], keys, first, scores[i])
        for i in range(count):
            t = (r + i) % new
            low = (max(slot + t - window + 1, 0) if window > 0 else 0) - first
            total = softmax(scores[i], low, slot + t + 1 - first, scale)
            answer = answers[begin + t, head + (r + i) // new]
            answer[:] = f32(0.0)
            gather(scores[i], values[first:last], 0, answer)
            answer /= total


@kernel
def looked(line, numbers, qkv, rows, memory, rotations, sizes, out, space, turns, turn):
    """qkv (T, (N + 2 G) K) -> out (T, N K): every row's new keys and values into the cache, then its queries' answers, by key head."""
    heads, groups, width, room = sizes[HEADS], sizes[GROUPS], sizes[WIDTH], sizes[ROOM]
    share, tokens = heads // groups, qkv.shape[0]
    keys = numba.carray(floats(memory[0]), (sizes[BATCH], groups, width, room))
    values = numba.carray(floats(memory[1]), (sizes[BATCH], groups, room, width))
    parts = numba.carray(floats(qkv.ctypes.data), (tokens, heads + 2 * groups, width))
    answers = numba.carray(floats(out.ctypes.data), (tokens, heads, width))
    four = np.empty((4, width), np.float32)
    count = rows.shape[0] * groups
    while True:
        item = take(turns, turn)
        if item >= count:
            break
        row, g = rows[item // groups], item % groups
        begin, new, slot = row[BEGIN], row[COUNT], row[SLOT]
        for i in range(new):
            mine, position = parts[begin + i], row[POSITION] + i
            for h in range(g * share, g * share + share):
                turned(line, numbers, Q_NORM, mine[h], position, rotations)
            turned(line, numbers, K_NORM, mine[heads + g], position, rotations)
            for j in range(width):
                keys[row[ROW], g, j, slot + i] = mine[heads + g, j]
                values[row[ROW], g, slot + i, j] = mine[heads + groups + g, j]
        mine_keys, mine_values = keys[row[ROW], g], values[row[ROW], g]
        look(parts, answers, row, g * share, share, mine_keys, mine_values, line[WINDOW], numbers[SCALE], space, four)
        take(turns, turn + DONE)
    wait(turns, turn, count)


@parallel
def step(plan, numbers, x, rows, memory, rotations, sizes, threads):
    """plan (layers, LAYER_WIDTH) and numbers (layers, 5): the model · x (T, D), in place · rows (rows, 5) int64 · memory (layers, 2):
    where the keys (B, G, K, M) and the values (B, G, M, K) lie · rotations (positions, 2, K / 2), or (0, ...) where nothing turns."""
    tokens, dim = x.shape
    heads, width = sizes[HEADS], sizes[WIDTH]
    normal, answers = np.empty((tokens, dim), np.float32), np.empty((tokens, heads * width), np.float32)
    qkv, inner = np.empty((tokens, (heads + 2 * sizes[GROUPS]) * width), np.float32), np.empty((tokens, sizes[HIDDEN]), np.float32)
    turns = np.zeros(plan.shape[0] * PHASES * APART, np.int64)
    for _ in prange(threads):
        part, panel = np.empty((tokens, LANES), np.float32), np.empty((PANEL, LANES), np.float32)
        space = np.empty(4 * sizes[ROOM], np.float32)
        for layer in range(plan.shape[0]):
            line, turn = plan[layer], layer * PHASES * APART
            for half in range(2):  # x + attention(norm x), then x + mlp(norm x)
                normalised(line, half, numbers[layer, half], x, normal, turns, turn)
                if half == 0:
                    projected(line[QKV : QKV + MATRIX], normal, False, qkv, part, panel, turns, turn + APART)
                    looked(line, numbers[layer], qkv, rows, memory[layer], rotations, sizes, answers, space, turns, turn + 2 * APART)
                    projected(line[OUT : OUT + MATRIX], answers, True, x, part, panel, turns, turn + 3 * APART)
                else:
                    hidden(line, normal, inner, part, panel, turns, turn + APART)
                    projected(line[DOWN : DOWN + MATRIX], inner, True, x, part, panel, turns, turn + 2 * APART)
                turn += 4 * APART

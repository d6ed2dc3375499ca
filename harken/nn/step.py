"""The blocks of a packed decoder in one call, for the tokens that a cache is to hold next, a few or many of every row, without padding.

`kernels/step.py` says what runs; here is which models it runs for (Transformers without adapters that answer), and what it is told of them.
All others, and whoever asks for attention maps, go block by block, and have the same bits.

B batch · L new tokens, padded · T new tokens of all rows · D width · N heads
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .attention import CrossAttention, SelfAttention
from .block import Block
from .cache import KeyValueCache
from .kernels import step as kernels
from .kernels.exact import use_threads
from .kernels.product import MATRIX, SLAB
from .linear import NUMBERS, Linear
from .mask import Mask
from .memory import SourceCache
from .mlp import MLP
from .norm import eps_of, kind_of, known
from .stack import Stack

NOTHING = np.zeros((0, 2, 0), np.float32)
"""No rotations."""
NEAR = np.zeros((0, 0), np.float32)
"""No scores by distance."""


class Step:
    """What the kernel reads of a stack: addresses, so a copy of it, which would hold those of another model, is None."""

    def __init__(self, stack: Stack, blocks: list[Any]):
        self.stack, first = stack, blocks[0]
        self.rotary = first.attn.rotary
        self.matrices = [matrix for block in blocks for matrix in matrices(block) if matrix is not None]
        self.places = [matrix.place for matrix in self.matrices]
        self.vectors = [vector for block in blocks for norm in norms(block) if norm is not None for vector in norm.parameters()]
        self.addresses = [vector.data_ptr() for vector in self.vectors]
        self.plan, self.numbers = np.array([line(block) for block in blocks]), np.array([numbers(block) for block in blocks], np.float32)
        self.work = sum(matrix.inputs * matrix.outputs for matrix in self.matrices)
        self.heads, self.groups, self.width = first.attn.heads, first.attn.kv_heads, first.attn.width
        self.inner = max(block.mlp.up.outputs for block in blocks)
        self.crosses, self.near = first.cross is not None, NEAR
        if stack.bias is not None:
            by_distance = stack.bias.weight.detach()[stack.bias.table].mT  # (N, distances)
            self.near = (by_distance / scale_of(first.attn)).contiguous().numpy()

    def __reduce__(self):
        return type(None), ()

    @classmethod
    def of(cls, stack: Stack) -> Step | None:
        """None where the kernel does not do what these blocks do."""
        blocks: list[Any] = [stack.blocks[place] for place in stack.layers]
        if not blocks or not all(plain(block) for block in blocks) or (stack.bias is not None and not stack.bias.causal):
            return None
        alike = {(*shape(b.attn), b.attn.kv_heads, b.mlp.up.outputs, id(b.attn.rotary)) for b in blocks}
        scales = {scale_of(b.attn) for b in blocks if stack.bias is not None}
        sources = {None if b.cross is None else shape(b.cross) for b in blocks}
        fits = len(alike) == len(sources) == 1 and len(scales) < 2 and sources <= {None, shape(blocks[0].attn)}
        return cls(stack, blocks) if fits else None

    def reads(self, ids: Tensor, mask: Mask, cache: KeyValueCache) -> bool:
        """Whether it can read these: nothing asked for but the rows' lengths, no adapter answers, and all lies where it lay."""
        return (
            ids.dim() == 2
            and mask.window is None
            and mask.branches is None
            and not cache.fixed
            and (not self.crosses or (isinstance(cache, SourceCache) and cache.starts is not None))
            and all(matrix.change is None and matrix._place is place for matrix, place in zip(self.matrices, self.places, strict=True))
            and all(vector.data_ptr() == address for vector, address in zip(self.vectors, self.addresses, strict=True))
        )

    def states(self, ids: Tensor, lengths: Tensor | None, types: Tensor | None, cache: KeyValueCache, last: bool) -> Tensor:
        """ids (B, L) -> (B, L, D) before the last norm, zeros where padding is; `last`: only of each row's last new token, (B, D). The
        cache is open when this returns."""
        positions = cache.open(ids.shape[1], lengths)  # (B, L)
        slots = cache.places(positions)[:, 0].numpy()
        if self.rotary is not None:
            self.rotary.reach(cache.size)
        if lengths is None:
            counts = np.full(len(ids), ids.shape[1])
            real = None
        else:
            counts = lengths.numpy().astype(np.int64)
            real = torch.arange(ids.shape[1]) < lengths[:, None]
        x = self.stack.embed(flat(ids, real), flat(positions, real), None if types is None else flat(types, real))[0].contiguous()  # (T, D)
        begins = np.cumsum(counts) - counts
        edges = cache.edges() if isinstance(cache, SourceCache) else None
        start, stop = (np.zeros(len(ids), np.int64),) * 2 if edges is None else (edge.numpy() for edge in edges)
        rows = np.stack([np.arange(len(ids)), begins, counts, slots, positions[:, 0].numpy(), start, stop], 1)[counts > 0]
        self.run(x.numpy(), rows, cache)
        if last:
            found = x[torch.from_numpy(np.maximum(begins + counts - 1, 0))]
            return found if counts.all() else found.masked_fill_(torch.from_numpy(counts == 0)[:, None], 0.0)
        if real is None:
            return x.view(*ids.shape, -1)
        found = x.new_zeros(*ids.shape, x.shape[-1])
        found[real] = x
        return found

    def run(self, x: np.ndarray, rows: np.ndarray, cache: KeyValueCache) -> None:
        """x (T, D) through all blocks, in place; rows as the kernel takes them."""
        memory = np.zeros((len(self.plan), 4), np.int64)
        memory[:, :2] = [(keys.data_ptr(), values.data_ptr()) for keys, values in zip(cache.keys, cache.values, strict=True)]
        read = 0
        if isinstance(cache, SourceCache):
            memory[:, 2:] = [(keys.data_ptr(), values.data_ptr()) for keys, values in cache.memory]
            read = cache.memory[0][0].shape[2]
        batch, _, _, room = cache.keys[0].shape
        sizes = np.array([self.heads, self.groups, self.width, self.inner, batch, room, read])
        rotations = NOTHING if self.rotary is None else self.rotary.table.numpy()
        for part, of_part in portions(x, rows):
            threads = use_threads(self.work * len(part))
            kernels.step(self.plan, self.numbers, part, of_part, memory, rotations, self.near, sizes, threads)


def portions(x: np.ndarray, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """x (T, D) and its rows, as many tokens at a time as share a panel of weights; a row may go on in the next."""
    if len(x) <= SLAB:
        yield x, rows
        return
    for begin in range(0, len(x), SLAB):
        end = min(begin + SLAB, len(x))
        part = rows[(rows[:, kernels.BEGIN] < end) & (rows[:, kernels.BEGIN] + rows[:, kernels.COUNT] > begin)].copy()
        skipped = np.maximum(begin - part[:, kernels.BEGIN], 0)
        part[:, kernels.COUNT] = np.minimum(part[:, kernels.BEGIN] + part[:, kernels.COUNT], end) - part[:, kernels.BEGIN] - skipped
        part[:, kernels.BEGIN] += skipped - begin
        part[:, kernels.SLOT] += skipped
        part[:, kernels.POSITION] += skipped
        yield x[begin:end], part


def flat(rows: Tensor, real: Tensor | None) -> Tensor:
    """(B, L) -> (1, T)"""
    return (rows.reshape(-1) if real is None else rows[real])[None]


def plain(block: nn.Module) -> bool:
    """Whether the kernel does what this block does, every matrix packed."""
    return (
        isinstance(block, Block)
        and (block.cross is None or isinstance(block.cross, CrossAttention))
        and isinstance(block.attn, SelfAttention)
        and isinstance(block.mlp, MLP)
        and all(known(norm) for norm in norms(block) if norm is not None)
        and all(matrix.place is not None for matrix in matrices(block) if matrix is not None)
    )


def matrices(block: Any) -> tuple[Linear | None, ...]:
    """In the order of a line."""
    cross = (None, None) if block.cross is None else (block.cross.q, block.cross.out)
    return block.attn.qkv, block.attn.out, *cross, block.mlp.gate, block.mlp.up, block.mlp.down


def norms(block: Any) -> tuple[Any, ...]:
    """In the order of a line."""
    return block.attn_norm, block.cross_norm, block.mlp_norm, block.attn.q_norm, block.attn.k_norm


def shape(attn: Any) -> tuple[int, int]:
    """Of an attention's queries."""
    return attn.heads, attn.width


def scale_of(attn: Any) -> float:
    """What an attention's scores are multiplied by."""
    return attn.width**-0.5 if attn.scale is None else attn.scale


def line(block: Any) -> list[int]:
    """A block as the kernel reads it."""
    parts = ([0] * MATRIX if matrix is None or matrix.place is None else matrix.place.line.tolist() for matrix in matrices(block))
    rest = [block.attn.window or 0, NUMBERS[block.mlp.act], block.order == "post"]
    return [*chain.from_iterable(parts), *chain.from_iterable(map(vectors, norms(block))), *rest]


def vectors(norm: Any) -> tuple[int, int, int]:
    """A norm as the kernel reads it."""
    if norm is None:
        return -1, 0, 0
    return kind_of(norm), norm.weight.data_ptr(), norm.bias.data_ptr() if isinstance(norm, nn.LayerNorm) else norm.weight.data_ptr()


def numbers(block: Any) -> list[float]:
    """A block's numbers as the kernel reads them."""
    scales = [scale_of(block.attn), 0.0 if block.cross is None else scale_of(block.cross)]
    return [*(0.0 if norm is None else eps_of(norm) for norm in norms(block)), *scales]

"""All blocks in one call: the bits of the blocks one by one, for one token or many, on one thread or two, however weights are held."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harken.families.cosine import CosineConfig
from harken.families.table import build
from harken.nn.cache import KeyValueCache
from harken.nn.decoder import Decoder
from harken.nn.encoder_decoder import EncoderDecoder
from harken.nn.kernels import exact
from harken.nn.kernels.norm import RMS
from harken.nn.kernels.norm import norm as kernel
from harken.nn.kernels.product import SLAB
from harken.nn.kernels.step import rotate
from harken.nn.lora import Slice, Update
from harken.nn.mask import Mask
from harken.nn.models import Model
from harken.nn.norm import normalise
from harken.nn.position import Rotary
from harken.nn.quant import KINDS
from harken.nn.step import Step, portions

Tiny = Callable[[str], Decoder]
Pair = Callable[[str], EncoderDecoder]
NAMES = ["gpt", "gpt2", "gpt2-odd", "llama", "llama-odd", "qwen3"]
"""Norms after each part and before it, biases or none, gated or not, grouped queries, rotations, norms on heads, windows, odd sizes."""
SOURCES = ["bart", "marian", "t5", "t5-near"]


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.contiguous().view(torch.int32), b.contiguous().view(torch.int32))


def read(model: Decoder, ids: torch.Tensor, *, fused: bool) -> torch.Tensor:
    """Logits of rows that are read in portions of uneven length, then a token a step; (rows, V) of every call in turn."""
    found, cache = [], model.begin(len(ids), 32)
    step = model._step
    assert step is not None
    model._step = step if fused else None
    try:
        for lengths in ([7, 1, 0], [2, 5, 9], [1, 1, 1], [0, 3, 1], [1, 1, 1]):
            counts = torch.tensor(lengths)
            rows = torch.stack([row[at : at + 10] for row, at in zip(ids, cache.lengths.tolist(), strict=True)])
            answer = model(rows[:, : max(lengths)], Mask(lengths=counts), cache=cache, last=True)
            found.append(answer[counts > 0])
        found.append(model(ids[:, :4], cache=cache).flatten(0, 1))
    finally:
        model._step = step
    return torch.cat(found)


def ids_of(model: Model) -> torch.Tensor:
    return torch.randint(model.config.vocab_size, (3, 32), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_blocks_one_by_one(tiny: Tiny, name: str, kind: str) -> None:
    model = tiny(name)
    model.pack(kind)
    ids = ids_of(model)
    assert same(read(model, ids, fused=True), read(model, ids, fused=False))


def write(model: EncoderDecoder, ids: torch.Tensor, *, fused: bool) -> torch.Tensor:
    """Logits of targets of three sources, read in portions of uneven length, then as beams that go on from one another."""
    found, lengths = [], torch.tensor([5, 1, 9])
    cache = model.begin(3, 32, ids[:, :9], Mask(lengths=lengths))
    step = model._step
    assert step is not None
    model._step = step if fused else None
    try:
        for counts in (torch.tensor([4, 1, 0]), torch.tensor([0, 7, 2]), torch.tensor([1, 1, 1])):
            found.append(model(ids[:, : int(counts.max())], Mask(lengths=counts), cache=cache, last=True)[counts > 0])
        for rows in ([0, 0, 1, 1, 2, 2], [1, 0, 3, 3, 5, 5], [0, 1, 4, 5]):
            cache.select(torch.tensor(rows))
            found.append(model(ids[:, : len(rows)].T[:, :2], cache=cache).flatten(0, 1))
    finally:
        model._step = step
    return torch.cat(found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SOURCES)
def test_equals_the_blocks_that_look_at_a_source(pair: Pair, name: str, kind: str) -> None:
    model = pair(name)
    model.pack(kind)
    ids = ids_of(model)
    assert same(write(model, ids, fused=True), write(model, ids, fused=False))


@pytest.mark.serial
@pytest.mark.parametrize("name", SOURCES)
def test_sources_on_two_threads(pair: Pair, name: str) -> None:
    model = pair(name)
    model.pack()
    ids = ids_of(model)
    exact.use_threads(1 << 40)
    both = [write(model, ids, fused=True) for _ in range(20)]
    torch.set_num_threads(1)
    assert all(same(one, write(model, ids, fused=False)) for one in both)


def test_a_judge_and_maps_go_block_by_block(pair: Pair) -> None:
    model = pair("bart")
    model.pack()
    ids, maps = ids_of(model)[:, :4], {"encoder": [], "decoder": [], "cross": []}
    step = model._step
    assert step is not None and not step.reads(ids, Mask(), KeyValueCache(2, 3, 3, 8, 8, torch.zeros(0)))
    model(ids, cache=model.begin(3, 8, ids), maps=maps)
    assert len(maps["cross"]) == 2


@pytest.mark.serial
@pytest.mark.parametrize("name", NAMES)
def test_on_two_threads(tiny: Tiny, name: str) -> None:
    model = tiny(name)
    model.pack()
    ids = ids_of(model)
    exact.use_threads(1 << 40)
    both = [read(model, ids, fused=True) for _ in range(20)]
    torch.set_num_threads(1)
    assert all(same(one, read(model, ids, fused=False)) for one in both)


def test_a_long_text_is_read_in_portions(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("qwen3")
    model.pack()
    ids = ids_of(model)
    whole = read(model, ids, fused=True)
    monkeypatch.setattr("harken.nn.step.SLAB", 5)
    assert same(read(model, ids, fused=True), whole)


def test_portions_hold_every_token_once() -> None:
    counts = np.array([SLAB, 1, 3 * SLAB + 7, 5])
    begins = counts.cumsum() - counts
    rows = np.stack([np.arange(4), begins, counts, np.full(4, 10), np.full(4, 20)], 1)
    x = np.arange(counts.sum(), dtype=np.float32)[:, None]
    found = []
    for part, of_part in portions(x, rows):
        assert len(part) <= SLAB and of_part[:, 2].sum() == len(part)
        for row, begin, count, slot, position in of_part:
            assert position - slot == 10 and slot - 10 == part[begin, 0] - begins[row]
            found += [(row, token) for token in part[begin : begin + count, 0].tolist()]
    assert found == [(row, begins[row] + i) for row in range(4) for i in range(counts[row])]


def test_who_goes_block_by_block(tiny: Tiny) -> None:
    """Blocks of another shape, attention maps, windows asked for, adapters that answer, a cache of fixed shape."""
    other = build(CosineConfig.sized(24, 1, 2, 32, 61, 0.0), seed=0)  # no softmax
    other.pack()
    assert other._step is None
    model = tiny("llama")
    model.pack()
    step, ids, cache = model._step, torch.ones(1, 1, dtype=torch.int64), model.begin(1, 4)
    assert step is not None and isinstance(cache, KeyValueCache) and step.reads(ids, Mask(), cache)
    assert not step.reads(ids, Mask(window=2), cache) and not step.reads(ids[None], Mask(), cache)
    cache.fixed = True
    assert not step.reads(ids, Mask(), cache)
    maps: list = []
    model(ids, cache=model.begin(1, 4), maps=maps)
    assert len(maps) == 2


def test_a_copy_and_a_model_that_learned_read_their_own_weights(tiny: Tiny) -> None:
    model, ids = tiny("llama"), torch.randint(61, (2, 6), generator=torch.Generator().manual_seed(0))
    model.pack()
    before = model(ids, cache=model.begin(2, 8))
    twin = copy.deepcopy(model)
    assert isinstance(model._step, Step) and twin._step is None
    with torch.no_grad():
        for parameter in model.parameters():  # unpacks
            parameter *= 1.5
    assert model._step is None
    model.pack()
    assert not torch.equal(model(ids, cache=model.begin(2, 8)), before)
    twin.pack()
    assert same(twin(ids, cache=twin.begin(2, 8)), before)


def test_an_adapter_answers(tiny: Tiny) -> None:
    model, ids = tiny("llama"), torch.ones(1, 5, dtype=torch.int64)
    model.pack()
    before = model(ids, cache=model.begin(1, 8))
    layer: Any = model.get_submodule("stack.blocks.0.attn.out")
    update = Update(layer, [Slice(0, layer.outputs, 2, 1.0)])
    nn.init.ones_(update.bs[0].weight)
    model.adapters.put("one", {"stack.blocks.0.attn.out": update}, {}, None)
    model.pack()
    assert not torch.equal(model(ids, cache=model.begin(1, 8)), before)
    model.adapters.use(None)
    assert same(model(ids, cache=model.begin(1, 8)), before)


@pytest.mark.parametrize("width", [1, 3, 20, 64, 65, 200, 768])
def test_norms_equal_torchs(width: int) -> None:
    torch.manual_seed(width)
    x = torch.randn(7, width) * 3 + 1
    for part in (nn.LayerNorm(width, 1e-5), nn.RMSNorm(width, 1e-6), nn.RMSNorm(width)):
        for parameter in part.requires_grad_(False).parameters():
            nn.init.normal_(parameter)
        ours = normalise(x, part, True)
        assert torch.allclose(ours, part.double()(x.double()).float(), rtol=2e-6, atol=2e-6)
        assert same(torch.cat([normalise(row[None], part.float(), True) for row in x]), ours)


def test_a_norm_may_write_where_it_reads() -> None:
    x, weight, nothing = np.random.default_rng(0).standard_normal((3, 70), np.float32), np.ones(70, np.float32), np.zeros(0, np.float32)
    y = np.empty_like(x)
    kernel(x, weight, nothing, RMS, np.float32(1e-6), y)
    kernel(x, weight, nothing, RMS, np.float32(1e-6), x)
    assert np.array_equal(x, y)


@pytest.mark.parametrize("width", [2, 6, 64])
def test_rotations_have_the_bits_of_the_layer(width: int) -> None:
    rotary, x = Rotary(width), torch.randn(1, 9, 2, width, generator=torch.Generator().manual_seed(0))
    want, table = rotary(x, torch.arange(9)[None]), rotary.table.numpy()
    for position in range(9):
        for head in range(2):
            rotate(x[0, position, head].numpy(), table[position, 0], table[position, 1])
    assert same(x, want)

"""Narrow weights: products with the bits of their slow twin, the same for any rows; quantised twice is once."""

from __future__ import annotations

import copy
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.nn.decoder import Decoder
from harken.nn.kernels import exact
from harken.nn.kernels.quantise import GROUP
from harken.nn.linear import Linear, linear
from harken.nn.mask import Mask
from harken.nn.quant import KINDS, Half, hold, kind_of, twin, values

NARROW = KINDS[1:]
Tiny = Callable[[str], Decoder]
sizes = st.tuples(st.integers(1, 140), st.integers(1, 100), st.integers(1, 9))  # N, K, R


def layer(n: int, k: int, seed: int) -> Linear:
    torch.manual_seed(seed)
    made = Linear(k, n).requires_grad_(False)
    made.load_state_dict({"bias": torch.randn(n)}, strict=False)
    return made


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


@pytest.mark.parametrize("kind", NARROW)
@given(size=sizes, seed=st.integers(0, 99), spread=st.sampled_from([1e-20, 1.0, 1e4]))
def test_a_product_has_the_bits_of_its_twin(kind: str, size: tuple[int, int, int], seed: int, spread: float) -> None:
    n, k, r = size
    made, x = layer(n, k, seed), torch.randn(r, k) * spread
    x[0, : k // 2] = 0.0
    weight = made.weight.clone()
    made.pack(kind)
    held = hold(weight, kind)
    want = torch.from_numpy(twin(x.numpy(), held, n)) + made.bias
    got = linear(x, made)
    if kind == "bfloat16":  # a processor may round its dot products otherwise
        far = twin(x.abs().numpy(), hold(weight.abs(), kind), n)
        assert ((got - want).abs() <= 2e-6 * (torch.from_numpy(far) + 1.0)).all()
    else:
        assert same(got, want)
    close = (got - F.linear(x, weight, made.bias)).abs() <= 0.15 * x.abs().sum(1, keepdim=True) * weight.abs().max() + 1e-6
    assert close.all()
    ids = torch.randint(n, (3, 2))
    assert same(made.rows(ids), values(held, n, k)[ids])


def test_without_the_processors_own_products_the_bits_are_the_same(tmp_path: Path) -> None:
    """Compiled for a processor that has no such instructions; of bfloat16 almost the same."""
    plain = "haswell" if platform.machine() in ("x86_64", "AMD64") else "generic"
    code = (
        "import sys, torch; from harken.nn.linear import Linear, linear\n"
        "torch.manual_seed(0); x, found = torch.randn(5, 100), []\n"
        "for kind in ('bfloat16', 'int8', 'int4'):\n"
        "    made = Linear(100, 70).requires_grad_(False); made.pack(kind); found.append(linear(x, made))\n"
        "torch.save(found, sys.argv[1])"
    )
    parts = []
    for name, more in (("own", {}), ("plain", {"NUMBA_CPU_NAME": plain, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)})):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True, env={**os.environ, **more})
        parts.append(torch.load(tmp_path / name))
    (half, *whole), (other, *others) = parts
    assert torch.allclose(half, other, atol=1e-6) and all(same(*each) for each in zip(whole, others, strict=True))


def one_answer(kind: str, n: int, k: int) -> torch.Tensor:
    """Every grouping of 21 rows gives the same bits as one row alone; returns them."""
    exact.use_threads(1 << 40)
    made, x = layer(n, k, 3), torch.randn(21, k)
    made.pack(kind)
    alone = torch.cat([linear(row[None], made, "gelu_new") for row in x])
    for count in (2, 3, 4, 5, 6, 7, 8, 9, 21):
        assert same(linear(x[:count], made, "gelu_new"), alone[:count])
        assert same(linear(x[-count:], made, "gelu_new"), alone[-count:])
    return alone


@pytest.mark.parametrize("kind", NARROW)
@pytest.mark.parametrize(("n", "k"), [(1, 5), (61, 48), (64, 33), (130, 20), (197, 130)])
def test_same_bits_for_any_rows(kind: str, n: int, k: int) -> None:
    one_answer(kind, n, k)


@pytest.mark.serial
@pytest.mark.parametrize("kind", NARROW)
def test_same_bits_on_two_threads(kind: str) -> None:
    both = one_answer(kind, 390, 96)
    torch.set_num_threads(1)
    assert same(one_answer(kind, 390, 96), both)


def bf(x: np.ndarray) -> np.ndarray:
    return torch.from_numpy(np.ascontiguousarray(x, np.float32)).bfloat16().float().numpy()


def groups(weight: torch.Tensor) -> np.ndarray:
    return weight.numpy().reshape(len(weight), -1, GROUP)


@given(st.integers(1, 70), st.integers(1, 3), st.integers(0, 99))
def test_bytes_are_those_of_the_slow_twin(n: int, count: int, seed: int) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(n, count * GROUP) * torch.rand(n, 1)
    parts = groups(weight)
    scale = bf(np.abs(parts).max(-1, keepdims=True) / np.float32(127))
    want = np.clip(np.rint(parts / scale), -127, 127) * scale
    assert np.array_equal(groups(values(hold(weight, "int8"), n, count * GROUP)), want)


@given(st.integers(1, 70), st.integers(1, 3), st.integers(0, 99))
def test_nibbles_err_no_more_than_the_slow_twin(n: int, count: int, seed: int) -> None:
    """The twin: every place of the grid, in float64; ties may fall either way."""
    torch.manual_seed(seed)
    weight = torch.randn(n, count * GROUP) * torch.rand(n, 1)
    parts = groups(weight)
    least, span = parts.min(-1, keepdims=True), np.ptp(parts, -1, keepdims=True)
    best = np.full(parts.shape[:2], np.inf)
    for up in range(8):
        for down in range(8):
            low = bf(least + np.float32(0.02 * up) * span)
            scale = bf((least + span - np.float32(0.02 * down) * span - low) / np.float32(15))
            q = np.clip(np.rint((parts - low) / scale), 0, 15)
            best = np.minimum(best, ((q.astype(float) * scale + low - parts) ** 2).sum(-1))
    found = ((groups(values(hold(weight, "int4"), n, count * GROUP)).astype(float) - parts) ** 2).sum(-1)
    assert (found <= best * 1.02 + 1e-12).all()
    assert (found >= best * 0.98 - 1e-12).all()


@pytest.mark.parametrize("kind", NARROW)
@given(
    size=sizes,
    seed=st.integers(0, 999),
    scale=st.sampled_from([1e-35, 1e-6, 1.0, 1e6]),
    offset=st.sampled_from([0.0, 1.0, -1000.0]),
    zeros=st.booleans(),
)
def test_quantised_twice_is_once(kind: str, size: tuple[int, int, int], seed: int, scale: float, offset: float, zeros: bool) -> None:
    n, k, _ = size
    torch.manual_seed(seed)
    weight = (torch.randn(n, k) + offset) * scale
    if zeros:
        weight[torch.rand(n, k) < 0.7] = 0.0
        weight[0] = 0.25
    first = hold(weight, kind)
    again = hold(values(first, n, k), kind)
    for one, other in zip(vars(first).values(), vars(again).values(), strict=True):
        assert np.array_equal(one, other)
    error = (values(first, n, k) - weight).abs().amax(1)
    assert (error <= {"bfloat16": 2**-8, "int8": 0.005, "int4": 0.21}[kind] * weight.abs().amax(1) + 1e-30).all()


def test_bfloat16_is_torchs() -> None:
    weight = torch.randn(70, 40)
    assert torch.equal(values(hold(weight, "bfloat16"), 70, 40), weight.bfloat16().float())
    assert isinstance(hold(weight.bfloat16(), "bfloat16"), Half)


def test_which_layers_are_held_how() -> None:
    assert kind_of("stack.blocks.0.attn.qkv", 768, "int4") == "int4"
    for name in ("stack.embed.tokens", "parts.0.stack.embed.tokens", "head.out", "parts.0.head.lm.out"):
        assert kind_of(name, 768, "int4") == "int8"
    assert kind_of("stack.blocks.0.mlp.up", 33, "int4") == "int8"
    assert kind_of("stack.blocks.0.mlp.up", 16, "int8") == "float32" and kind_of("x", 16, "bfloat16") == "bfloat16"


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_held_otherwise(kind: str, tiny: Tiny) -> None:
    """Its answers are near those of float32 for the weights it gives back, with the same bits batched or alone; learning, it forgets."""
    model = tiny("gpt2")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids = torch.randint(0, model.config.vocab_size, (3, 7))
    model.pack(kind)
    got = model(ids)
    assert model.packed and model.held == kind and got.dtype == torch.float32
    assert torch.equal(model(ids[1:2, :4]), model(ids, Mask(lengths=torch.tensor([7, 4, 6])))[1:2, :4])
    after = model.state_dict()
    assert not model.packed and model.held == kind
    matrices = {f"{name}.weight" for name, part in model.named_modules() if isinstance(part, Linear)}
    assert all(torch.equal(before[name], value) == (kind == "float32" or name not in matrices) for name, value in after.items())
    model.pack()
    assert torch.equal(model(ids), got)  # rounded once
    model.unpack()
    model.held = None
    model.pack("float32")
    again = model(ids)
    assert torch.equal(again, got) if kind == "float32" else (again - got).abs().max() < 0.1 * again.std()
    model.pack(kind)
    model.train()
    assert model.held is None and not model.packed


def test_a_model_stored_in_bfloat16_is_packed_as_it_is(tiny: Tiny) -> None:
    model = tiny("gpt2").to(torch.bfloat16)
    exact, ids = copy.deepcopy(model).float(), torch.randint(0, model.config.vocab_size, (2, 5))
    exact.pack()
    model.pack()
    answer = exact(ids)
    assert model.packed and (model(ids) - answer).abs().max() < 0.03 * answer.std()
    before = exact.state_dict()
    for name, value in model.state_dict().items():
        assert value.dtype == torch.bfloat16 and torch.equal(value.float(), before[name])


def test_an_unknown_kind_is_refused(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r"weights are not held as 'int3' \(known: float32, bfloat16, int8, int4\)"):
        tiny("gpt2").pack("int3")

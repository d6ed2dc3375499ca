"""The packed product: equal to torch's, exact to pack, and the same bits however the rows are grouped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from harken.nn.kernels import exact
from harken.nn.kernels.product import LANES, pack, product, unpack
from harken.nn.linear import ACTIVATIONS, NUMBERS, Linear, linear

sizes = st.tuples(st.integers(1, 200), st.integers(1, 130), st.integers(1, 20))  # N, K, R
EDGES = [(1, 1, 1), (63, 3, 5), (64, 130, 4), (65, 64, 3), (128, 1, 7), (200, 129, 20)]


def layer(n: int, k: int, seed: int, *, bias: bool = True) -> Linear:
    torch.manual_seed(seed)
    made = Linear(k, n, bias=bias)
    if made.bias is not None:
        torch.nn.init.normal_(made.bias)
    return made.requires_grad_(False)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


def agree_with_torch(n: int, k: int, r: int, seed: int, *, bias: bool) -> None:
    made = layer(n, k, seed, bias=bias)
    x = torch.randn(r, k)
    weight, offset = made.weight.double(), made.bias.double() if bias else torch.zeros(n).double()
    want = F.linear(x.double(), weight, offset)
    scale = F.linear(x.double().abs(), weight.abs(), offset.abs())  # what rounding is relative to
    made.pack()
    assert ((linear(x, made) - want).abs() <= 2e-6 * scale).all()
    made.unpack()
    assert ((linear(x, made) - want).abs() <= 2e-6 * scale).all()


@given(sizes, st.integers(0, 99), st.booleans())
def test_equals_torch(size: tuple[int, int, int], seed: int, bias: bool) -> None:
    agree_with_torch(*size, seed, bias=bias)


@pytest.mark.parametrize("size", EDGES)
def test_equals_torch_at_the_edges_of_a_block(size: tuple[int, int, int]) -> None:
    agree_with_torch(*size, 0, bias=True)


@given(sizes)
def test_pack_and_unpack_are_exact(size: tuple[int, int, int]) -> None:
    n, k, seed = size
    weight = np.random.default_rng(seed).standard_normal((n, k), np.float32)
    weight[0, 0] = -0.0
    packed = pack(weight)
    assert packed.shape == (-(-n // LANES), k, LANES)
    assert np.array_equal(unpack(packed, n).view(np.int32), weight.view(np.int32))
    assert not packed.transpose(0, 2, 1).reshape(-1, k)[n:].any()


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_activations(act: str) -> None:
    made = layer(77, 1, 0, bias=False)  # one input: the product is one rounded multiplication
    made.weight.uniform_(0.5, 1.5)
    x = torch.cat([torch.linspace(-30, 30, 601), torch.randn(400), torch.tensor([0.0, 1e-6, -1e-6, 1e-30, 80.0, -80.0])])[:, None]
    z = (x * made.weight.T).double()
    want = ACTIVATIONS[act](z)
    made.pack()
    assert ((linear(x, made, act) - want).abs() <= 1e-6 * want.abs() + 1e-7 * z.abs()).all()  # the second: 1 + erf cancels far left


def test_activations_are_numbered_as_the_kernels_count() -> None:
    assert NUMBERS == {
        "none": exact.NONE,
        "relu": exact.RELU,
        "gelu": exact.GELU,
        "gelu_python": exact.GELU,
        "gelu_new": exact.GELU_TANH,
        "gelu_fast": exact.GELU_TANH,
        "gelu_pytorch_tanh": exact.GELU_TANH,
        "silu": exact.SILU,
        "swish": exact.SILU,
        "tanh": exact.TANH,
        "sigmoid": exact.SIGMOID,
        "quick_gelu": exact.GELU_QUICK,
    }


def one_answer(n: int, k: int, seed: int, act: str) -> torch.Tensor:
    """Every grouping of 21 rows gives the same bits as one row alone; returns them."""
    exact.use_threads(1 << 40)
    made = layer(n, k, seed)
    x = torch.randn(21, k)
    made.pack()
    alone = torch.cat([linear(row[None], made, act) for row in x])
    for count in (2, 3, 4, 5, 6, 7, 8, 11, 21):
        assert same(linear(x[:count], made, act), alone[:count])
        assert same(linear(x[-count:], made, act), alone[-count:])
    for _ in range(8):
        rows = torch.randperm(21)[: int(torch.randint(1, 22, ()))]
        assert same(linear(x[rows], made, act), alone[rows])
    return alone


@pytest.mark.parametrize(("n", "k"), [(1, 5), (61, 48), (64, 33), (130, 20), (197, 130)])
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_same_bits_for_any_rows(n: int, k: int, act: str) -> None:
    one_answer(n, k, 3, act)


@pytest.mark.serial
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_same_bits_on_two_threads(act: str) -> None:
    both = one_answer(390, 48, 3, act)
    torch.set_num_threads(1)
    assert same(one_answer(390, 48, 3, act), both)


def test_inputs_that_are_not_contiguous() -> None:
    made = layer(70, 24, 0)
    wide = torch.randn(5, 3, 48)
    views = [wide[..., ::2], wide[..., 24:], wide[::2, :, :24], torch.randn(24, 5, 3).permute(1, 2, 0), torch.randn(1, 24).expand(4, 24)]
    made.pack()
    for x in views:
        assert not x.is_contiguous() or x.shape[0] == 1
        y = linear(x, made)
        assert y.shape == (*x.shape[:-1], 70) and same(y, linear(x.clone(memory_format=torch.contiguous_format), made))
    assert linear(torch.randn(24), made).shape == (70,)
    assert linear(torch.randn(0, 24), made).shape == (0, 70)


def test_the_kernel_writes_nothing_beyond_its_columns() -> None:
    made = layer(65, 7, 0)
    made.pack()
    y = np.full((3, 65), np.nan, np.float32)
    product(made.place.line, np.ones((3, 7), np.float32), NUMBERS["none"], y)
    assert np.isfinite(y).all() and (y == y[0]).all()


def test_gelu_is_near_in_its_tail_too() -> None:
    x = torch.linspace(-9, 9, 5001)
    y = x.clone()[None]
    exact.activate(y.numpy(), 0, y.shape[1], exact.GELU)
    z = x.double()
    want = z * 0.5 * torch.special.erfc(-z / 2**0.5)
    assert ((y[0] - want).abs() <= 4e-6 * want.abs()).all()

"""Attention: the exact kernel, the formula and torch's fused kernel agree; the exact one gives the same bits in any company."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harken.nn.attend import Look, attend
from harken.nn.kernels import exact
from harken.nn.mask import Mask, dense

shapes = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 3),
        "groups": st.integers(1, 3),
        "share": st.integers(1, 4),
        "length": st.integers(1, 12),
        "width": st.integers(1, 20),
        "seed": st.integers(0, 99),
    }
)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.contiguous().view(torch.int32), b.contiguous().view(torch.int32))


def heads(*, batch: int, groups: int, share: int, length: int, width: int, seed: int = 0, keys: int | None = None) -> list[torch.Tensor]:
    """q (B, N, L, K), k and v (B, G, M, K); scores of a few units either way."""
    random = torch.Generator().manual_seed(seed)
    keys = length if keys is None else keys
    sizes = [(batch, groups * share, length), (batch, groups, keys), (batch, groups, keys)]
    return [2 * torch.randn(*size, width, generator=random) for size in sizes]


def fast(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, start: torch.Tensor, stop: torch.Tensor) -> torch.Tensor:
    return attend(q, k, v, Look(Mask(), k.shape[2], start, stop, exact=True))


def compare(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, start: torch.Tensor, stop: torch.Tensor) -> None:
    """Exact kernel, formula and torch's kernel on the same intervals."""
    allowed, maps = dense(start, stop, k.shape[2]), []
    got = fast(q, k, v, start, stop)
    twin = attend(q, k, v, Look(Mask(), k.shape[2], allowed=allowed, maps=maps))
    fused = attend(q, k, v, Look(Mask(), k.shape[2], allowed=allowed))
    torch.testing.assert_close(got, twin, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fused, twin, rtol=1e-5, atol=1e-5)
    blind = (stop <= start)[:, None].expand(q.shape[:3])
    assert not got[blind].any() and not maps[0][blind].any()
    sums = maps[0].sum(-1)
    torch.testing.assert_close(sums, (~blind).float(), rtol=1e-5, atol=1e-6)


@given(shapes, st.booleans(), st.none() | st.integers(1, 6), st.booleans(), st.data())
def test_three_kernels_agree(shape: dict, causal: bool, window: int | None, padded: bool, data: st.DataObject) -> None:
    q, k, v = heads(**shape)
    batch, length = shape["batch"], shape["length"]
    lengths = torch.tensor(data.draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch))) if padded else None
    positions = torch.arange(length).expand(batch, length)
    start, stop = Mask(causal, window, lengths).intervals(positions, length)
    compare(q, k, v, start, stop)


@given(shapes, st.booleans(), st.none() | st.integers(1, 6), st.data())
def test_three_kernels_agree_on_packed_rows(shape: dict, causal: bool, window: int | None, data: st.DataObject) -> None:
    q, k, v = heads(**shape | {"batch": 1})
    length = shape["length"]
    cuts = sorted(data.draw(st.sets(st.integers(1, length - 1)))) if length > 1 else []
    start, stop = Mask(causal, window, starts=torch.tensor([0, *cuts, length])).intervals(torch.arange(length)[None], length)
    compare(q, k, v, start, stop)


@given(shapes, st.integers(1, 30), st.data())
def test_any_intervals_even_empty_ones(shape: dict, keys: int, data: st.DataObject) -> None:
    q, k, v = heads(**shape, keys=keys)
    ends = st.lists(st.integers(0, keys), min_size=2 * shape["length"], max_size=2 * shape["length"])
    bounds = torch.tensor([data.draw(ends) for _ in range(shape["batch"])]).view(shape["batch"], -1, 2)
    compare(q, k, v, bounds.amin(-1), bounds.amax(-1))


def test_plain_causal_needs_no_tensor() -> None:
    q, k, v = heads(batch=2, groups=2, share=2, length=9, width=8)
    positions = torch.arange(9).expand(2, 9)
    look = Look.of(Mask(causal=True), positions, 9)
    assert look.allowed is None and look.start is None
    twin = attend(q, k, v, Look.of(Mask(causal=True), positions, 9, maps=[]))
    torch.testing.assert_close(attend(q, k, v, look), twin, rtol=1e-5, atol=1e-5)


def test_scores_of_any_size_stay_finite() -> None:
    q, k, v = heads(batch=1, groups=1, share=1, length=6, width=4)
    start, stop = Mask(causal=True).intervals(torch.arange(6)[None], 6)
    for size in (0.0, 1e-20, 1e8):
        compare(size * q, k, v, start, stop)


def one_answer(seed: int) -> torch.Tensor:
    """Every company in which a query may come gives the bits it gets alone; returns them."""
    exact.use_threads(1 << 40)
    random = np.random.default_rng(seed)
    batch, groups, share, length, keys = (int(random.integers(1, top)) for top in (4, 3, 5, 40, 80))
    width = int(random.choice([1, 3, 8, 11, 16, 33]))
    q, k, v = heads(batch=batch, groups=groups, share=share, length=length, width=width, seed=seed, keys=keys)
    bounds = torch.from_numpy(random.integers(0, keys + 1, (batch, length, 2)))
    start, stop = bounds.amin(-1), bounds.amax(-1)
    if seed % 2:  # causal: what decoders ask for
        start, stop = torch.zeros_like(start), (torch.arange(length) + max(0, keys - length) + 1).clamp(max=keys).expand(batch, -1)
    whole = fast(q, k, v, start, stop)
    for b in range(batch):
        assert same(fast(q[b : b + 1], k[b : b + 1], v[b : b + 1], start[b : b + 1], stop[b : b + 1])[0], whole[b])
    for query in random.integers(0, length, 4):
        one = slice(query, query + 1)
        assert same(fast(q[:, :, one], k, v, start[:, one], stop[:, one]), whole[:, :, one])
        b = int(random.integers(0, batch))  # only the keys it sees, from 0 to stop
        end = int(stop[b, query])
        if end:
            cut = fast(q[b : b + 1, :, one], k[b : b + 1, :, :end], v[b : b + 1, :, :end], start[b : b + 1, one], stop[b : b + 1, one])
            assert same(cut[0], whole[b, :, one])
    for first, last in random.integers(0, length + 1, (3, 2)):
        some = slice(min(first, last), max(first, last) + 1)
        assert same(fast(q[:, :, some], k, v, start[:, some], stop[:, some]), whole[:, :, some])
    more = [torch.cat([t, 1e3 * torch.randn(batch, groups, int(random.integers(1, 70)), width)], 2) for t in (k, v)]
    room = min(t.shape[2] for t in more)
    assert same(fast(q, more[0][:, :, :room], more[1][:, :, :room], start, stop), whole)
    pad = torch.randn(batch, groups * share, 5, width)
    anything = torch.from_numpy(random.integers(0, keys + 1, (batch, 5)))
    padded = fast(torch.cat([q, pad], 2), k, v, torch.cat([start, torch.zeros_like(anything)], 1), torch.cat([stop, anything], 1))
    assert same(padded[:, :, :length], whole)
    return whole


@pytest.mark.parametrize("seed", range(40))
def test_same_bits_in_any_company(seed: int) -> None:
    one_answer(seed)


@pytest.mark.serial
@pytest.mark.parametrize("seed", range(40, 60))
def test_same_bits_on_two_threads(seed: int) -> None:
    both = one_answer(seed)
    torch.set_num_threads(1)
    assert same(one_answer(seed), both)


def test_exp() -> None:
    x = np.concatenate([np.linspace(-87, 88, 6001), np.random.default_rng(0).standard_normal(6000), [0.0, -0.0, 1e-30]]).astype(np.float32)
    got = np.array([exact.exp(each) for each in x])
    want = np.exp(x.astype(np.float64))
    assert (np.abs(got - want) <= 2 * np.spacing(want.astype(np.float32))).all()
    assert exact.exp(np.float32(0)) == 1 and exact.exp(np.float32(-87.1)) == 0 and exact.exp(np.float32(-np.inf)) == 0
    assert np.isnan(exact.exp(np.float32(np.nan)))


def test_what_is_not_a_number_is_not_hidden() -> None:
    q, k, v = heads(batch=1, groups=1, share=1, length=6, width=4)
    q[0, 0, 4, 2] = float("nan")
    start, stop = Mask(causal=True).intervals(torch.arange(6)[None], 6)
    for y in (fast(q, k, v, start, stop), attend(q, k, v, Look(Mask(), 6, allowed=dense(start, stop, 6), maps=[]))):
        assert y[0, 0, 4].isnan().all() and y[0, 0, [0, 1, 2, 3, 5]].isfinite().all()


@given(shapes, st.booleans(), st.booleans(), st.sampled_from([0.5, 1.0]), st.data())
def test_three_kernels_agree_on_scores_with_a_bias(shape: dict, causal: bool, shared: bool, scale: float, data: st.DataObject) -> None:
    """A bias for each row or one for all; and no bit of an answer depends on the row's company."""
    q, k, v = heads(**shape)
    batch, length, count = shape["batch"], shape["length"], q.shape[1]
    bias = 2 * torch.randn(1 if shared else batch, count, length, length, generator=torch.Generator().manual_seed(shape["seed"]))
    lengths = None if causal else torch.tensor(data.draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch)))
    mask, places = Mask(causal=causal, lengths=lengths), torch.arange(length).expand(batch, length)
    start, stop = mask.intervals(places, length)
    got = attend(q, k, v, Look(mask, length, start, stop, exact=True), scale=scale, bias=bias)
    twin = attend(q, k, v, Look(mask, length, allowed=dense(start, stop, length), maps=[]), scale=scale, bias=bias)
    fused = attend(q, k, v, Look.of(mask, places, length), scale=scale, bias=bias)
    torch.testing.assert_close(got, twin, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fused, twin, rtol=1e-5, atol=1e-5)
    for row in range(batch):
        own = length if lengths is None else int(lengths[row])
        look = Look(mask, own, start[row, None, :own], stop[row, None, :own], exact=True)
        part = (slice(None), slice(None, own), slice(None, own))
        alone = attend(
            q[row, None, :, :own],
            k[row, None, :, :own],
            v[row, None, :, :own],
            look,
            scale=scale,
            bias=bias[-1 if shared else row][part][None],
        )
        assert same(alone[0], got[row, :, :own])

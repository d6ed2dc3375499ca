"""Dropout: its share, what is left, the same on the way back, and never twice the same."""

from __future__ import annotations

import pytest
import torch

from harken.nn.dropout import dropout

RATES = [0.1, 0.3, 0.9]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", RATES)
def test_a_share_is_dropped_and_the_rest_makes_up_for_it(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(37, 13, 257, generator=torch.Generator().manual_seed(1)).to(dtype)
    y = dropout(x, rate, True)
    gone = y == 0
    deviation = (rate * (1 - rate) / x.numel()) ** 0.5
    assert y.dtype == dtype and y.shape == x.shape
    assert abs(gone.double().mean().item() - rate) < 4 * deviation
    torch.testing.assert_close(y[~gone], (x.float() * (1 / (1 - rate)))[~gone].to(dtype))
    for axis in range(3):  # no place is dropped more often than another, and neighbours not together
        shares = gone.double().mean([other for other in range(3) if other != axis])
        assert (shares - rate).abs().max() < 5 * (rate * (1 - rate) * x.shape[axis] / x.numel()) ** 0.5
        kept = (gone.double() - rate).movedim(axis, 0)
        assert abs((kept[1:] * kept[:-1]).mean().item()) < 5 * rate * (1 - rate) / kept[1:].numel() ** 0.5


def test_gradients_pass_where_values_did() -> None:
    x = torch.randn(5, 4100, requires_grad=True)
    y = dropout(x, 0.4, True)
    (found,) = torch.autograd.grad(y, x, torch.ones_like(y))
    torch.testing.assert_close(found, torch.where(y == 0, 0.0, 1 / 0.6))


def test_each_call_drops_others_and_a_seed_repeats_them() -> None:
    x = torch.ones(10_000)
    torch.manual_seed(3)
    one, other = dropout(x, 0.5, True), dropout(x, 0.5, True)
    torch.manual_seed(3)
    torch.testing.assert_close(dropout(x, 0.5, True), one, rtol=0, atol=0)
    assert abs(((one == 0) & (other == 0)).double().mean().item() - 0.25) < 0.02


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_dropped(rate: float, training: bool) -> None:
    x = torch.randn(3)
    assert dropout(x, rate, training) is x


@pytest.mark.parametrize(
    "x", [torch.randn(64, 64).T, torch.randn(8).expand(1000, 8), torch.randn(0, 4), torch.randn(100, dtype=torch.float64)]
)
def test_however_it_lies_in_memory(x: torch.Tensor) -> None:
    y = dropout(x, 0.25, True)
    torch.testing.assert_close(y[y != 0], (x / 0.75)[y != 0])
    assert y.shape == x.shape


def test_all_is_dropped_at_a_rate_of_one() -> None:
    assert not dropout(torch.ones(100), 1.0, True).any()

"""A feed-forward layer that learns in bfloat16 keeps nothing between its products, and learns what torch's own would."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from harken.nn import acting
from harken.nn.linear import _FUNCTIONS
from harken.nn.mlp import MLP


def learned(part: MLP, x: Tensor, *, half: bool) -> list[Tensor]:
    """What it says of x, and the gradients of a sum of it."""
    x = x.clone().requires_grad_()
    part.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        y = part(x)
    (y.float() * torch.linspace(-1, 1, y.shape[-1])).sum().backward()
    return [y.float().detach(), x.grad, *(each.grad for each in part.parameters())]  # type: ignore[list-item]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("act", _FUNCTIONS)
def test_learns_what_float32_does_but_for_rounding(act: str, gated: bool, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    part, x = MLP(40, 100, act, gated=gated, bias=bias), torch.randn(3, 50, 40) * 2
    for each in part.parameters():
        torch.nn.init.normal_(each, std=0.2)
    want, got = learned(part, x, half=False), learned(part, x, half=True)
    monkeypatch.setattr(acting, "learns", lambda *_: False)
    plain = learned(part, x, half=True)
    for right, ours, theirs in zip(want, got, plain, strict=True):
        assert ours.dtype == torch.float32 and ours.shape == right.shape
        far = (ours - right).norm() / right.norm()
        assert far < 0.06 and far < 1.5 * (theirs - right).norm() / right.norm()  # no worse than torch's own bfloat16


def test_what_is_dropped_is_dropped_on_the_way_back_too() -> None:
    torch.manual_seed(0)
    part = MLP(16, 6_000, "relu", dropout=0.25, bias=False).train()
    torch.nn.init.constant_(part.up.weight, 1.0)
    torch.nn.init.eye_(part.down.weight)  # an output is a hidden value
    with torch.autocast("cpu", torch.bfloat16):
        y = part(torch.ones(1, 1, 16))
    y.sum().backward()
    assert part.up.weight.grad is not None and torch.equal(part.up.weight.grad[:16, 0] > 0, y[0, 0] > 0)
    h = torch.ones(1, 20_000, dtype=torch.bfloat16)
    share = (acting.between(h, None, "relu", 0.25, 3) > 0).float().mean()
    assert abs(float(share) - 0.75) < 0.01 and torch.equal(acting.between(h, None, "none", 0.0, 0), h)


def test_who_learns_otherwise() -> None:
    part, x = MLP(8, 16), torch.randn(2, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert acting.learns(x, part.down)
        with torch.no_grad():
            assert not acting.learns(x, part.down)
        frozen = copy.deepcopy(part)
        frozen.down.freeze("bfloat16")
        assert not acting.learns(x, frozen.down)
    assert not acting.learns(x, part.down)

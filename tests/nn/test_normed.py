"""Norms and rotations that learn in bfloat16 by kernels: the answers and the gradients are those of torch's formulas in float32."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harken.nn.norm import normalise
from harken.nn.position import Rotary


@pytest.mark.parametrize("make", [nn.LayerNorm, nn.RMSNorm])
@pytest.mark.parametrize("width", [48, 128, 200])
def test_norm(make: type[nn.LayerNorm] | type[nn.RMSNorm], width: int) -> None:
    random = torch.Generator().manual_seed(0)
    part = make(width)
    with torch.no_grad():
        for each in part.parameters():
            each += 0.3 * torch.randn(each.shape, generator=random)
    x = (torch.randn(3, 37, width, generator=random) * 2 + 1).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = normalise(x, part, False, narrow=True)
    right = part(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), right, rtol=0.01, atol=0.01)
    dy = torch.randn(right.shape, generator=random).bfloat16()
    given = [x, *part.parameters()]
    for one, other in zip(torch.autograd.grad(found, given, dy), torch.autograd.grad(right, given, dy.float()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_norm_whose_weight_does_not_learn() -> None:
    part, x = nn.LayerNorm(32).requires_grad_(False), torch.randn(5, 32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        normalise(x, part, False, narrow=True).sum().backward()
    assert x.grad is not None and part.weight.grad is None


@pytest.mark.parametrize("rows", [1, 2])
def test_rotation(rows: int) -> None:
    """Of heads that lie among others, by positions of every row and by those of all."""
    rotary, random = Rotary(16), torch.Generator().manual_seed(0)
    whole = torch.randn(2, 300, 5, 16, generator=random).bfloat16()
    rotary.reach(300)
    positions = torch.randint(300, (rows, 300), generator=random)
    given, wide = whole.clone().requires_grad_(), whole.float().requires_grad_()
    found, right = rotary(given[:, :, 1:4], positions), rotary(wide[:, :, 1:4], positions)
    torch.testing.assert_close(found.float(), right, rtol=0.01, atol=0.01)
    dy = torch.randn(right.shape, generator=random).bfloat16()
    torch.testing.assert_close(
        torch.autograd.grad(found, given, dy)[0].float(), torch.autograd.grad(right, wide, dy.float())[0], rtol=0.01, atol=0.01
    )

"""Cross-entropy without whole logits equals torch's: nats, and the gradients of states, weight and bias."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from harken.nn import entropy
from harken.nn.entropy import by_torch, cross_entropy, nats
from harken.nn.linear import Linear


def problem(rows=37, width=24, vocab=131, bias=True, seed=0):
    torch.manual_seed(seed)
    layer = Linear(width, vocab, bias=bias)
    if bias:
        torch.nn.init.normal_(layer.bias)
    x = (torch.randn(rows, width) * 4).requires_grad_()
    return x, layer, torch.randint(vocab, (rows,))


def plain(x, layer, targets, shift, smoothing):
    logits = F.linear(x, layer.weight, layer.bias)
    logits = logits if shift is None else logits + shift
    return F.cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=smoothing)


def gradients(loss, *tensors):
    return torch.autograd.grad(loss, [t for t in tensors if t is not None])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rows", "vocab"), [(1, 2), (37, 131), (5, 64), (70, 1000)])
def test_it_equals_torch(monkeypatch, rows, vocab, bias, smoothing):
    monkeypatch.setattr(entropy, "ROWS", 16)  # several parts
    x, layer, targets = problem(rows, 24, vocab, bias)
    shift = torch.randn(1, vocab) if bias else None
    ours, theirs = cross_entropy(x, layer, targets, shift=shift, smoothing=smoothing), plain(x, layer, targets, shift, smoothing)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-5)
    for mine, yours in zip(
        gradients(3 * ours, x, layer.weight, layer.bias), gradients(3 * theirs, x, layer.weight, layer.bias), strict=True
    ):
        torch.testing.assert_close(mine, yours, rtol=1e-4, atol=2e-5)


def test_under_autocast_it_is_as_near_to_the_truth_as_torch():
    x, layer, targets = problem(200, 64, 777)
    truth = gradients(plain(x, layer, targets, None, 0.0), x, layer.weight)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = cross_entropy(x, layer, targets), plain(x, layer, targets, None, 0.0)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)
    for true, mine, yours in zip(truth, gradients(ours, x, layer.weight), gradients(theirs, x, layer.weight), strict=True):
        assert mine.dtype == true.dtype
        assert (mine - true).norm() < 1.1 * (yours - true).norm() + 1e-6 < 0.02 * true.norm()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_kernels_equal_their_twin(kind, smoothing):
    torch.manual_seed(1)
    logits, targets = (torch.randn(33, 130) * 5).to(kind), torch.randint(130, (33,))
    logits[3] = float("-inf")
    logits[3, targets[3]] = 2.0  # one token alone is possible
    ours, theirs = logits.clone(), logits.clone()
    if smoothing:
        ours[3], theirs[3] = ours[4], theirs[4]
    assert nats(ours, targets, smoothing, True) == pytest.approx(by_torch(theirs, targets, smoothing, True), rel=1e-6)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 if kind == torch.float32 else 4e-3)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_what_is_no_number_stays_so(kind):
    logits, targets = torch.randn(2, 70).to(kind), torch.tensor([1, 2])
    logits[1, 5] = float("nan")
    assert nats(logits, targets, 0.0, True) != nats(logits, targets, 0.0, True)


def test_no_gradient_is_worked_out_where_nothing_learns(monkeypatch):
    x, layer, targets = problem()
    asked = []
    monkeypatch.setattr(entropy, "nats", lambda *given: asked.append(given[-1]) or nats(*given))
    with torch.no_grad():
        found = cross_entropy(x, layer, targets)
    assert not found.requires_grad and asked == [False]
    torch.testing.assert_close(found, plain(x, layer, targets, None, 0.0).detach(), rtol=1e-6, atol=1e-5)


def test_a_frozen_matrix_gets_no_gradient():
    x, layer, targets = problem()
    layer.weight.requires_grad_(False)
    cross_entropy(x, layer, targets).backward()
    assert layer.weight.grad is None and x.grad is not None and layer.bias.grad is not None

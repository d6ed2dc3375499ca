"""Attention to learn by: the answer and the gradients are those of the formula, whatever may be seen and however the texts lie."""

from __future__ import annotations

import pytest
import torch

from harken.nn.attend import Look, attend, by_distance, eager
from harken.nn.learning import Seen, attend_learning
from harken.nn.mask import Mask, dense

MASKS = {
    "causal": Mask(causal=True),
    "window": Mask(causal=True, window=5),
    "all": Mask(),
    "padded": Mask(lengths=torch.tensor([21, 4])),
    "padded causal": Mask(causal=True, lengths=torch.tensor([21, 4])),
}


def heads(batch: int, n: int, groups: int, length: int, keys: int | None = None, width: int = 8) -> list[torch.Tensor]:
    """q (B, N, L, K), k and v (B, G, M, K), in memory with the tokens before the heads."""
    random = torch.Generator().manual_seed(0)
    sizes = [(batch, length, n), (batch, keys or length, groups), (batch, keys or length, groups)]
    return [torch.randn(*size, width, generator=random).bfloat16().transpose(1, 2).requires_grad_() for size in sizes]


def close(found: torch.Tensor, given: list[torch.Tensor], allowed: torch.Tensor, scale: float) -> None:
    """The answer and the gradients are those of the formula in float32."""
    wide = [each.detach().float().requires_grad_() for each in given]
    right = eager(*wide, allowed, scale)
    dy = torch.randn_like(right, generator=torch.Generator().manual_seed(1)).bfloat16()
    slopes = torch.autograd.grad(found, given, dy), torch.autograd.grad(right, wide, dy.float())
    for one, other in zip((found, *slopes[0]), (right, *slopes[1]), strict=True):
        torch.testing.assert_close(one.float(), other, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("length", [21, 75])
@pytest.mark.parametrize("width", [8, 32, 40])
def test_answer_and_gradients_are_those_of_the_formula(name: str, groups: int, length: int, width: int) -> None:
    given, mask = heads(2, 4, groups, length, width=width), MASKS[name]
    start, stop = mask.intervals(torch.arange(length).expand(2, length), length)
    found = attend_learning(*given, Seen.of(mask, 2, length, length), 0.4)
    close(found, given, dense(start, stop, length), 0.4)


@pytest.mark.parametrize("name", ["causal", "all", "padded"])
def test_a_number_for_each_distance_is_learned(name: str) -> None:
    given, mask = heads(2, 4, 2, 21), MASKS[name]
    line = torch.randn(4, 41, generator=torch.Generator().manual_seed(2)).requires_grad_()
    found = attend_learning(*given, Seen.of(mask, 2, 21, 21), 0.4, bias=line)
    allowed = dense(*mask.intervals(torch.arange(21).expand(2, 21), 21), 21)
    wide = [each.detach().float() for each in given]
    right = eager(*wide, allowed, 0.4, bias=by_distance(line, 21, 21))
    torch.testing.assert_close(found.float(), right, rtol=0.03, atol=0.03)
    dy = torch.randn_like(right).bfloat16()
    slopes = torch.autograd.grad(found, line, dy), torch.autograd.grad(right, line, dy.float())
    torch.testing.assert_close(slopes[0][0], slopes[1][0], rtol=0.03, atol=0.03)


def test_a_text_that_goes_on_in_several_ways() -> None:
    one = [(i, i) for i in range(12)] + [(5, 12)] * 4 + [(12, 16)] + [(9, 17)] * 4
    other = [(i, i) for i in range(7)] + [(3, 7)] * 10 + [(0, i) for i in range(17, 21)]  # padding sees itself
    mask = Mask(causal=True, branches=torch.tensor([one, other]))
    given = heads(2, 4, 2, 21)
    close(attend_learning(*given, Seen.of(mask, 2, 21, 21), 0.4), given, mask.branched(), 0.4)


def test_a_source_is_seen_up_to_its_length() -> None:
    given, lengths = heads(2, 2, 2, 5, 9), torch.tensor([8, 3])
    allowed = (torch.arange(9) < lengths[:, None])[:, None, None].expand(2, 1, 5, 9)
    close(attend_learning(*given, Seen.of(Mask(lengths=lengths), 2, 5, 9), 1.0), given, allowed, 1.0)


@pytest.mark.parametrize("lengths", [[7, 7, 7], [12, 8, 1]])
@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("causal", [True, False])
def test_documents_of_a_packed_row_are_apart(lengths: list[int], groups: int, causal: bool) -> None:
    given, starts = heads(1, 4, groups, 21), torch.tensor([0, *lengths]).cumsum(0)
    mask = Mask(causal=causal, starts=starts)
    start, stop = mask.intervals(torch.arange(21)[None], 21)
    found = attend_learning(*given, Seen.of(mask, 1, 21, 21), 0.4)
    close(found, given, dense(start, stop, 21), 0.4)


@pytest.mark.parametrize("learns", [True, False])
def test_packed_targets_look_at_packed_sources(learns: bool) -> None:
    """Each at its own, by the kernel and by torch's."""
    given = heads(1, 4, 2, 9, 21)
    mask = Mask(starts=torch.tensor([0, 4, 5, 9]), sources=torch.tensor([0, 12, 19, 21]))
    allowed = dense(*mask.intervals(torch.arange(9)[None], 21), 21)
    if learns:
        close(attend_learning(*given, Seen.of(mask, 1, 9, 21), 0.4), given, allowed, 0.4)
    else:
        wide = [each.detach().float() for each in given]
        found = attend(*wide, Look.of(mask, torch.arange(9)[None], 21), scale=0.4)
        torch.testing.assert_close(found, eager(*wide, allowed, 0.4), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("learns", [True, False])
def test_what_stands_behind_the_last_document_is_zero(learns: bool) -> None:
    """Answers and gradients, by the kernel and by torch's."""
    given, mask = heads(1, 4, 2, 21), Mask(causal=True, starts=torch.tensor([0, 5, 16]))
    given = given if learns else [each.detach().float().requires_grad_() for each in given]
    found = attend(*given, Look.of(mask, torch.arange(16)[None], 16))
    right = attend(*(each[:, :, :16] for each in given), Look.of(mask, torch.arange(16)[None], 16))
    assert not found[:, :, 16:].any() and torch.equal(found[:, :, :16], right)
    for each in torch.autograd.grad(found.sum(), given):
        assert torch.isfinite(each).all() and not each[:, :, 16:].any() and each[:, :, :16].any()


def test_what_learns_in_bfloat16_takes_this_way() -> None:
    given = heads(2, 4, 4, 21)
    look = Look.of(Mask(causal=True), torch.arange(21)[None], 21)
    close(attend(*given, look), given, torch.ones(21, 21, dtype=torch.bool).tril(), 8**-0.5)
    assert look.seen is not None


def test_dropped_weights_are_the_same_on_the_way_back() -> None:
    """With V the identity the answer is the weights themselves; the gradient is that of the formula with these dropped."""
    q, k, _ = (t.detach() for t in heads(1, 2, 2, 21))
    v = torch.eye(21).bfloat16().expand(1, 2, 21, 21)
    q, k = (torch.cat([t, t.new_zeros(1, 2, 21, 13)], -1).requires_grad_() for t in (q, k))
    seen, allowed = Seen.of(Mask(causal=True), 1, 21, 21), torch.ones(21, 21, dtype=torch.bool).tril()
    torch.manual_seed(3)
    found, whole = attend_learning(q, k, v, seen, 0.4, 0.25), attend_learning(q, k, v, seen, 0.4)
    kept = (found != 0).float()
    assert 0.15 < 1 - kept.sum() / (2 * allowed.sum()) < 0.35
    torch.testing.assert_close(found, whole * kept / 0.75, rtol=0.02, atol=0.01, check_dtype=False)
    wide = [each.detach().float().requires_grad_() for each in (q, k)]
    right = ((wide[0] @ wide[1].mT * 0.4).masked_fill(~allowed, float("-inf")).softmax(-1)) * kept / 0.75
    dy = torch.randn_like(right)
    for one, other in zip(torch.autograd.grad(found, (q, k), dy.bfloat16()), torch.autograd.grad(right, wide, dy), strict=True):
        torch.testing.assert_close(one.float(), other, rtol=0.03, atol=0.03)
    assert not torch.equal(attend_learning(q, k, v, seen, 0.4, 0.25), found)


def test_a_query_that_sees_nothing_answers_zeros() -> None:
    given = heads(2, 2, 2, 4)
    found = attend_learning(*given, Seen.of(Mask(lengths=torch.tensor([4, 0])), 2, 4, 4), 1.0)
    assert not found[1].any() and found[0].all()
    assert all(torch.isfinite(each).all() for each in torch.autograd.grad(found.sum(), given))

"""Schedules, optimizers and the plan."""

from __future__ import annotations

import pytest
import torch

from harken.families.llama import LlamaConfig
from harken.families.seq2seq import Seq2SeqConfig
from harken.families.t5 import T5Config
from harken.families.table import build
from harken.fit.optimizer import Muon, Optimizer, orthogonal
from harken.fit.options import TrainOptions
from harken.fit.plan import choose_plan, choose_rate, choose_size
from harken.fit.schedule import rate


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_schedules_rise_then_fall(kind):
    rates = [rate(step, 100, 10, kind) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[0] > 0
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == 1.0 if kind == "constant" else rates[-1] < 0.02
    assert rate(55, 100, 10, "cosine") == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 64, 8), (1, 8, 64)])
def test_orthogonal_has_singular_values_near_one(shape, dtype):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape), dtype=dtype))
    assert values.dtype == torch.float32
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_muon_moves_each_slice_of_a_fused_matrix_by_itself():
    torch.manual_seed(0)
    fused = torch.nn.Parameter(torch.randn(24, 8))
    parts = [torch.nn.Parameter(p.clone()) for p in fused.detach().split([8, 8, 8])]
    gradient = torch.randn(24, 8)
    fused.grad = gradient.clone()
    for part, g in zip(parts, gradient.split([8, 8, 8]), strict=True):
        part.grad = g.clone()
    Muon([(fused, (8, 8, 8))], 0.1).step()
    Muon([(p, (8,)) for p in parts], 0.1).step()
    assert torch.allclose(fused, torch.cat(list(parts)), atol=1e-6)


def test_queries_whose_products_are_not_scaled_move_less():
    """A T5 begins as, and learns as, the network that divides its scores by √K."""
    model = build(T5Config.sized(32, 1, 2, 16, 20, 0.0), seed=0)
    attn, cross = model.stack.blocks[0].attn, model.stack.blocks[0].cross
    for matrix, inner in ((attn.qkv, 32), (cross.q, 32)):
        assert matrix.weight[:inner].std().item() == pytest.approx(model.config.initializer_range / 4, rel=0.1)
    assert attn.qkv.weight[32:].std().item() == pytest.approx(model.config.initializer_range, rel=0.1)
    before = attn.qkv.weight.detach().clone()
    torch.manual_seed(0)
    attn.qkv.weight.grad = torch.randn(32, 32).repeat(3, 1)
    Optimizer(model, "muon", 0.01, 0.0).step(0.01)
    q, k, v = (attn.qkv.weight.detach() - before).split(32)
    assert torch.allclose(k, v, atol=1e-6) and torch.allclose(4 * q, k, atol=1e-6)


@pytest.mark.parametrize("family", [LlamaConfig, Seq2SeqConfig])
def test_every_parameter_has_one_optimizer_and_hidden_matrices_have_muon(family):
    model = build(family.sized(32, 2, 2, 16, 20, 0.0), seed=0)
    optimizer = Optimizer(model, "muon", 0.01, 0.1)
    held = [p for part in optimizer.parts for group in part.param_groups for p in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, model.parameters()))
    muon = {id(p) for p in optimizer.parts[1].param_groups[0]["params"]}
    layers = (".blocks.",) if family is LlamaConfig else ("encoder.", "back.", "decoder.")
    assert muon == {id(p) for name, p in model.named_parameters() if any(part in name for part in layers) and p.dim() == 2}


def test_what_says_where_to_look_begins_and_moves_little():
    """At the full rate local-p's centres were 0 and the end of the source alone, and stayed there."""
    model = build(Seq2SeqConfig(vocab_size=20, hidden_size=64, attention="local-p"), seed=0)
    aim, mix = model.align.aim.weight, model.mix.weight
    before = [aim.detach().clone(), mix.detach().clone()]
    assert before[0].std().item() < before[1].std().item() / 4
    for p in (aim, mix):
        p.grad = torch.ones_like(p)
    Optimizer(model, "muon", 0.01, 0.0).step(0.01)
    moved = [(p.detach() - was).abs().mean().item() for p, was in zip((aim, mix), before, strict=True)]
    assert moved[0] == pytest.approx(moved[1] / 8, rel=1e-3)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_an_optimizer_restored_from_its_tensors_goes_on_the_same(kind):
    def step(optimizer, model, n):
        torch.manual_seed(n)
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        optimizer.step(1.0)

    one, two = (build(LlamaConfig.sized(32, 1, 2, 16, 20, 0.0), seed=0) for _ in range(2))
    first = Optimizer(one, kind, 0.01, 0.1)
    for n in range(3):
        step(first, one, n)
    second = Optimizer(two, kind, 0.01, 0.1)
    two.load_state_dict(one.state_dict())
    second.restore({k: v.clone() for k, v in first.tensors().items()})
    for n in range(3, 6):
        step(first, one, n)
        step(second, two, n)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_the_plan_follows_data_and_budget():
    def size(targets, rows, **asked):
        options = TrainOptions(data="-", **asked)
        plan = choose_plan(options, targets=targets, rows=rows)
        return plan, choose_size(options, plan, targets=targets, rows=rows)

    small, large = size(20_000, 3_000), size(20_000_000, 160_000, steps=20_000)
    assert small[1].width < large[1].width
    assert small[0].batch_size > large[0].batch_size
    assert choose_rate(TrainOptions(data="-"), small[1].width, 1.0) > choose_rate(TrainOptions(data="-"), large[1].width, 1.0)
    assert size(20_000, 3_000, epochs=2)[0].steps == 2 * -(-3_000 // small[0].batch_size)
    asked = size(20_000, 3_000, width=96, layers=3, heads=3, batch_size=7, steps=11, warmup_steps=2)
    assert (asked[1].width, asked[1].layers, asked[1].heads) == (96, 3, 3)
    assert (asked[0].batch_size, asked[0].steps, asked[0].warmup) == (7, 11, 2)
    assert size(10, 2)[0].batch_size <= 2

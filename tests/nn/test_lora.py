"""Adapters on any model: what they add, which rows they answer, merging to the bit and back; the packed path beside its slow twin."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from harken.base.errors import InputError
from harken.checkpoint.adapter_config import ALL, Setting
from harken.checkpoint.adapters import begin
from harken.checkpoint.matrices import matrices
from harken.families.table import FAMILIES, build, config_class, family
from harken.nn.mask import Mask
from harken.nn.models import Model

IDS = torch.tensor([[1, 5, 9, 3, 2], [4, 4, 8, 1, 7], [2, 6, 5, 9, 3]])
LEARN = [name for name in FAMILIES if family(name).LEARNS == "gradients" and name not in ("gpt", "bigram")]  # one again, one of no matrix


def model_of(name: str, **changes: Any) -> Model:
    config = config_class(name).sized(16, 2, 2, 16, 12, 0.0)
    for key, value in changes.items():
        setattr(config, key, value)
    config.initializer_range = 0.3
    return build(config, seed=0)


def said(model: Model, ids: Tensor = IDS, **more: Any) -> Tensor:
    with torch.no_grad():
        return model(ids, ids, **more) if model.reads == "source" else model(ids, **more)


def put(model: Model, name: str, seed: int, **asked: Any) -> None:
    """An adapter that has learned something."""
    begin(model, Setting(rank=3, alpha=6, **{"targets": ALL, **asked}), name=name, seed=seed)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for each in model.adapters.learned().values():
            each += 0.2 * torch.randn_like(each)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("name", LEARN)
def test_every_family_begins_as_it_was_and_merges(name, dora):
    model = model_of(name)
    plain, held = said(model), copy.deepcopy(dict(model.state_dict()))
    begin(model, Setting(targets=ALL, dora=dora))
    assert (said(model) - plain).abs().max() < 1e-5  # B is zero, m the norms of W
    model.adapters.use(None)
    put(model, "other", 1, dora=dora)
    moved = said(model)
    assert (moved - plain).abs().max() > 1e-3
    model.adapters.merge()
    assert (said(model) - moved).abs().max() < 1e-5 * max(1, moved.abs().max())
    model.adapters.unmerge()
    assert torch.equal(said(model), moved)
    model.adapters.use(None)
    assert torch.equal(said(model), plain)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in held.items())


def test_a_packed_model_answers_as_the_slow_twin_and_each_row_by_itself():
    for dora in (False, True):
        model = model_of("llama", num_key_value_heads=1)
        put(model, "one", 1, targets=("q_proj", "v_proj", "down_proj"), dora=dora)
        slow = said(model)
        model.pack()
        whole = said(model)
        assert (whole - slow).abs().max() < 1e-5
        alone = torch.cat([said(model, row[None]) for row in IDS])
        assert torch.equal(whole, alone)
        ragged = said(model, mask=Mask(lengths=torch.tensor([5, 2, 4])))
        assert torch.equal(ragged[1, :2], whole[1, :2])
        model.adapters.merge()
        assert model.packed and (said(model) - slow).abs().max() < 1e-5
        model.adapters.unmerge()
        assert torch.equal(said(model), whole)


def test_each_row_of_a_batch_has_an_adapter_of_its_own():
    model = model_of("gpt2")
    put(model, "one", 1)
    put(model, "two", 2, targets=("attn.qkv",), dora=True)
    model.pack()
    alone = {}
    for name in ("one", "two", None):
        with model.adapters.use(name):
            alone[name] = said(model)
    assert model.adapters.chosen == "two"  # the last that was put on, and now again
    assert not torch.equal(alone["one"], alone["two"])
    with model.adapters.use(["two", None, "one"]):
        mixed = said(model)
        with pytest.raises(InputError, match="an adapter was named for each of 3 rows, and the batch has 2"):
            said(model, IDS[:2])
    for row, name in enumerate(("two", None, "one")):
        assert torch.equal(mixed[row], alone[name][row])


def test_steps_with_a_cache_are_those_without():
    model = model_of("llama")
    put(model, "one", 1)
    model.pack()
    cache = model.begin(3, 5)
    with torch.no_grad():
        steps = torch.cat([model(IDS[:, n : n + 1], cache=cache) for n in range(5)], 1)
    assert torch.equal(steps, said(model))


def test_only_the_adapter_learns():
    model = model_of("bert")
    begin(model, Setting(targets=("query", "value"), dora=True))
    learned = model.adapters.learned()
    assert learned and all(".updates._default." in name for name in learned)
    widths = {tuple(each.shape) for each in learned.values()}
    assert widths == {(16, 16), (16, 8), (16,)}  # both A one below the other, B, m
    model.train()
    model(IDS).sum().backward()
    update: Any = model.adapters.of("default")["stack.blocks.0.attn.qkv"]
    assert [(part.start, part.rows) for part in update.slices] == [(0, 16), (32, 16)]
    assert update.b[0].weight.grad.abs().sum() > 0
    assert not update.a.weight.grad.abs().sum()  # as B is still zero
    model.adapters.use(None)
    assert set(model.adapters.learned()) >= {"stack.embed.tokens.weight"}


def test_what_cannot_be_is_said():
    model = model_of("llama")
    with pytest.raises(InputError, match=r"no matrix called 'q_prj' .*did you mean 'q_proj'"):
        begin(model, Setting(targets=("q_prj",)))
    with pytest.raises(InputError, match=r"embed_tokens is the table of token vectors"):
        begin(model, Setting(targets=("embed_tokens",)))
    with pytest.raises(InputError, match="no adapter 'x'"):
        model.adapters.use("x")
    with pytest.raises(InputError, match="none to merge"):
        model.adapters.merge()
    put(model, "one", 1)
    with pytest.raises(InputError, match="'one' is taken"):
        put(model, "one", 1)
    with pytest.raises(InputError, match="take letters"):
        put(model, "v1.5", 1)
    model.adapters.merge()
    with pytest.raises(InputError, match=r"unmerge\(\) first"):
        model.adapters.use(None)
    recurrent = model_of("gru")
    put(recurrent, "one", 1, dropout=0.1)
    with pytest.raises(InputError, match="no adapter on it can have dropout"):
        recurrent.train()(IDS)


def test_forgetting_leaves_a_plain_model():
    model = model_of("llama")
    names = set(model.state_dict())
    put(model, "one", 1)
    moved = said(model)
    model.adapters.merge(keep=False)
    assert set(model.state_dict()) == names and not model.adapters.names
    assert (said(model) - moved).abs().max() < 1e-5


def test_a_fused_matrix_is_as_many_as_a_checkpoint_has():
    llama, gpt2 = matrices(model_of("llama")), matrices(model_of("gpt2"))
    q, v = (llama[f"model.layers.1.self_attn.{x}_proj"] for x in "qv")
    assert (q.layer, q.start, v.layer) == ("stack.blocks.1.attn.qkv", 0, q.layer) and v.start > 0
    fused = gpt2["transformer.h.0.attn.c_attn"]
    assert (fused.start, fused.rows, fused.inputs, fused.transposed) == (0, 48, 16, True)

"""Models: packing loses nothing, the past never sees the future, wrong input is one sentence, and every weight learns."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from harken.base.errors import InputError
from harken.families.mistral import MistralConfig
from harken.families.table import build
from harken.nn.decoder import Decoder
from harken.nn.linear import Linear
from harken.nn.mask import Mask
from harken.nn.mlp import MLP
from harken.nn.position import Rotary

Tiny = Callable[[str], Decoder]
NAMES = ["gpt2", "gpt2-odd", "llama", "llama-odd", "gpt", "qwen3"]
every = pytest.mark.parametrize("name", NAMES)


def ids_of(model: Decoder, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(model.config.vocab_size, shape, generator=torch.Generator().manual_seed(seed))


@every
def test_packing_replaces_the_parameters_and_gives_them_back(tiny: Tiny, name: str) -> None:
    model = tiny(name)
    before = {key: (parameter, parameter.detach().clone()) for key, parameter in model.named_parameters()}
    model.pack()
    linears = [part for part in model.modules() if isinstance(part, Linear)]
    assert model.packed and all(part.weight.numel() == 0 and part.packed is not None for part in linears)
    model.pack()  # twice is once
    model.unpack()
    assert not model.packed and all(part.packed is None for part in linears)
    after = dict(model.named_parameters())
    assert after.keys() == before.keys()
    for key, (parameter, value) in before.items():
        assert after[key] is parameter and torch.equal(parameter.view(torch.int32), value.view(torch.int32))


ASKING = {
    "parameters": lambda model: list(model.parameters()),
    "named_parameters": lambda model: [value for _, value in model.named_parameters()],
    "state_dict": lambda model: list(model.state_dict().values()),
    "to": lambda model: list(model.to("cpu").parameters()),
    "double": lambda model: list(model.double().parameters()),
    "train": lambda model: [part.weight for part in model.train().modules() if isinstance(part, Linear)],
    "requires_grad_": lambda model: list(model.requires_grad_(False).parameters()),
    "load_state_dict": lambda model: list((model.load_state_dict(copy.deepcopy(model).state_dict()), model.parameters())[1]),
}


@pytest.mark.parametrize("how", ASKING)
def test_who_asks_for_weights_gets_them(tiny: Tiny, how: str) -> None:
    model = tiny("llama")
    want = {tuple(value.shape) for value in model.parameters()}
    model.pack()
    assert model.packed
    got = ASKING[how](model)
    assert not model.packed and got and all(value.numel() for value in got)
    assert {tuple(value.shape) for value in got} <= want


def test_eval_and_a_copy_keep_a_model_packed(tiny: Tiny) -> None:
    model = tiny("gpt2")
    model.pack()
    twin = copy.deepcopy(model.eval())
    ids = ids_of(model, 2, 5)
    assert model.packed and twin.packed and torch.equal(twin(ids), model(ids))
    assert [tuple(p.shape) for p in twin.parameters()] == [tuple(p.shape) for p in tiny("gpt2").parameters()]


def test_only_float32_on_a_cpu_is_packed(tiny: Tiny) -> None:
    model = tiny("gpt2").double()
    model.pack()
    assert not model.packed


@every
@pytest.mark.parametrize("mask", [None, Mask(lengths=torch.tensor([9, 4, 1]))], ids=["whole", "padded"])
def test_packed_logits_are_close(tiny: Tiny, name: str, mask: Mask | None) -> None:
    model = tiny(name)
    ids = ids_of(model, 3, 9)
    want = model(ids, mask).detach()
    model.pack()
    got = model(ids, mask)  # also without no_grad
    assert not got.requires_grad and (got - want).abs().max() <= 2e-6 * want.abs().max()


@every
@pytest.mark.parametrize("packed", [True, False])
def test_packed_documents_read_as_if_alone(tiny: Tiny, name: str, packed: bool) -> None:
    model = tiny(name).requires_grad_(False)
    if packed:
        model.pack()
    counts = [5, 1, 9, 20]  # 35 tokens: more than the context, which holds for each document
    ids = ids_of(model, sum(counts))
    got = model(ids, Mask(starts=torch.tensor([0, *np.cumsum(counts)])))
    want = torch.cat([model(part[None])[0] for part in ids.split(counts)])
    if packed:
        assert torch.equal(got, want)
    else:
        torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-5)


@every
@pytest.mark.parametrize("packed", [True, False])
def test_no_future_token_changes_an_earlier_logit(tiny: Tiny, name: str, packed: bool) -> None:
    model = tiny(name).requires_grad_(False)
    if packed:
        model.pack()
    ids = ids_of(model, 2, 12)
    want = model(ids)
    for place in range(1, 12):
        other = ids.clone()
        other[:, place:] = ids_of(model, 2, 12 - place, seed=place)
        assert torch.equal(model(other)[:, :place], want[:, :place])
    assert not torch.equal(model(other)[:, 11], want[:, 11])


@every
@pytest.mark.parametrize("packed", [True, False])
def test_wrong_input_is_one_sentence(tiny: Tiny, name: str, packed: bool) -> None:
    model = tiny(name)
    vocab = model.config.vocab_size
    if packed:
        model.pack()
    for wrong in (vocab, -1, 10**9):
        ids = ids_of(model, 2, 4)
        ids[1, 2] = wrong
        with pytest.raises(InputError, match=rf"^token id {wrong} is out of range: the vocabulary has {vocab} ids, 0 to {vocab - 1}$"):
            model(ids)
    with pytest.raises(InputError, match=r"^a sequence of 33 tokens does not fit: this model reads at most 32$"):
        model(ids_of(model, 1, 33))
    with pytest.raises(InputError, match=r"^a sequence of 33 tokens does not fit: this model reads at most 32$"):
        model(ids_of(model, 40), Mask(starts=torch.tensor([0, 7, 40])))
    with pytest.raises(InputError, match=r"runs from 0 to 9, the packed row from 0 to 8$"):
        model(ids_of(model, 8), Mask(starts=torch.tensor([0, 4, 9])))
    with pytest.raises(InputError, match=r"has 2 lengths for a batch of 3 rows$"):
        model(ids_of(model, 3, 4), Mask(lengths=torch.tensor([4, 4])))
    with pytest.raises(InputError, match=r"^there is no token to read"):
        model(ids_of(model, 2, 0))
    with pytest.raises(InputError, match=r"^a packed row \(T,\) has no padding"):
        model(ids_of(model, 8), Mask(lengths=torch.tensor([8])))
    with pytest.raises(InputError, match=r"^Mask\(starts=\.\.\.\) is for one packed row \(T,\), not for tokens \(2, 4\)"):
        model(ids_of(model, 2, 4), Mask(starts=torch.tensor([0, 4])))


def test_a_model_keeps_its_own_window(tiny: Tiny) -> None:
    model = tiny("llama").requires_grad_(False)
    ids, lengths = ids_of(model, 2, 10), torch.tensor([10, 6])
    want = model(ids, Mask(window=3, lengths=lengths))
    assert not torch.allclose(want, model(ids, Mask(lengths=lengths)), atol=1e-3)
    sizes = {f.name: getattr(model.config, f.name) for f in dataclasses.fields(model.config)}
    near = build(MistralConfig(**{k: v for k, v in sizes.items() if not k.endswith("_bias")}, sliding_window=3), seed=0).requires_grad_(
        False
    )
    near.load_state_dict(model.state_dict())
    for mask in (None, Mask(), Mask(lengths=lengths), Mask(window=5)):
        torch.testing.assert_close(near(ids, mask), want)
    near.pack()
    cache = near.begin(2, 12)
    steps = [near(ids[:, place : place + 1], cache=cache) for place in range(10)]
    assert torch.equal(torch.cat(steps, 1), near(ids))


def test_layers_that_see_equally_far_share_one_look(tiny: Tiny) -> None:
    call = tiny("qwen3").prepare(torch.ones(1, 10, dtype=torch.int64))
    assert {None, 3} == set(call.looks) and call.looks[None].allowed is None and call.looks[3].allowed is not None
    assert tiny("qwen3").prepare(torch.ones(1, 3, dtype=torch.int64)).looks[3].allowed is None  # a window that hides nothing


def test_a_fixed_cache_has_one_shape_for_ever(tiny: Tiny) -> None:
    model = tiny("qwen3").requires_grad_(False)
    ids = ids_of(model, 2, 9)
    cache = model.begin(2, 16)
    cache.fixed, shapes, parts = True, set(), []
    for token in ids.split(1, 1):
        call = model.prepare(token, cache=cache)
        shapes.add(tuple((window, look.keys, tuple(look.allowed.shape)) for window, look in call.looks.items()))
        parts.append(model.compute(token, call))
        cache.close()
    assert len(shapes) == 1
    torch.testing.assert_close(torch.cat(parts, 1), model(ids), rtol=1e-4, atol=2e-5)


@every
def test_gradients_flow_to_every_parameter(tiny: Tiny, name: str) -> None:
    model = tiny(name)
    model.pack()
    model.train()
    ids = torch.arange(130).view(13, 10) % model.config.vocab_size
    torch.nn.functional.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), key


@every
def test_a_model_learns_after_answering_in_inference_mode(tiny: Tiny, name: str) -> None:
    model = tiny(name)
    ids = ids_of(model, 2, 6)
    with torch.inference_mode():
        model(ids)
        model.pack()
        model(ids)
        model.unpack()
    model.train()
    model(ids).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@every
def test_score(tiny: Tiny, name: str) -> None:
    model = tiny(name).requires_grad_(False)
    ids, lengths = ids_of(model, 3, 7), torch.tensor([7, 2, 4])
    model.pack()
    got = model.score(ids, Mask(lengths=lengths))
    logs = model(ids).log_softmax(-1)
    assert got.shape == (3, 7) and not got[:, 0].any()
    for row in range(3):
        for place in range(1, int(lengths[row])):
            torch.testing.assert_close(got[row, place], logs[row, place - 1, ids[row, place]])
    for row, count in enumerate(lengths):
        assert torch.equal(model.score(ids[row, None, :count])[0], got[row, :count])


@every
@pytest.mark.parametrize("packed", [True, False])
def test_attention_maps(tiny: Tiny, name: str, packed: bool) -> None:
    model = tiny(name).requires_grad_(False)
    ids = ids_of(model, 2, 9)
    want = model(ids)
    if packed:
        model.pack()
    maps: list[torch.Tensor] = []
    torch.testing.assert_close(model(ids, maps=maps), want, rtol=1e-4, atol=2e-5)
    heads = model.stack.blocks[0].attn.heads
    assert [tuple(each.shape) for each in maps] == [(2, heads, 9, 9)] * 2
    for each in maps:
        torch.testing.assert_close(each.sum(-1), torch.ones(2, heads, 9), rtol=0, atol=1e-6)
        assert not each.triu(1).any() and (each >= 0).all()
    cache, steps = model.begin(2, 12), []
    model(ids[:, :8], cache=cache)
    model(ids[:, 8:], cache=cache, maps=steps)
    torch.testing.assert_close(steps[1], maps[1][:, :, 8:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("width", [2, 6, 8, 22, 64, 126])
def test_the_rotary_table_grows_without_changing(width: int) -> None:
    rotary = Rotary(width)
    rotary.reach(5)
    tables = [rotary.table]
    for length in (257, 300, 1025, 5000):
        rotary.reach(length)
        tables.append(rotary.table)
    for shorter, longer in itertools.pairwise(tables):
        assert longer.shape[0] >= shorter.shape[0]
        assert torch.equal(longer[: len(shorter)].view(torch.int32), shorter.view(torch.int32))
    place = torch.arange(5000)[:, None].double()
    angle = place * 10000.0 ** (-torch.arange(0, width, 2).double() / width)
    torch.testing.assert_close(tables[-1][:5000].double(), torch.stack([angle.cos(), angle.sin()], 1), rtol=0, atol=5e-4)


def test_rotation_keeps_lengths_and_depends_on_distance_alone() -> None:
    rotary = Rotary(8)
    rotary.reach(64)
    x, y = torch.randn(2, 1, 1, 1, 8)
    turned = [rotary(x, torch.tensor([[place]])) for place in (0, 7, 40)]
    for each in turned:
        torch.testing.assert_close(each.norm(), x.norm())
    assert torch.equal(turned[0], x)
    products = [(rotary(x, torch.tensor([[p + 5]])) * rotary(y, torch.tensor([[p]]))).sum() for p in (0, 11, 50)]
    torch.testing.assert_close(torch.stack(products), products[0].expand(3), rtol=1e-4, atol=1e-5)


def test_the_rotary_table_stays_float32(tiny: Tiny) -> None:
    model = tiny("llama").requires_grad_(False)
    ids = ids_of(model, 1, 9)
    model(ids)
    table = next(part for part in model.modules() if isinstance(part, Rotary)).table
    model.bfloat16()
    assert model(ids).dtype == torch.bfloat16
    model.float()
    model(ids)
    assert torch.equal(next(part for part in model.modules() if isinstance(part, Rotary)).table, table)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_half_precision_stays_near(tiny: Tiny, name: str) -> None:
    model = tiny(name).requires_grad_(False)
    ids = ids_of(model, 2, 9)
    want = model(ids)
    model.bfloat16()
    cache = model.begin(2, 9)
    got = torch.cat([model(ids[:, :4], cache=cache), model(ids[:, 4:], cache=cache)], 1)
    assert cache.keys[0].dtype == torch.bfloat16 and (got.float() - want).abs().max() <= 0.05 * want.abs().max()


def test_an_unknown_activation_is_one_sentence() -> None:
    with pytest.raises(InputError, match="activation 'swoosh' is not known"):
        MLP(4, 8, "swoosh")


def test_dropout_only_while_training(tiny: Tiny) -> None:
    model = tiny("gpt2-odd")  # its config drops a tenth, everywhere
    ids = ids_of(model, 2, 6)
    assert torch.equal(model(ids), model(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))
    assert isinstance(model.stack.norm, nn.LayerNorm)

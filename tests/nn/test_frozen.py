"""An adapter learns beside weights held in few bits: as beside the same weights in float32, and they stay what they are."""

from __future__ import annotations

import pytest
import torch

from harken.checkpoint.adapter_config import ALL, Setting
from harken.checkpoint.adapters import begin
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.nn import frozen
from harken.nn.linear import Linear
from harken.nn.mask import Mask
from harken.nn.models import Model
from harken.nn.packing import linears
from harken.nn.quant import KINDS
from harken.objectives.causal import summed

IDS = torch.arange(24).view(2, 12) * 5 % 61


def made(*, dora: bool = False, tied: bool = True) -> Model:
    """A model with an adapter that says something."""
    sizes = {"vocab_size": 200, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "max_position_embeddings": 32}
    config = LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=tied)
    model = build(config, seed=1)
    begin(model, Setting(rank=4, alpha=8, targets=ALL, dora=dora))
    torch.manual_seed(2)
    with torch.no_grad():
        for each in model.adapters.learned().values():
            each.add_(torch.randn_like(each) * 0.05)
    return model


def rounded(model: Model, kind: str) -> Model:
    """The same with the weights as `kind` holds them, in float32."""
    model.freeze(kind)
    for layer in linears(model):
        layer.thaw()
    for name, each in model.named_parameters():
        each.requires_grad_(name in model.adapters.learned())
    return model


def learned(model: Model) -> list[torch.Tensor]:
    """The loss and the gradients of what learns."""
    model.train()
    total = summed(model, [IDS], Mask(), IDS.roll(-1, 1))
    total.backward()
    return [total.detach(), *(each.grad for each in model.adapters.learned().values() if each.grad is not None)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_gradients_are_those_beside_the_weights_given_back(kind: str, dora: bool, tied: bool) -> None:
    model = made(dora=dora, tied=tied)
    model.freeze(kind)
    assert all(not layer.weight.numel() for name, layer in model.named_modules() if isinstance(layer, Linear) and "updates" not in name)
    found, right = learned(model), learned(rounded(made(dora=dora, tied=tied), kind))
    assert len(found) == len(right) > 10
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_decoded_to_the_bits_that_are_multiplied_with(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "AT_ONCE", 9_000)
    layer = Linear(70, 150)
    layer.freeze(kind)
    torch.testing.assert_close(layer.read(torch.float32), layer.values(), rtol=0, atol=0)


def test_frozen_weights_answer_packed_and_stay_frozen() -> None:
    model = made()
    model.freeze("int8")
    before = model.eval()(IDS).detach()
    model.pack()
    torch.testing.assert_close(model(IDS), before, rtol=0, atol=0.05 * float(before.std()))  # what it multiplies is made narrow, too
    model.train()
    assert all(layer.frozen and not layer.weight.numel() for layer in (model.stack.blocks[0].mlp.up, model.stack.embed.tokens))
    torch.testing.assert_close(model(IDS), before, rtol=1e-5, atol=1e-6)


def test_a_merged_model_has_its_weights_again() -> None:
    model = made()
    model.freeze("int4")
    before = model.eval()(IDS).detach()
    model.adapters.merge()
    torch.testing.assert_close(model(IDS), before, rtol=1e-4, atol=1e-4)


def test_under_autocast_products_are_in_bfloat16() -> None:
    config = GPT2Config(vocab_size=61, n_positions=16, n_embd=64, n_layer=1, n_head=2)
    model = build(config, seed=0)
    begin(model, Setting(rank=2, alpha=4, targets=ALL))
    model.freeze("int8")
    with torch.autocast("cpu", torch.bfloat16):
        y = model.stack.blocks[0].mlp.up(torch.randn(3, 64, requires_grad=True))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()

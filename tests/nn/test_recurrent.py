"""Recurrent layers: torch's fused kernel and our step by step are twins, and a state is remembered, kept apart and restored."""

from __future__ import annotations

import pytest
import torch

from harken.base.errors import InputError
from harken.nn.cache import StateCache
from harken.nn.embedding import Embedding
from harken.nn.heads import LanguageModel
from harken.nn.linear import activate
from harken.nn.mask import Mask
from harken.nn.recurrent import GATES, Layer, Recurrent

CELLS = list(GATES)


def layer_of(cell: str, inputs: int = 5, hidden: int = 7) -> Layer:
    torch.manual_seed(0)
    layer = Layer(cell, inputs, hidden)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    return layer


def model_of(cell: str) -> Recurrent:
    torch.manual_seed(0)
    model = Recurrent(Embedding(19, 8), [Layer(cell, 8, 8), Layer(cell, 8, 8)], LanguageModel(), context=30)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    return model.eval()


def start(layer: Layer, batch: int) -> torch.Tensor:
    return torch.zeros(2 if layer.cell == "lstm" else 1, batch, layer.hidden)


@pytest.mark.parametrize("cell", CELLS)
def test_fused_and_step_by_step_agree_with_their_gradients(cell: str) -> None:
    layer, x = layer_of(cell), torch.randn(3, 11, 5)
    found = []
    for way in (layer.fused, lambda x: layer.steps(x, start(layer, 3), None, False)[0]):
        x = x.detach().requires_grad_()
        out = way(x)
        grads = torch.autograd.grad((out * torch.arange(7.0)).sum(), [x, *layer.parameters()])
        found.append([out, *grads])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_exact_steps_agree_with_plain_ones_and_with_themselves_in_any_batch(cell: str) -> None:
    layer, x = layer_of(cell, 6, 37).requires_grad_(False), torch.randn(9, 8, 6)
    plain, state = layer.steps(x, start(layer, 9), None, False)
    layer.input.pack(), layer.state.pack()
    exact, exact_state = layer.steps(x, start(layer, 9), None, True)
    torch.testing.assert_close(exact, plain, rtol=0, atol=2e-6)
    torch.testing.assert_close(exact_state, state, rtol=0, atol=4e-6)
    for rows in (slice(0, 1), slice(3, 5), slice(2, 9)):
        part, part_state = layer.steps(x[rows], start(layer, len(x[rows])), None, True)
        assert torch.equal(part, exact[rows]) and torch.equal(part_state, exact_state[:, rows])


@pytest.mark.parametrize("act", ["tanh", "sigmoid", "silu", "gelu", "relu"])
def test_an_exact_activation_has_the_same_bits_wherever_a_value_stands(act: str) -> None:
    x = 4 * torch.randn(7, 83, generator=torch.Generator().manual_seed(0))
    whole = activate(x, act, True)
    torch.testing.assert_close(whole, activate(x, act, False), rtol=1e-6, atol=2e-6)
    assert torch.equal(torch.stack([activate(column, act, True) for column in x.T], 1), whole)
    assert torch.equal(activate(x[:, 5:31], act, True), whole[:, 5:31])


@pytest.mark.parametrize("cell", CELLS)
def test_each_row_stops_at_its_own_length(cell: str) -> None:
    layer, x = layer_of(cell), torch.randn(4, 6, 5)
    _, state = layer.steps(x, start(layer, 4), torch.tensor([6, 2, 0, 3]), False)
    for row, count in enumerate([6, 2, 0, 3]):
        alone = layer.steps(x[row : row + 1, :count], start(layer, 1), None, False)[1] if count else start(layer, 1)
        torch.testing.assert_close(state[:, row], alone[:, 0])


@pytest.mark.parametrize("cell", CELLS)
def test_a_snapshot_restores_the_state_itself(cell: str) -> None:
    model = model_of(cell)
    ids = torch.randint(19, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        cache = model.begin(2, 20)
        model(ids[:, :5], Mask(lengths=torch.tensor([5, 3])), cache=cache)
        kept = cache.snapshot()
        first = model(ids[:, 5:], cache=cache)
        model(ids[:, :2], cache=cache)
        for _ in range(2):  # as often as wanted
            cache.restore(kept)
            assert cache.lengths.tolist() == [5, 3]
            assert torch.equal(model(ids[:, 5:], cache=cache), first)


def test_a_state_cannot_forget() -> None:
    cache = StateCache(2, 2, 3, 4, 10, torch.empty(0))
    cache.open(5, torch.tensor([5, 2, 1]))
    cache.close()
    with pytest.raises(InputError, match="cannot forget its last tokens: restore a snapshot"):
        cache.trim(torch.tensor([5, 1, 1]))
    cache.trim(torch.tensor([5, 9, 1]))  # nothing to forget
    assert cache.lengths.tolist() == [5, 2, 1] and cache.nbytes == 2 * 2 * 3 * 4 * 4


def test_the_size_of_a_state_does_not_depend_on_what_is_read() -> None:
    model = model_of("lstm")
    assert model.begin(3, 5).nbytes == model.begin(3, 30).nbytes
    with pytest.raises(InputError, match="31 tokens does not fit: this model reads at most 30"):
        model(torch.zeros(1, 31, dtype=torch.int64))


@pytest.mark.parametrize("cell", CELLS)
def test_fresh_weights_carry_signals_through_time(cell: str) -> None:
    layer = Layer(cell, 8, 16)
    layer.initialise()
    for gate in layer.state.weight.detach().split(16):
        torch.testing.assert_close(gate @ gate.T, torch.eye(16), rtol=0, atol=1e-5)
    bias = layer.input.bias
    assert bias is not None
    want = torch.zeros(GATES[cell] * 16)
    want[16:32] = 1 if cell == "lstm" else 0
    assert torch.equal(bias.detach(), want)


def test_dropout_only_while_training() -> None:
    model = model_of("gru")
    model.dropout = 0.5
    ids = torch.arange(6)[None]
    assert torch.equal(model(ids), model(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))


def test_it_shows_no_maps_it_does_not_have() -> None:
    with pytest.raises(InputError, match="does not attend to anything"):
        model_of("rnn")(torch.zeros(1, 2, dtype=torch.int64), maps=[])

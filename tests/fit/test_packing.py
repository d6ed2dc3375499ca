"""Packed and padded batches are the same batch: loss, gradients, and documents that do not see each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import harken
from harken.base.errors import InputError
from harken.data.batches import Spans, parts, runs
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.nn.mask import Mask
from harken.objectives.causal import batch_loss


def source(lead: int | None, rng: np.random.Generator) -> Spans:
    lengths = rng.integers(2, 30, 20)
    ends = np.cumsum(lengths)
    spans = np.stack([ends - lengths + (lead is None), ends], 1)
    return Spans(rng.integers(0, 40, int(ends[-1])).astype(np.int32), spans, lead, 32)


def gradients(model, loss) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.total.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("config", [LlamaConfig, GPT2Config])
@pytest.mark.parametrize("lead", [None, 1])
def test_packed_and_padded_rows_give_one_loss_and_one_gradient(config, lead):
    spans = source(lead, np.random.default_rng(0))
    model = build(config.sized(32, 2, 4, 32, 40, 0.0), seed=1).train()
    rows = spans.rows()
    padded, packed = (batch_loss(model, spans, rows, 0, pack=pack) for pack in (False, True))
    assert padded.tokens == packed.tokens == spans.targets
    assert packed.total.item() == pytest.approx(padded.total.item(), rel=1e-5)
    one, two = gradients(model, padded), gradients(model, packed)
    for name in one:
        assert (one[name] - two[name]).abs().max() <= 1e-5 * max(1.0, one[name].abs().max().item()), name


def test_a_document_of_a_packed_row_is_alone():
    """Changing every token of the others changes nothing in it, to the bit."""
    model = build(LlamaConfig.sized(32, 2, 4, 64, 40, 0.0), seed=1).train()
    ids = torch.randint(0, 40, (30,), generator=torch.Generator().manual_seed(0))
    other = (ids + 7) % 40
    other[12:20] = ids[12:20]
    mask = Mask(starts=torch.tensor([0, 12, 20, 30]))
    one, two = model(ids, mask), model(other, mask)
    assert torch.equal(one[12:20], two[12:20])
    assert not torch.isclose(one[:12], two[:12]).all()
    alone = model(ids[None, 12:20])[0]
    assert torch.allclose(one[12:20], alone, atol=1e-5)


@pytest.mark.parametrize("least", [1, 3])
def test_runs_are_all_rows_in_order_in_parts_of_about_the_same_size(least):
    spans = source(1, np.random.default_rng(1))
    rows = spans.rows()
    found = runs(rows, least, 60)
    assert np.array_equal(np.concatenate(found), rows)
    assert len(found) >= least
    sizes = [int((part[:, 1] - part[:, 0]).sum()) for part in found]
    assert max(sizes) <= 60 + 30 + 30
    assert sum(len(part) for part in parts(rows, 1)) == len(rows)


def test_training_packs_where_a_model_can_and_learns_the_same(lines, tmp_path):
    small = {"width": 32, "layers": 2, "heads": 2, "batch_size": 16, "steps": 40}
    losses = [harken.train(str(lines), out=str(tmp_path / str(pack)), pack=pack, **small).loss for pack in (True, False, None)]
    assert losses[0] == losses[2]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    with pytest.raises(InputError, match="family lstm cannot read packed rows"):
        harken.train(str(lines), model="lstm", out=str(tmp_path / "lstm"), pack=True, **small)

"""Instruction tuning: the loss of transformers with -100 in front of it, and the same however rows lie beside each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from harken.base.errors import InputError
from harken.checkpoint.save import save
from harken.data.batches import Spans
from harken.data.turns import Turns
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.recurrent import LSTMConfig
from harken.families.table import build
from harken.measure.loss import measure
from harken.objectives.instruct import batch_loss, nats, row_nats


def turns(seed: int = 0) -> Turns:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(6, 30, 12)
    ends = np.cumsum(lengths)
    learned = rng.random(int(ends[-1])) < 0.4
    learned[ends - 1] = True
    learned[ends - lengths] = False
    ids = rng.integers(0, 40, int(ends[-1])).astype(np.int32)
    return Turns(Spans(ids, np.stack([ends - lengths + 1, ends], 1), None, 32), learned, np.arange(12))


def gradients(model, loss) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.total.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("config", [LlamaConfig, GPT2Config])
def test_packed_and_padded_rows_give_one_loss_and_one_gradient(config):
    source, model = turns(), build(config.sized(32, 2, 4, 32, 40, 0.0), seed=1).train()
    rows = source.rows()
    padded, packed = (batch_loss(model, source, rows, 0, pack=pack) for pack in (False, True))
    assert padded.tokens == packed.tokens == source.answered
    assert packed.total.item() == pytest.approx(padded.total.item(), rel=1e-5)
    one, two = gradients(model, padded), gradients(model, packed)
    for name in one:
        assert (one[name] - two[name]).abs().max() <= 1e-5 * max(1.0, one[name].abs().max().item()), name


@pytest.mark.parametrize(("config", "theirs"), [(LlamaConfig, LlamaForCausalLM), (GPT2Config, GPT2LMHeadModel)])
def test_the_loss_is_that_of_transformers(config, theirs, tmp_path):
    source, model = turns(1), build(config.sized(32, 2, 4, 32, 40, 0.0), seed=1)
    save(model, None, tmp_path)
    other = theirs.from_pretrained(tmp_path).eval()
    rows = source.rows()
    each = []
    for begin, end in rows:
        ids = torch.from_numpy(source.spans.ids[begin - 1 : end].astype(np.int64))[None]
        labels = ids.masked_fill(~torch.from_numpy(source.learned[begin - 1 : end])[None], -100)
        with torch.no_grad():
            each.append(other(ids, labels=labels).loss.item() * int((labels[:, 1:] != -100).sum()))
    found = row_nats(model, source, rows, 0)
    assert np.allclose(found[:, 0], each, rtol=1e-5, atol=1e-4)
    total, count = nats(model, source, rows, 0)
    assert total == pytest.approx(sum(each), rel=1e-5) and count == found[:, 1].sum() == source.answered
    model.pack()
    assert measure(model, source, pad=0, batch_size=3).nats == pytest.approx(total, rel=1e-5)


def test_documents_of_a_packed_batch_are_alone():
    source, model = turns(2), build(LlamaConfig.sized(32, 2, 4, 32, 40, 0.0), seed=1)
    rows = source.rows()
    with torch.no_grad():
        alone = sum(batch_loss(model, source, rows[n : n + 1], 0, pack=True).total.item() for n in range(len(rows)))
        assert batch_loss(model, source, rows, 0, pack=True).total.item() == pytest.approx(alone, rel=1e-5)


def test_models_that_are_no_decoders_learn_the_same_tokens():
    source, model = turns(3), build(LSTMConfig.sized(16, 1, 1, 32, 40, 0.0), seed=1)
    assert batch_loss(model, source, source.rows(), 0).tokens == source.answered


def test_a_batch_without_an_answer_is_refused():
    source = turns()
    source.learned[:] = False
    with pytest.raises(InputError, match="no token that the assistant says"):
        batch_loss(build(LlamaConfig.sized(32, 1, 2, 32, 40, 0.0), seed=1), source, source.rows(), 0)

"""Causal language modelling: every token is predicted once, and the gradient does not depend on how a batch is split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.data.batches import Batches, Spans, in_order
from harken.data.corpus import Corpus
from harken.data.ledger import Ledger
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.fit.fit import learn
from harken.fit.options import TrainOptions
from harken.fit.plan import choose_plan
from harken.objectives.causal import batch_loss, spans
from harken.text.train import train_characters

TOKENIZER = train_characters(["abcdefgh"])
TEXTS = st.lists(st.text("abcdefgh", min_size=1, max_size=40), min_size=1, max_size=12)


def targets_of(found: Spans, rows: list[np.ndarray]) -> list[int]:
    taken = [found.take(batch, 0)[1] for batch in rows]
    return sorted(int(t) for batch in taken for t in batch[batch != -100])


@given(TEXTS, st.integers(2, 16), st.sampled_from(["lines", "running"]), st.integers(1, 5), st.integers(0, 3))
def test_every_token_is_predicted_exactly_once_an_epoch(texts, context, kind, size, epoch):
    ledger = Ledger()
    found = spans(Corpus(texts, kind, "x"), TOKENIZER, context, ledger)
    wanted = sorted(i for text in texts for i in [*TOKENIZER.encode(text, special=False), TOKENIZER.eos_id])
    assert targets_of(found, in_order(found, size)) == wanted
    assert targets_of(found, Batches(found, size, seed=1).order(epoch)) == wanted
    assert ledger.get("tokens", "targets") == len(wanted) == found.targets
    assert ledger.get("tokens", "tokens") == sum(map(len, texts))


@given(TEXTS, st.sampled_from(["lines", "running"]))
def test_inputs_are_what_stands_before_the_targets(texts, kind):
    found = spans(Corpus(texts, kind, "x"), TOKENIZER, 8, Ledger())
    for batch in in_order(found, 3):
        inputs, targets, lengths = found.take(batch, TOKENIZER.pad_id)
        for row in range(len(batch)):
            n = lengths[row]
            assert (inputs[row, 1:n] == targets[row, : n - 1]).all()
            assert (targets[row, n:] == -100).all()
            assert (inputs[row, n:] == TOKENIZER.pad_id).all()
            if kind == "running":
                assert inputs[row, 0] == TOKENIZER.bos_id


def test_order_is_a_function_of_seed_and_epoch():
    found = spans(Corpus(["abc" * n for n in range(1, 30)], "lines", "x"), TOKENIZER, 16, Ledger())
    first, again = Batches(found, 4, seed=3), Batches(found, 4, seed=3)
    seen = [first.next() for _ in range(60)]
    again.position = first.position
    assert (first.next() == again.next()).all()
    fresh = Batches(found, 4, seed=3)
    assert all((a == fresh.next()).all() for a in seen)
    assert any(a.shape != b.shape or (a != b).any() for a, b in zip(first.order(0), first.order(1), strict=True))


def tiny(family):
    config = family.sized(32, 2, 2, 32, TOKENIZER.vocab_size, 0.0)
    config.initializer_range = 0.1
    return build(config, seed=0).train()


def test_the_loss_is_the_textbook_sum():
    model = tiny(LlamaConfig)
    found = spans(Corpus(["abc", "hgfedcba", "d"], "lines", "x"), TOKENIZER, 32, Ledger())
    loss = batch_loss(model, found, in_order(found, 8)[0], TOKENIZER.pad_id)
    total = 0.0
    for text in ("abc", "hgfedcba", "d"):
        ids = [*TOKENIZER.encode(text), TOKENIZER.eos_id]
        total += F.cross_entropy(model(torch.tensor([ids[:-1]]))[0], torch.tensor(ids[1:]), reduction="sum").item()
    assert loss.tokens == 15
    assert loss.total.item() == pytest.approx(total, rel=1e-6)


class Kept:
    """Stands where the optimizer would, and keeps the gradients."""

    def __init__(self, model):
        self.model = model

    def step(self, factor):
        self.gradients = [p.grad.clone() for p in self.model.parameters()]
        self.model.zero_grad()


@pytest.mark.parametrize("family", [LlamaConfig, GPT2Config])
def test_any_split_into_micro_batches_gives_the_same_gradient(family):
    model = tiny(family)
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefgh"), rng.integers(1, 30))) for _ in range(16)]
    found = spans(Corpus(texts, "lines", "x"), TOKENIZER, 32, Ledger())
    rows = in_order(found, 16)[0]
    gradients = {}
    for parts in (1, 2, 8, 16):
        plan = choose_plan(TrainOptions(data="-", accumulate=parts, batch_size=16, clip=1e9), targets=found.targets, rows=16)
        kept = Kept(model)
        learn(model, kept, found, rows, plan, TOKENIZER.pad_id, 1.0, 0)
        gradients[parts] = kept.gradients
    for parts in (2, 8, 16):
        for whole, split in zip(gradients[1], gradients[parts], strict=True):
            assert (whole - split).norm() <= 1e-5 * whole.norm() + 1e-9


def test_learning_on_nothing_is_an_error():
    model = tiny(LlamaConfig)
    found = Spans(np.zeros(4, np.int32), np.array([[2, 2]]), None, 8)
    with pytest.raises(InputError, match="no token to predict"):
        batch_loss(model, found, np.array([[2, 2], [3, 3]]), 0)
    with pytest.raises(InputError, match="no token to predict"):
        spans(Corpus([], "lines", "empty.txt"), TOKENIZER, 8, Ledger())

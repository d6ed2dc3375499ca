"""Distillation: the loss is the formula, whether rows are packed or not; a student like its teacher has nothing to learn of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harken.base.errors import InputError
from harken.data.batches import Spans
from harken.data.corpus import Corpus
from harken.data.corrupted import Masked
from harken.data.ledger import Ledger
from harken.data.texts import TextsBuilder
from harken.data.tokens import fitted, tokenised
from harken.families.table import build, config_class
from harken.nn.mask import Mask
from harken.objectives import causal
from harken.objectives.distillation import Distillation, spread
from harken.objectives.masked import masking
from harken.text.train import train_tokenizer

IDS = np.random.default_rng(0).integers(3, 20, 40)


@pytest.fixture(scope="module")
def pair():
    return tuple(build(config_class("llama").sized(16, 2, 2, 16, 20, 0.0), seed=seed) for seed in (0, 1))


@pytest.fixture(scope="module")
def source() -> Spans:
    texts = TextsBuilder("text")
    for text in ("abcde", "edc", "bacaba"):
        texts.add(text)
    corpus = Corpus(texts.texts(), "lines", "text", Ledger())
    return causal.spans(corpus, train_tokenizer("char", ["abcde"]), 16, corpus.ledger)


@pytest.mark.parametrize("pack", [False, True])
def test_the_loss_is_the_formula(pair, source, pack) -> None:
    student, teacher = pair
    rows, heat, weight = source.rows(), 3.0, 0.7
    loss = Distillation(teacher, heat, weight, 1 - weight).batch_loss(student, source, rows, 0, pack=pack)
    total, tokens = 0.0, 0
    for row in rows:
        inputs, targets, _ = (torch.from_numpy(a) for a in source.take(row[None], 0))
        with torch.no_grad():
            z, zt = student(inputs, Mask())[0], teacher(inputs, Mask())[0]
        p, q = F.softmax(zt / heat, -1), F.softmax(z / heat, -1)
        soft = (p * (p.log() - q.log())).sum() * heat**2
        hard = -F.log_softmax(z, -1).gather(1, targets[0][:, None]).sum()
        total, tokens = total + float(weight * soft + (1 - weight) * hard), tokens + targets.numel()
    assert loss.tokens == tokens
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    loss.total.backward()
    assert all(p.grad is None for p in teacher.parameters())


def seen(model, ids) -> torch.Tensor:
    """(L, D) the last hidden states of a text."""
    return model.stack(ids, model.prepare(ids, Mask()))[0]


@pytest.mark.parametrize("pack", [False, True])
def test_of_texts_the_likeness_of_hidden_states_is_a_cosine_at_every_target(pair, source, pack) -> None:
    student, teacher = pair
    loss = Distillation(teacher, 2.0, 0.0, 0.0, 1.5).batch_loss(student, source, source.rows(), 0, pack=pack)
    total = 0.0
    for row in source.rows():
        ids = torch.from_numpy(source.take(row[None], 0)[0])
        with torch.no_grad():
            ours, theirs = seen(student, ids), seen(teacher, ids)
        total += 1.5 * (1 - (ours * theirs).sum(-1) / ours.norm(dim=-1) / theirs.norm(dim=-1)).sum().item()
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    loss.total.backward()


@pytest.fixture(scope="module")
def hidden() -> Masked:
    tokenizer = train_tokenizer("wordpiece", ["abcde edc bacaba eab"], 30)
    texts = TextsBuilder("text")
    for text in ("abcde edc bacaba", "edc", "eab abcde"):
        texts.add(text)
    corpus = Corpus(texts.texts(), "lines", "text", Ledger())
    found = fitted(tokenised(corpus, tokenizer, corpus.ledger, role="bare"), 24, corpus.ledger, "text", overflow=None, around=2)
    return Masked(found, masking(tokenizer, 0.4), np.array(tokenizer.prefix), np.array(tokenizer.suffix))


@pytest.mark.parametrize("pack", [False, True])
def test_distilberts_three_parts_are_the_formula(hidden, pack) -> None:
    vocab = int(max(hidden.spans.ids.max(), 40)) + 1
    student, teacher = (build(config_class("bert").sized(16, layers, 2, 32, vocab, 0.0), seed=layers) for layers in (1, 2))
    rows, want, count = hidden.rows(), 0.0, 0
    for example in hidden.examples(rows):
        ids, targets = torch.from_numpy(example.inputs)[None], torch.from_numpy(example.targets)
        with torch.no_grad():
            z, zt = (model(ids, Mask())[0][targets != -100] for model in (student, teacher))
            ours, theirs = seen(student, ids), seen(teacher, ids)
        p, q = F.softmax(zt / 2, -1), F.softmax(z / 2, -1)
        soft = 4 * (p * (p.log() - q.log())).sum()
        hard = F.cross_entropy(z, targets[targets != -100], reduction="sum")
        likeness = F.cosine_embedding_loss(ours, theirs, torch.ones(len(ours)), reduction="mean")
        want, count = want + float(5 * soft + 2 * hard + len(z) * likeness), count + len(z)
    loss = Distillation(teacher, 2.0, 5.0, 2.0, 1.0).batch_loss(student, hidden, rows, 0, pack=pack)
    assert loss.tokens == count
    assert loss.total.item() == pytest.approx(want, rel=1e-5)
    parts = [Distillation(teacher, 2.0, 5.0, 2.0, 1.0).batch_loss(student, hidden, rows[i : i + 1], 0).total.item() for i in range(3)]
    assert sum(parts) == pytest.approx(want, rel=1e-5)


def test_a_model_without_blocks_has_no_states_to_compare(pair, source) -> None:
    student = build(config_class("lstm").sized(16, 1, 1, 16, 20, 0.0))
    with pytest.raises(InputError, match=r"a lstm model has no hidden states.*leave --alpha-cos out"):
        Distillation(pair[1], 2.0, 1.0, 0.0, 1.0).batch_loss(student, source, source.rows(), 0)


def test_a_student_like_its_teacher_has_nothing_to_learn(pair, source) -> None:
    student = pair[0]
    loss = Distillation(student, 2.0, 1.0, 0.0, 1.0).batch_loss(student, source, source.rows(), 0)
    assert abs(loss.total.item()) < 1e-4


def test_layers_are_spread_as_in_distilbert() -> None:
    assert spread(range(12), 6) == [0, 2, 4, 7, 9, 11]
    assert spread(range(4), 1) == [0]

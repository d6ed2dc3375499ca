"""Distillation: the loss is the formula, whether rows are packed or not; a student like its teacher has nothing to learn of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harken.data.batches import Spans
from harken.families.table import build, config_class
from harken.nn.mask import Mask
from harken.objectives import causal
from harken.objectives.distillation import Distillation, spread

IDS = np.random.default_rng(0).integers(3, 20, 40)


@pytest.fixture(scope="module")
def pair():
    return tuple(build(config_class("llama").sized(16, 2, 2, 16, 20, 0.0), seed=seed) for seed in (0, 1))


@pytest.fixture(scope="module")
def source() -> Spans:
    from harken.data.corpus import Corpus
    from harken.data.ledger import Ledger
    from harken.data.texts import TextsBuilder
    from harken.text.train import train_tokenizer

    texts = TextsBuilder("text")
    for text in ("abcde", "edc", "bacaba"):
        texts.add(text)
    corpus = Corpus(texts.texts(), "lines", "text", Ledger())
    return causal.spans(corpus, train_tokenizer("char", ["abcde"]), 16, corpus.ledger)


@pytest.mark.parametrize("pack", [False, True])
def test_the_loss_is_the_formula(pair, source, pack) -> None:
    student, teacher = pair
    rows, heat, weight = source.rows(), 3.0, 0.7
    loss = Distillation(teacher, heat, weight).batch_loss(student, source, rows, 0, pack=pack)
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


def test_a_student_like_its_teacher_has_nothing_to_learn(pair, source) -> None:
    student = pair[0]
    loss = Distillation(student, 2.0, 1.0).batch_loss(student, source, source.rows(), 0)
    assert abs(loss.total.item()) < 1e-4


def test_layers_are_spread_as_in_distilbert() -> None:
    assert spread(range(12), 6) == [0, 2, 4, 7, 9, 11]
    assert spread(range(4), 1) == [0]

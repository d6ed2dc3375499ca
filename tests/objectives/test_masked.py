"""Masked language modelling: what is hidden, how often, and that the loss is the same however rows are laid out."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.data.batches import Batches, in_order
from harken.data.corpus import Corpus
from harken.data.corrupted import NEXT, OTHER, Masked, named
from harken.data.ledger import Ledger
from harken.data.tokens import fitted, tokenised
from harken.families.bert import BertConfig
from harken.families.table import build
from harken.fit.fit import Whole, learn
from harken.fit.options import TrainOptions
from harken.fit.plan import choose_plan
from harken.measure.loss import measure
from harken.objectives.masked import batch_loss, hits, masking, nats, restored
from harken.objectives.objective import objective_of
from harken.text.frames import FRAMES
from harken.text.train import train_tokenizer

WORDS = ["alpha", "beta", "gamma", "delta", "unquestionable", "hippopotamus", "extraordinary", "unwritten", "undone"]
WORDS += ["walking", "walked", "talker"]
TEXT = ["".join(f"{a} {b} {c}. " for b in WORDS for c in WORDS).strip() for a in WORDS]
BERT = train_tokenizer("wordpiece", TEXT, 120)
ROBERTA = train_tokenizer("bpe", TEXT, 320, frame=FRAMES["roberta"])


def within(count: int, of: int, share: float) -> None:
    """Within five standard deviations of a share."""
    assert abs(count - share * of) <= 5 * math.sqrt(of * share * (1 - share)) + 1, f"{count} of {of} is not {share:.0%}"


def source_of(texts, tokenizer=BERT, context=64, *, whole_word=False, kind="lines"):
    found = tokenised(Corpus(texts, kind, "x"), tokenizer, ledger := Ledger(), role="bare", sentences=kind == "running")
    found = fitted(found, context, ledger, "x", overflow="window", around=2)
    return Masked(found, masking(tokenizer, whole_word=whole_word), np.array(tokenizer.prefix), np.array(tokenizer.suffix))


def pairs_of(texts, second="next", context=48):
    found = tokenised(Corpus(texts, "running", "x"), BERT, ledger := Ledger(), role="bare", sentences=True)
    found = fitted(found, context, ledger, "x", overflow="window", around=3)
    parts = (np.array(BERT.prefix), np.array(BERT.suffix), np.array([BERT.sep_id]))
    return Masked(found, masking(BERT), *parts, second)


@pytest.mark.parametrize("tokenizer", [BERT, ROBERTA])
def test_fifteen_in_a_hundred_are_hidden_eighty_ten_ten_and_never_a_special_token(tokenizer):
    rng, noise = np.random.default_rng(0), masking(tokenizer)
    ordinary = np.flatnonzero(~noise.never)
    rows = np.concatenate(
        [np.full((1200, 1), tokenizer.cls_id), rng.choice(ordinary, (1200, 100)), np.full((1200, 1), tokenizer.sep_id)], 1
    )
    broken = [noise(row, rng) for row in rows]
    inputs, targets = (np.stack(each) for each in zip(*broken, strict=True))
    hidden = targets != -100
    assert (restored(inputs, targets) == rows).all()
    assert not hidden[:, [0, -1]].any()
    assert hidden.sum() == 1200 * 15
    per_place = hidden[:, 1:-1].sum(0)
    assert abs(per_place - 180).max() < 5 * math.sqrt(1200 * 0.15 * 0.85)
    masked, kept = inputs[hidden] == tokenizer.mask_id, inputs[hidden] == targets[hidden]
    within(int(masked.sum()), int(hidden.sum()), 0.8)
    within(int(kept.sum()), int(hidden.sum()), 0.1 + 0.1 / len(ordinary))
    other = inputs[hidden & (inputs != tokenizer.mask_id) & (inputs != targets)]
    assert not noise.never[other].any()
    assert len(np.unique(other)) > 0.95 * len(ordinary)
    assert (inputs[~hidden] == rows[~hidden]).all()


def test_the_statistics_are_those_of_transformers():
    transformers = pytest.importorskip("transformers")
    peer_tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=BERT.inner, mask_token="[MASK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    )
    collate = transformers.DataCollatorForLanguageModeling(peer_tokenizer, mlm_probability=0.15)
    rng, noise = np.random.default_rng(1), masking(BERT)
    rows = np.concatenate([np.full((1000, 1), 2), rng.choice(np.flatnonzero(~noise.never), (1000, 100)), np.full((1000, 1), 3)], 1)
    torch.manual_seed(0)
    peer = collate([{"input_ids": row.tolist()} for row in rows])
    ours = [np.stack(each) for each in zip(*(noise(row, rng) for row in rows), strict=True)]
    shares = []
    for inputs, targets in ((peer["input_ids"].numpy(), peer["labels"].numpy()), ours):
        hidden = targets != -100
        assert not hidden[:, [0, -1]].any()
        found = inputs[hidden]
        shares.append([hidden[:, 1:-1].mean(), (found == 4).mean(), (found == targets[hidden]).mean()])
    assert np.abs(np.subtract(*shares)).max() < 0.015, shares


@pytest.mark.parametrize("tokenizer", [BERT, ROBERTA])
def test_whole_words_are_hidden_whole(tokenizer):
    noise, rng = masking(tokenizer, whole_word=True), np.random.default_rng(0)
    ids = np.array(tokenizer.encode(" ".join(WORDS * 6)))
    pieces = [tokenizer.inner.id_to_token(i) for i in ids.tolist()]
    word = np.cumsum([not (p.startswith("##") if tokenizer is BERT else p[0].isalpha() and p[0] != "Ġ") for p in pieces])
    total = 0
    for _ in range(300):
        inputs, targets = noise(ids, rng)
        hidden = targets != -100
        assert (restored(inputs, targets) == ids).all()
        for number in np.unique(word[hidden]):
            assert hidden[(word == number) & ~noise.never[ids]].all()
        total += hidden.sum()
    wanted = round(0.15 * int((~noise.never[ids]).sum()))
    assert 0.85 * wanted < total / 300 <= wanted


@given(st.lists(st.integers(0, 115), min_size=1, max_size=60), st.integers(0, 1 << 40), st.booleans())
def test_whatever_the_row_one_token_is_hidden_if_any_can_be_and_the_text_comes_back(ids, seed, whole_word):
    noise, ids = masking(BERT, whole_word=whole_word), np.array(ids)
    inputs, targets = noise(ids, np.random.default_rng(seed))
    able = ~noise.never[ids]
    assert (restored(inputs, targets) == ids).all()
    assert not (targets != -100)[~able].any()
    assert (targets != -100).any() == able.any()


def test_a_row_is_broken_anew_in_every_epoch_and_always_alike_when_measured():
    source = source_of(TEXT)
    batches = Batches(source, 4, seed=3)
    again = Batches(source, 4, seed=3)
    first, second = (np.concatenate(list(batches.order(epoch))) for epoch in (0, 1))
    assert (first == np.concatenate(list(again.order(0)))).all()
    assert not np.isin(first[:, 2], second[:, 2]).any()
    measured = [np.concatenate(list(in_order(source, size))) for size in (1, 5)]
    assert (measured[0] == measured[1]).all()
    row = first[:1]
    for one, two in zip(source.examples(row), source.examples(np.concatenate([row, second]))[:1], strict=True):
        assert all((a == b).all() for a, b in zip(one[:3], two[:3], strict=True))


def test_running_text_is_read_in_rows_of_whole_sentences():
    source = source_of([" ".join(TEXT)], kind="running", context=40)
    ends = BERT.inner.token_to_id(".")
    for rng in (None, np.random.default_rng(0)):
        rows = source.rows(rng)
        assert (rows[1:, 0] == rows[:-1, 1]).all()
        assert rows[-1, 1] - rows[0, 0] == source.targets
        assert (rows[:, 1] - rows[:, 0]).max() <= 38
        assert (source.spans.ids[rows[:, 1] - 1] == ends).all()


# ---- the second segment


def test_the_second_segment_is_the_next_or_of_another_text_half_the_time():
    texts = [" ".join(f"{a} {b}." for b in WORDS) for a in WORDS for _ in range(2)]
    source = pairs_of(texts)
    rows = np.concatenate([source.rows(np.random.default_rng(epoch)) for epoch in range(20)])
    examples = source.examples(rows)
    labels = np.array([each.label for each in examples])
    within(int(labels.sum()), len(labels), 0.5)
    starts = source.spans.spans[:, 0]
    ids = source.spans.ids
    for (begin, end, _), each in zip(rows[:400].tolist(), examples, strict=False):
        whole = restored(each.inputs, each.targets)
        assert len(whole) <= source.context
        first, second = whole[each.types == 0], whole[each.types == 1]
        assert first[0] == BERT.cls_id
        assert first[-1] == second[-1] == BERT.sep_id
        own = ids[begin:end]
        assert (first[1:-1] == own[: len(first) - 2]).all()
        rest = own[len(first) - 2 :]
        if each.label == NEXT:
            assert (second[:-1] == rest).all()
        else:
            text = np.searchsorted(starts, begin, "right") - 1
            other = [ids[a:b] for i, (a, b) in enumerate(source.spans.spans.tolist()) if i != text]
            assert any(_inside(second[:-1], one) for one in other)


def _inside(part, whole) -> bool:
    return any((whole[i : i + len(part)] == part).all() for i in range(len(whole) - len(part) + 1))


def test_the_order_is_swapped_half_the_time():
    source = pairs_of([" ".join(f"{a} {b}." for b in WORDS) for a in WORDS], "order")
    rows = np.concatenate([source.rows(np.random.default_rng(epoch)) for epoch in range(40)])
    labels = []
    for (begin, end, _), each in zip(rows.tolist(), source.examples(rows), strict=True):
        whole = restored(each.inputs, each.targets)
        first, second = whole[each.types == 0][1:-1], whole[each.types == 1][:-1]
        one, two = (first, second) if each.label == NEXT else (second, first)
        assert (np.concatenate([one, two]) == source.spans.ids[begin:end]).all()
        labels.append(each.label)
    within(labels.count(OTHER), len(labels), 0.5)


def test_a_single_text_gives_segments_from_elsewhere():
    source = pairs_of([" ".join(f"{a} {b}." for a in WORDS for b in WORDS)])
    rows = np.concatenate([source.rows(np.random.default_rng(epoch)) for epoch in range(4)])
    assert {each.label for each in source.examples(rows)} == {NEXT, OTHER}


# ---- the loss


def tiny(task="masked-language-modeling"):
    config = BertConfig.sized(32, 2, 2, 64, BERT.vocab_size, 0.0)
    config.initializer_range, config.task = 0.1, task
    return build(config, seed=0)


def test_the_loss_is_the_textbook_sum():
    model, source = tiny(), source_of(["alpha beta gamma delta undone", "walking talker"])
    rows = source.rows()
    total, count = 0.0, 0
    for example in source.examples(rows):
        logits = model(torch.from_numpy(example.inputs)[None])[0]
        total += F.cross_entropy(logits, torch.from_numpy(example.targets), reduction="sum").item()
        count += int((example.targets != -100).sum())
    loss = batch_loss(model, source, rows, 0)
    assert loss.tokens == count
    assert loss.total.item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("second", [None, "next", "order"])
def test_neither_batch_nor_padding_nor_packing_changes_the_loss(second):
    source = source_of([t[: 20 + 30 * i] for i, t in enumerate(TEXT)]) if second is None else pairs_of(TEXT, second)
    model = tiny("pretraining" if second else "masked-language-modeling")
    sizes = [measure(model, source, pad=0, batch_size=size) for size in (1, 3, 32)]
    for found in sizes[1:]:
        assert found.tokens == sizes[0].tokens
        assert found.nats == pytest.approx(sizes[0].nats, rel=1e-5)
    rows = source.rows()[:9]
    padded, packed, other = (batch_loss(model, source, rows, pad, pack=pack) for pad, pack in ((0, False), (0, True), (7, False)))
    for loss in (packed, other):
        assert loss.total.item() == pytest.approx(padded.total.item(), rel=1e-5)
    found = hits(model, source, rows, 0)
    assert found.hidden == padded.tokens
    assert found.pairs == (len(rows) if second else 0)


class Kept:
    """Stands where the optimizer would, and keeps the gradients."""

    def __init__(self, model):
        self.model = model

    def step(self, factor):
        self.gradients = [p.grad.clone() for p in self.model.parameters()]
        self.model.zero_grad()


def whole_of(model, source, plan, kept):
    """All that a step changes, with `kept` as its optimizer."""
    return dataclasses.replace(Whole.of(model, source, plan, None), optimizer=kept)


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("task", ["masked-language-modeling", "pretraining"])
def test_any_split_into_micro_batches_gives_the_same_gradient(task, pack):
    model, source = tiny(task).train(), pairs_of(TEXT) if task == "pretraining" else source_of(TEXT)
    rows = source.rows()[:16]
    gradients = {}
    for parts in (1, 8):
        plan = choose_plan(TrainOptions(data="-", accumulate=parts, batch_size=16, clip=1e9), targets=source.targets, rows=16)
        kept = Kept(model)
        learn(whole_of(model, source, plan, kept), source, rows, dataclasses.replace(plan, pack=pack), 0, 1.0, 0)
        gradients[parts] = kept.gradients
    whole = torch.cat([g.flatten() for g in gradients[1]])
    split = torch.cat([g.flatten() for g in gradients[8]])
    assert (whole - split).norm() <= 1e-5 * whole.norm()


def test_a_batch_of_unknown_words_alone_is_an_error_that_names_them():
    source = source_of(["alpha beta", "π π π", "σ σ σ σ"])
    model = tiny().train()
    plan = choose_plan(TrainOptions(data="-", batch_size=2), targets=source.targets, rows=3)
    assert nats(model, source, source.rows()[1:], 0) == (0.0, 0)
    with pytest.raises(InputError, match="step 5 has no token to predict: texts 2 and 3 hold unknown tokens only"):
        learn(whole_of(model, source, plan, Kept(model)), source, source.rows()[1:], plan, 0, 1.0, 4)
    learn(whole_of(model, source, plan, Kept(model)), source, source.rows()[[0, 2]], dataclasses.replace(plan, accumulate=2), 0, 1.0, 0)
    assert named(source, np.repeat(source.rows(), 3, 0)[:4]) == "texts 1 and 2"
    assert objective_of(source).__name__.endswith("masked")


def test_without_a_mask_token_there_is_nothing_to_hide_behind():
    with pytest.raises(InputError, match=r"no token for what is hidden, such as \[MASK\]"):
        masking(train_tokenizer("char", ["abc"]))

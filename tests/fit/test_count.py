"""Counting whole documents, choosing the order, and the figures that the field has for names and Shakespeare."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from harken.base.errors import InputError
from harken.data.batches import Spans
from harken.families.llama import LlamaConfig
from harken.families.ngram import NgramConfig
from harken.families.table import build
from harken.fit.count import choose_order, count, documents, held_out, never_predicted
from harken.measure.loss import measure
from harken.nn.models import Model
from harken.text.train import train_bpe, train_characters


def test_documents_stand_behind_the_token_that_is_read_first() -> None:
    ids = np.array([1, 5, 6, 2, 1, 7, 2], np.int32)
    found, starts = documents(Spans(ids, np.array([[1, 4], [5, 7]]), None, 3))
    assert found.tolist() == ids.tolist() and starts.tolist() == [0, 4]
    found, starts = documents(Spans(ids, np.array([[0, 3], [3, 7]]), 9, 3))
    assert found.tolist() == [9, 1, 5, 6, 9, 2, 1, 7, 2] and starts.tolist() == [0, 4]


def test_windows_do_not_cut_histories() -> None:
    ids = np.random.default_rng(0).integers(1, 9, 500).astype(np.int32)
    short, long = (Spans(ids, np.array([[0, 500]]), 0, context) for context in (7, 1000))
    models = [build(NgramConfig(vocab_size=9, order=4, skip=[0])) for _ in range(2)]
    whole = [0, *ids.tolist()]
    distinct = len({tuple(whole[i : i + n]) for n in range(1, 5) for i in range(len(whole) - n + 1)})
    assert [count(model, spans) for model, spans in zip(models, (short, long), strict=True)] == [distinct] * 2
    assert measure(models[0], long, pad=0) == measure(models[1], long, pad=0)


def test_what_cannot_be_counted_is_one_sentence() -> None:
    spans = Spans(np.array([1, 5, 6, 2], np.int32), np.array([[1, 4]]), None, 9)
    llama = LlamaConfig(vocab_size=9, hidden_size=8, num_attention_heads=1, num_key_value_heads=1, num_hidden_layers=1, intermediate_size=8)
    cases: list[tuple[Model, str]] = [
        (build(NgramConfig(vocab_size=9, skip=[5])), "token 5, which the model's config lists as never predicted"),
        (build(NgramConfig(vocab_size=6)), "token 6, the model's vocabulary ends at 5"),
        (build(llama), "Decoder learns from gradients, not from counts"),
    ]
    for model, sentence in cases:
        with pytest.raises(InputError, match=sentence) as caught:
            count(model, spans)
        assert "\n" not in str(caught.value)


def test_never_predicted() -> None:
    for tokenizer in (train_characters(["ab"]), train_bpe(["ab"], 259)):
        assert never_predicted(tokenizer) == [0, 1]
        tokenizer.bos_id = tokenizer.eos_id  # GPT-2's one special token is both
        assert never_predicted(tokenizer) == [0]


def test_held_out_text_is_not_counted() -> None:
    ids = np.arange(200, dtype=np.int32)
    train, valid = held_out(Spans(ids, np.array([[0, 30], [30, 200]]), 0, 9))
    assert train.spans.tolist() == [[0, 30], [30, 180]] and valid.spans.tolist() == [[180, 200]]
    train, valid = held_out(Spans(ids, np.stack([np.arange(20), np.arange(20) + 1], 1) * 10, 0, 9))
    assert valid.spans.tolist() == [[90, 100], [190, 200]] and train.targets == 180


def test_the_order_follows_the_data() -> None:
    """A text in which every token depends on the two before it."""
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.full(6, 0.3), (6, 6))
    ids = [0, 0]
    for _ in range(20_000):
        ids.append(int(rng.choice(6, p=table[ids[-2], ids[-1]])))
    spans = Spans(np.array(ids, np.int32) + 1, np.array([[0, len(ids)]]), 0, 100)
    assert choose_order(spans) == 3
    assert choose_order(Spans(spans.ids, np.array([[0, 1]]), 0, 100)) == 2  # nothing to hold out
    assert choose_order(*held_out(spans), NgramConfig(vocab_size=7, smoothing="witten_bell", skip=[0])) == 3


def names_spans(names: list[str]) -> Spans:
    """<bos> 0, end 1, letters from 2: no token but the 27 that a name is made of."""
    parts = [np.array([0, *(ord(letter) - 95 for letter in name), 1], np.int32) for name in names]
    ends = np.cumsum([len(part) for part in parts])
    return Spans(np.concatenate(parts), np.stack([ends - [len(part) - 1 for part in parts], ends], 1), None, 32)


def test_names_as_makemore_splits_them(data_folder: Callable[[str], Path]) -> None:
    """Beside makemore's Transformer (about 1.92 at its best test step) and a pure-Python Kneser-Ney 6-gram (1.953)."""
    names = (data_folder("names") / "names.txt").read_text("utf-8").split()
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(3407)).tolist()
    train, test = names_spans([names[i] for i in order[:-1000]]), names_spans([names[i] for i in order[-1000:]])
    for n, most in [(0, math.log(27) + 1e-6), (1, 2.816), (2, 2.451), (3, 2.199), (4, 2.031), (5, 1.960), (6, 1.945), (7, 1.950)]:
        model = build(NgramConfig(vocab_size=28, order=n, skip=[0]))
        count(model, train)
        found = measure(model, test, pad=0)
        assert found.tokens == 7166 and most - 0.02 < found.loss < most


def test_shakespeare_as_one_stream(data_folder: Callable[[str], Path]) -> None:
    """nanoGPT's recipe for a CPU reaches 1.88 on the same split."""
    text = (data_folder("tinyshakespeare") / "input.txt").read_text("utf-8")
    tokenizer = train_characters([text])
    ids, cut = tokenizer.encode_array(text), int(0.9 * len(text))
    train, valid = (Spans(ids, np.array([bounds]), tokenizer.bos_id, 10**6) for bounds in ([0, cut], [cut, len(ids)]))
    assert choose_order(train) == 7
    model = build(NgramConfig(vocab_size=tokenizer.vocab_size, order=7, skip=never_predicted(tokenizer)))
    count(model, train)
    found = measure(model, valid, pad=0)
    assert found.tokens == 111_540 and found.loss < 1.518

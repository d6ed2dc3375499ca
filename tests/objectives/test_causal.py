"""Causal language modelling: every token is predicted once, and the gradient does not depend on how a batch is split."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tokenizers
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, processors

from harken.base.errors import InputError
from harken.data.batches import Batches, Spans, in_order
from harken.data.blob import Blob
from harken.data.corpus import Corpus
from harken.data.ledger import Ledger
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.recurrent import LSTMConfig
from harken.families.seq2seq import ATTENTION, Seq2SeqConfig
from harken.families.t5 import T5Config
from harken.families.table import build
from harken.fit.fit import Whole, learn
from harken.fit.options import TrainOptions
from harken.fit.plan import choose_plan
from harken.nn.heads import LanguageModel
from harken.nn.mask import Mask
from harken.objectives.causal import batch_loss, spans, summed
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_bpe, train_characters

TOKENIZER = train_characters(["abcdefgh"])
TEXTS = st.lists(st.text("abcdefgh", min_size=1, max_size=40), min_size=1, max_size=12)


def targets_of(found: Spans, rows: list[np.ndarray]) -> list[int]:
    taken = [found.take(batch, 0)[1] for batch in rows]
    return sorted(int(t) for batch in taken for t in batch[batch != -100])


@given(TEXTS, st.integers(2, 16), st.sampled_from(["lines", "running"]), st.integers(1, 5), st.integers(0, 3))
def test_every_token_is_predicted_exactly_once_an_epoch(texts, context, kind, size, epoch):
    ledger = Ledger()
    found = spans(Corpus(texts, kind, "x"), TOKENIZER, context, ledger, overflow="window")
    wanted = sorted(i for text in texts for i in [*TOKENIZER.encode(text, special=False), TOKENIZER.eos_id])
    assert targets_of(found, in_order(found, size)) == wanted
    assert targets_of(found, Batches(found, size, seed=1).order(epoch)) == wanted
    assert ledger.get("tokens", "targets") == len(wanted) == found.targets
    assert ledger.get("tokens", "tokens") == sum(map(len, texts))


@given(TEXTS, st.sampled_from(["lines", "running"]))
def test_inputs_are_what_stands_before_the_targets(texts, kind):
    found = spans(Corpus(texts, kind, "x"), TOKENIZER, 8, Ledger(), overflow="window")
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
    found = spans(Corpus(["abc" * n for n in range(1, 30)], "lines", "x"), TOKENIZER, 16, Ledger(), overflow="window")
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
        learn(dataclasses.replace(Whole.of(model, found, plan, None), optimizer=kept), found, rows, plan, TOKENIZER.pad_id, 1.0, 0)
        gradients[parts] = kept.gradients
    for parts in (2, 8, 16):
        for whole, split in zip(gradients[1], gradients[parts], strict=True):
            assert (whole - split).norm() <= 1e-5 * whole.norm() + 1e-9


# ---- examples longer than the context, and the ledger


LONG = Corpus(["ab" * n for n in (1, 2, 5, 9, 9)], "lines", "long.txt")


def test_longer_examples_are_counted_before_anything_is_lost():
    with pytest.raises(InputError, match="2 of 5 examples are longer than the context of 16 tokens"):
        spans(LONG, TOKENIZER, 16, Ledger())
    wanted = (
        r"^long.txt: 3 of 5 examples are longer than the context of 8 tokens \(the longest has 19\): "
        r"give --context 19, or --overflow window, truncate or drop$"
    )
    with pytest.raises(InputError, match=wanted):
        spans(LONG, TOKENIZER, 8, Ledger())
    assert spans(LONG, TOKENIZER, 19, Ledger()).longest == 19
    assert spans(Corpus(LONG.texts, "running", "long.txt"), TOKENIZER, 8, Ledger()).targets == 57


@pytest.mark.parametrize(
    ("overflow", "lengths", "counted"),
    [
        ("window", [3, 5, 11, 19, 19], {"texts cut into windows": 3, "texts used": 5, "targets": 57}),
        ("truncate", [3, 5, 8, 8, 8], {"texts truncated": 3, "tokens truncated": 25, "texts used": 5, "targets": 32}),
        ("drop", [3, 5], {"texts dropped": 3, "tokens dropped": 49, "texts used": 2, "targets": 8}),
    ],
)
def test_overflow(overflow, lengths, counted):
    ledger = Ledger()
    found = spans(LONG, TOKENIZER, 8, ledger, overflow=overflow, stage="valid tokens")
    assert (found.spans[:, 1] - found.spans[:, 0]).tolist() == lengths
    assert ledger.to_json() == {"valid tokens": {"texts": 5, "tokens": 52, "ends": 5, "unknown": 0, **counted}}
    whole = spans(LONG, TOKENIZER, 19, Ledger())
    starts = {begin: whole.ids[begin:end].tolist() for begin, end in whole.spans}
    assert all(found.ids[begin:end].tolist() == starts[begin][: end - begin] for begin, end in found.spans)


def test_nothing_left_is_an_error():
    with pytest.raises(InputError, match="every example is longer than the context of 2 tokens"):
        spans(LONG, TOKENIZER, 2, Ledger(), overflow="drop")


def bare():
    """A tokenizer without special tokens around a text."""
    inner = tokenizers.Tokenizer(models.WordLevel({"?": 0, "a": 1, "b": 2}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer(inner, {"unk": "?"})


def test_without_special_tokens_the_first_token_is_only_read():
    ledger = Ledger()
    found = spans(Corpus(["a b a", "b", "a x"], "lines", "x"), bare(), 8, ledger)
    assert [found.ids[begin - 1 : end].tolist() for begin, end in found.spans] == [[1, 2, 1], [1, 0]] and found.lead is None
    wanted = {"texts": 3, "tokens": 6, "ends": 0, "unknown": 1, "only read": 3, "texts too short": 1}
    assert ledger.to_json()["tokens"] == {**wanted, "texts cut into windows": 0, "texts used": 2, "targets": 3}
    with pytest.raises(InputError, match="no token to predict; each text needs at least two"):
        spans(Corpus(["a", "b"], "lines", "x"), bare(), 8, Ledger())


def test_an_end_that_also_stands_for_the_unknown_is_not_counted_as_unknown():
    inner = tokenizers.Tokenizer(models.WordLevel({"?": 0, "a": 1}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(single="? $A", special_tokens=[("?", 0)])
    tokenizer = Tokenizer(inner, {"unk": "?", "eos": "?", "bos": "?"})
    for kind in ("lines", "running"):
        ledger = Ledger()
        found = spans(Corpus(["a a", "a x", "a"], kind, "x"), tokenizer, 8, ledger)
        assert ledger.get("tokens", "unknown") == 1 and found.targets == 8


def test_ids_take_two_bytes_where_they_can():
    assert spans(LONG, TOKENIZER, 99, Ledger()).ids.dtype == np.uint16
    inner = tokenizers.Tokenizer(models.WordLevel({str(i): i for i in range(70_000)}, unk_token="0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    found = spans(Corpus(["69999 1", "2 3"], "lines", "x"), Tokenizer(inner), 99, Ledger())
    assert found.ids.dtype == np.int32 and found.ids.tolist() == [69_999, 1, 2, 3]


@pytest.mark.parametrize("kind", ["lines", "running"])
def test_token_shards_in_files_are_the_same(kind, monkeypatch):
    corpus = Corpus(["abc def\n" * n for n in range(1, 200)], kind, "x")
    tokenizer = train_bpe(["abc def\n"], 270)
    found = spans(corpus, tokenizer, 64, Ledger(), overflow="window")
    monkeypatch.setattr(Blob, "HELD", 100)
    shards = spans(corpus, tokenizer, 64, Ledger(), overflow="window")
    assert (shards.ids == found.ids).all() and (shards.spans == found.spans).all() and not shards.ids.flags.writeable
    whole = [[*tokenizer.encode(text, special=False), tokenizer.eos_id] for text in corpus.texts]
    assert [shards.ids[begin:end].tolist() for begin, end in shards.spans] == whole


def test_a_long_document_is_read_in_pieces():
    text = "abc def " * 400_000
    found = spans(Corpus([text, "abc"], "running", "x"), TOKENIZER, 64, Ledger())
    assert found.targets == len(text) + 1 + 4 and len(found.spans) == 2
    assert (found.ids[: len(text)] == TOKENIZER.encode_array(text)).all()


def test_learning_on_nothing_is_an_error():
    model = tiny(LlamaConfig)
    found = Spans(np.zeros(4, np.int32), np.array([[2, 2]]), None, 8)
    with pytest.raises(InputError, match="no token to predict"):
        batch_loss(model, found, np.array([[2, 2], [3, 3]]), 0)
    with pytest.raises(InputError, match="no token to predict"):
        spans(Corpus([], "lines", "empty.txt"), TOKENIZER, 8, Ledger())


WRITERS = {
    "gpt2": GPT2Config(vocab_size=31, n_positions=32, n_embd=12, n_layer=1, n_head=2),
    "lstm": LSTMConfig(vocab_size=31, hidden_size=12),
    "lstm, untied": LSTMConfig(vocab_size=31, hidden_size=12, embedding_size=7, tie_word_embeddings=False),
    "t5": T5Config(vocab_size=31, d_model=12, d_kv=6, d_ff=20, num_layers=1, num_heads=2, tie_word_embeddings=False),
    **{f"seq2seq, {kind}": Seq2SeqConfig(vocab_size=31, hidden_size=12, attention=kind) for kind in ATTENTION},
    "seq2seq, fed": Seq2SeqConfig(vocab_size=31, hidden_size=12, attention="dot", input_feeding=True),
}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_logits_of_all_tokens_are_never_there_at_once(name, whole, monkeypatch):
    model, seen = build(WRITERS[name], seed=0), torch.arange(2 * 9).view(2, 9) * 5 % 31
    model.eval()
    given = [seen, seen.flip(1)] if model.reads == "source" else [seen]
    targets, mask = seen.roll(-1, 1).clone(), Mask(lengths=torch.tensor([9, 9 if whole else 6]))
    targets[1, int(mask.lengths[1]) :] = -100
    wanted = F.cross_entropy(model(*given, mask)[targets != -100], targets[targets != -100], reduction="sum")
    wanted.backward()
    gradients = {key: each.grad for key, each in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    monkeypatch.setattr(LanguageModel, "forward", None)
    total = summed(model, given, mask, targets)
    total.backward()
    torch.testing.assert_close(total, wanted, rtol=1e-5, atol=0)
    for key, each in model.named_parameters():
        torch.testing.assert_close(each.grad, gradients[key], rtol=1e-4, atol=1e-5)

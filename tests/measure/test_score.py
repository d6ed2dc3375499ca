"""Scores are those of transformers and of one whole reading, whatever is read beside them, at once or in windows."""

from __future__ import annotations

import math
import random
import string
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf

import harken
from harken.base.errors import InputError
from harken.checkpoint.save import save
from harken.families.bert import BertConfig
from harken.families.bigram import BigramConfig
from harken.families.cosine import CosineConfig
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.mistral import MistralConfig
from harken.families.mixture import MixtureConfig
from harken.families.mlp import MLPConfig
from harken.families.ngram import NgramConfig
from harken.families.recurrent import GRUConfig, LSTMConfig
from harken.families.seq2seq import Seq2SeqConfig
from harken.families.t5 import T5Config
from harken.families.table import build
from harken.measure import score as scoring
from harken.measure.score import score
from harken.nn.counts import NGram
from harken.nn.mixture import Mixture
from harken.text.train import train_characters

CONTEXT = 32
TEXT = "the cat sat on the mat and the dog sat on the cat; "
WRITES = (BigramConfig, CosineConfig, GPT2Config, LlamaConfig, MistralConfig, MLPConfig, GRUConfig, LSTMConfig, NgramConfig, MixtureConfig)
LONG = {BigramConfig, MLPConfig, GRUConfig, LSTMConfig, NgramConfig}
"""Families that read texts of nearly any length, so that their context is made short here."""


@pytest.fixture(scope="module")
def tokenizer():
    return train_characters([TEXT + string.ascii_lowercase])


def made(family, tokenizer, **settings):
    config = replace(family.sized(24, 2, 2, CONTEXT, tokenizer.vocab_size, 0.0), initializer_range=0.3, **settings)
    if family in LONG:
        config.max_position_embeddings = CONTEXT
    model = build(config, seed=0)
    counting = model if isinstance(model, NGram) else model.counting if isinstance(model, Mixture) else None
    if counting is not None:
        ids = np.array(tokenizer.encode(TEXT), np.int32)
        counting.counts.fill(ids, np.array([0]), counting.order)
    return model


def whole(model, ids) -> list[float]:
    """One reading, whatever its length is."""
    model.pack()
    with torch.no_grad():
        return model.score(torch.tensor([list(ids)]))[0].tolist()


def windowed(model, ids, stride: int) -> list[float]:
    """The plain twin: every window by itself, of which the new tokens are kept."""
    found, begin = [0.0], 0
    while len(found) < len(ids):
        part = ids[begin : begin + model.context]
        found += whole(model, part)[len(found) - begin :]
        begin += stride
    return found


@pytest.mark.parametrize("family", WRITES)
def test_texts_alone_together_and_in_parts_have_the_same_bits(family, tokenizer, monkeypatch):
    model, rng = made(family, tokenizer), random.Random(0)
    texts = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(0, 25))) for _ in range(20)] + [TEXT * 3, TEXT]
    together = score(model, tokenizer, texts)
    assert [score((model, tokenizer), text)[0] for text in texts] == together
    for one in together:
        want = whole(model, one.ids) if len(one.ids) <= CONTEXT else windowed(model, one.ids, CONTEXT // 2)
        assert list(one.logprobs) == want and one.total == pytest.approx(sum(want), rel=1e-6)
        assert one.tokens == len(one.ids) - 1 and one.windowed == max(0, len(one.ids) - CONTEXT)
    monkeypatch.setattr(scoring, "_LOGITS", 5 * tokenizer.vocab_size)
    assert score(model, tokenizer, texts) == together


@pytest.mark.parametrize("stride", [1, 7, CONTEXT - 1])
def test_every_token_is_predicted_once_with_enough_before_it(tokenizer, stride):
    model = made(GPT2Config, tokenizer)
    found = score(model, tokenizer, TEXT * 4, stride=stride)[0]
    assert list(found.logprobs) == windowed(model, found.ids, stride)
    assert min(found.logprobs[1:]) < 0 and max(found.logprobs[1:]) < 0


def test_a_file_is_one_text(tokenizer, tmp_path):
    (tmp_path / "book.txt").write_text(TEXT * 9)
    model = made(LlamaConfig, tokenizer)
    found, want = score(model, tokenizer, path=tmp_path / "book.txt", stride=9)[0], score(model, tokenizer, TEXT * 9, stride=9)[0]
    assert list(found.ids) == list(want.ids) and list(found.logprobs) == list(want.logprobs)
    assert (found.total, found.tokens, found.windowed) == (want.total, want.tokens, want.windowed)
    assert found.bytes == len(TEXT) * 9 == want.bytes - 1
    assert found.perplexity == pytest.approx(math.exp(-sum(want.logprobs) / want.tokens))
    assert found.bits_per_byte == pytest.approx(-sum(want.logprobs) / math.log(2) / found.bytes)


@pytest.fixture(scope="module")
def gpt2(tokenizer, tmp_path_factory):
    """(a folder that transformers wrote, its model)"""
    folder = str(tmp_path_factory.mktemp("gpt2"))
    torch.manual_seed(0)
    config = hf.GPT2Config(vocab_size=tokenizer.vocab_size, n_positions=CONTEXT, n_embd=24, n_layer=2, n_head=2, initializer_range=0.3)
    theirs = hf.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(folder)
    tokenizer.save(folder)
    return folder, theirs


def test_as_transformers_has_it(gpt2):
    folder, theirs = gpt2
    for found in harken.score(folder, [TEXT[:28], "mat"]):
        with torch.no_grad():
            ids = torch.tensor([found.ids])
            want = theirs(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
            loss = theirs(ids, labels=ids).loss.item()
        assert np.abs(np.array(found.logprobs[1:]) - want.numpy()).max() < 1e-4
        assert found.perplexity == pytest.approx(math.exp(loss), rel=1e-4)


@pytest.mark.parametrize("stride", [8, 16, 31])
def test_in_windows_as_a_loop_over_transformers_has_it(gpt2, stride):
    folder, theirs = gpt2
    found = harken.score(folder, TEXT * 5, stride=stride)[0]
    ids, nats, done = torch.tensor([found.ids]), 0.0, 0
    for begin in range(0, ids.shape[1], stride):
        end = min(begin + CONTEXT, ids.shape[1])
        labels = ids[:, begin:end].clone()
        labels[:, : -(end - done)] = -100  # what the window before has predicted
        with torch.no_grad():
            count = int((labels[:, 1:] != -100).sum())
            nats += theirs(ids[:, begin:end], labels=labels).loss.item() * count
        done = end
        if end == ids.shape[1]:
            break
    assert -found.total == pytest.approx(nats, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(nats / found.tokens), rel=1e-5)


def test_targets_as_transformers_has_them(tokenizer, tmp_path):
    torch.manual_seed(0)
    config = hf.T5Config(
        vocab_size=tokenizer.vocab_size, d_model=24, d_kv=6, d_ff=40, num_layers=2, num_heads=3, decoder_start_token_id=0, pad_token_id=0
    )
    theirs = hf.T5ForConditionalGeneration(config).eval()
    theirs.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    model, words = harken.load(str(tmp_path))
    targets, sources = ["the cat", "mat", "dog sat on"], ["a dog", "the cat sat on the mat", "o"]
    for target, source, found in zip(targets, sources, harken.score(model, words, targets, sources=sources), strict=True):
        read = torch.tensor([words.prefix + words.encode(source, special=False) + words.closing])
        with torch.no_grad():
            loss = theirs(input_ids=read, labels=torch.tensor([found.ids[1:]])).loss.item()
        assert found.total == pytest.approx(-loss * found.tokens, rel=1e-5)
        assert found.tokens == len(target) + 1


@pytest.mark.parametrize("family", [T5Config, Seq2SeqConfig])
def test_targets_alone_together_and_in_parts_have_the_same_bits(family, tokenizer, monkeypatch):
    config = replace(family.sized(24, 2, 2, CONTEXT, tokenizer.vocab_size, 0.0), initializer_range=0.3)
    config.check()
    model = build(config, seed=0)
    targets, sources = ["the cat", "mat", "", "dog sat on the mat"], ["a dog", "the cat sat on the mat", "o", "catcat"]
    together = score(model, tokenizer, targets, sources=sources)
    assert together == [score(model, tokenizer, target, sources=source)[0] for target, source in zip(targets, sources, strict=True)]
    monkeypatch.setattr(scoring, "_LOGITS", 3 * tokenizer.vocab_size)
    assert score(model, tokenizer, targets, sources=sources) == together


def test_what_cannot_be_scored_is_said(tokenizer, tmp_path):
    model, translator = made(GPT2Config, tokenizer), made(T5Config, tokenizer)
    bare = harken.Tokenizer(tokenizer.inner, {name: token for name, token in tokenizer.names.items() if name in ("unk",)})
    bare.__dict__.update(prefix=[], suffix=[])
    for call, said in (
        (lambda: score(model, bare, ""), "an empty text cannot be scored"),
        (lambda: score(model, tokenizer, TEXT, stride=0), "stride must be from 1 to 31"),
        (lambda: score(model, tokenizer, TEXT, stride=CONTEXT), "stride must be from 1 to 31"),
        (lambda: score(made(BertConfig, tokenizer), tokenizer, TEXT), "a bert model reads, it does not write"),
        (lambda: score(model, tokenizer, TEXT, sources=TEXT), "takes no source"),
        (lambda: score(translator, tokenizer, TEXT), "reads a source first: give sources"),
        (lambda: score(translator, tokenizer, ["a", "b"], sources=["c"]), "one for each of the 2 texts"),
        (lambda: score(translator, tokenizer, "a", sources="c", stride=4), "a target is read whole"),
        (lambda: score(translator, tokenizer, path=tmp_path / "x.txt"), "give texts and their sources"),
        (lambda: score(model, tokenizer), "texts, or the path of a file"),
        (lambda: score(model, tokenizer, TEXT, path=tmp_path / "x.txt"), "texts, or the path of a file"),
        (lambda: score(model, tokenizer, path=tmp_path / "x.txt"), "x.txt"),
        (lambda: score(model, tokenizer, [3]), "score takes texts"),
        (lambda: score(model), "a model is the path of its folder"),
    ):
        with pytest.raises(InputError, match=said) as error:
            call()
        assert "\n" not in str(error.value)
    assert score(model, tokenizer, []) == []


GROWTH = """
import resource, sys
from harken import load, score
model, tokenizer = load(sys.argv[1])
score(model, tokenizer, path=sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = score(model, tokenizer, path=sys.argv[3])[0]
print(len(found.ids), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tokenizer, tmp_path):
    model = made(NgramConfig, tokenizer)
    model.config.max_position_embeddings = model.context = 4096
    save(model, tokenizer, tmp_path / "run")
    for name, size in (("small.txt", 100_000), ("large.txt", 20_000_000)):
        (tmp_path / name).write_text((TEXT * (size // len(TEXT) + 1))[:size])
    arguments = [str(tmp_path / name) for name in ("run", "small.txt", "large.txt")]
    said = subprocess.run([sys.executable, "-c", GROWTH, *arguments], capture_output=True, text=True, check=True, cwd=Path.cwd()).stdout
    count, grown = map(int, said.split())
    unit = 1024 if sys.platform != "darwin" else 1
    assert count > 20_000_000 and grown * unit < 300e6, f"{grown * unit / 1e6:.0f} MB"

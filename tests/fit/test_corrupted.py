"""Runs on broken texts: every family learns to mend them, stops and goes on, is measured, and opens in transformers."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import harken
from harken.base.errors import InputError, Interrupted
from harken.data.corpus import Corpus
from harken.data.corrupted import Masked
from harken.fit import fit as fitting
from harken.fit.corrupted import make_tokenizer, prepared
from harken.fit.options import TrainOptions
from harken.objectives.masked import restored

SMALL = {"width": 48, "layers": 2, "heads": 2, "batch_size": 16}
DOES = {"dog": "barks", "cat": "sleeps", "bird": "sings", "fish": "swims", "king": "rules", "queen": "reads"}
PLACES = ["in the garden", "by the river", "on the hill", "under the tree"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> tuple[Path, Path]:
    """400 lines, each an animal and what it does somewhere; and the same as running text of such sentences."""
    rng = random.Random(0)
    folder = tmp_path_factory.mktemp("texts")

    def sentence() -> str:
        who = rng.choice(list(DOES))
        return f"the {rng.choice(['old', 'small', 'happy'])} {who} {DOES[who]} {rng.choice(PLACES)}."

    (folder / "lines.txt").write_text("".join(f"{sentence()}\n" for _ in range(400)))
    (folder / "book.txt").write_text("\n\n".join(" ".join(sentence() for _ in range(6)) for _ in range(60)) + "\n")
    return folder / "lines.txt", folder / "book.txt"


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["valid_loss"] for line in lines if "valid_loss" in line]


def test_a_small_bert_fills_gaps_far_better_than_the_most_frequent_word(texts, tmp_path):
    trained = harken.train(str(texts[0]), model="bert", out=str(tmp_path / "run"), steps=150, dropout=0.0, **SMALL)
    found = harken.evaluate(trained.run, str(texts[0]))
    assert found.task == "masked-language-modeling"
    _, tokenizer = harken.load(trained.run)
    ids = np.array([i for line in texts[0].read_text().splitlines() for i in tokenizer.encode(line, special=False)])
    baseline = np.bincount(ids).max() / len(ids)
    assert baseline < 0.3
    assert found.metrics["masked_accuracy"] > 0.6
    assert losses(tmp_path / "run")[-1] < losses(tmp_path / "run")[0] - 1
    counts = found.ledger["tokens"]
    assert counts["tokens hidden"] == found.tokens
    assert "[MASK]" in (tmp_path / "run" / "samples.md").read_text()
    assert json.loads((tmp_path / "run" / "harken.json").read_text())["task"] == "masked-language-modeling"


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("roberta", {"whole_word": True}),
        ("distilbert", {}),
        ("modernbert", {}),
        ("bert", {"examples": "running"}),
        ("albert", {}),
        ("bert", {"task": "pretraining", "examples": "running"}),
        ("albert", {"task": "pretraining", "examples": "running"}),
        ("t5", {"task": "span-corruption"}),
        ("t5", {"task": "span-corruption", "examples": "running"}),
        ("bart", {"task": "denoising"}),
        ("bart", {"task": "denoising", "examples": "running"}),
        ("transformer", {"task": "denoising", "noise": "masking,rotation"}),
    ],
)
def test_every_family_learns_to_mend(texts, tmp_path, model, options):
    kind = options.setdefault("examples", "lines")
    data = str(texts[kind == "running"])
    asked = {**SMALL, "width": 32, "layers": 1, "context": 48, "batch_size": 8 if kind == "running" else 16}
    trained = harken.train(data, model=model, out=str(tmp_path / "run"), steps=40, dropout=0.0, **asked, **options)
    found = losses(tmp_path / "run")
    assert min(found) < found[0] - 0.4
    again = harken.evaluate(trained.run, data)
    assert again.task == (options.get("task") or "masked-language-modeling")
    assert again.bits_per_byte != again.bits_per_byte
    pair = "sentence_order_accuracy" if model == "albert" else "next_sentence_accuracy"
    assert (pair in again.metrics) == (options.get("task") == "pretraining")
    assert "→" in (tmp_path / "run" / "samples.md").read_text()


def test_transformers_opens_the_runs_and_says_the_same(texts, tmp_path):
    transformers = pytest.importorskip("transformers")
    classes = {
        ("bert", None): "BertForMaskedLM",
        ("roberta", None): "RobertaForMaskedLM",
        ("distilbert", None): "DistilBertForMaskedLM",
        ("modernbert", None): "ModernBertForMaskedLM",
        ("albert", "pretraining"): "AlbertForPreTraining",
        ("bert", "pretraining"): "BertForPreTraining",
    }
    text = "the old dog barks by the river. the cat sleeps."
    for (model, task), name in classes.items():
        run = tmp_path / f"{model}-{task}"
        harken.train(
            str(texts[1]), model=model, task=task, out=str(run), steps=3, examples="running", context=32, **{**SMALL, "batch_size": 4}
        )
        ours, tokenizer = harken.load(run)
        theirs = getattr(transformers, name).from_pretrained(run).eval()
        read = transformers.AutoTokenizer.from_pretrained(run)
        ids = tokenizer.encode(text)
        assert read(text)["input_ids"] == ids
        assert read.mask_token_id == tokenizer.mask_id
        assert ids[0] == tokenizer.cls_id == read.cls_token_id
        assert ids[-1] == tokenizer.sep_id == read.sep_token_id
        pair = read("the dog", "the cat")
        assert pair["input_ids"].count(tokenizer.sep_id) == (3 if model == "roberta" else 2)
        if model in ("bert", "albert"):
            assert pair["token_type_ids"][-1] == 1
        with torch.no_grad():
            said, wanted = ours(torch.tensor([ids])), theirs(torch.tensor([ids]))
        if task is None:
            assert torch.allclose(said, wanted.logits, atol=1e-4)
        else:
            assert torch.allclose(said.mlm, wanted.prediction_logits, atol=1e-4)
            second = wanted.sop_logits if model == "albert" else wanted.seq_relationship_logits
            assert torch.allclose(said.nsp, second, atol=1e-4)


@pytest.mark.parametrize(("model", "task"), [("t5", "span-corruption"), ("bart", "denoising")])
def test_transformers_opens_what_learned_to_write(texts, tmp_path, model, task):
    transformers = pytest.importorskip("transformers")
    harken.train(str(texts[0]), model=model, task=task, out=str(tmp_path / "run"), steps=3, **SMALL)
    ours, tokenizer = harken.load(tmp_path / "run")
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "run")
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run").eval()
    text = "the old dog barks"
    ids = tokenizer.encode(text)
    assert read(text)["input_ids"] == ids
    assert ids[-1] == tokenizer.eos_id == read.eos_token_id
    source, target = torch.tensor([ids]), torch.tensor([[ours.config.decoder_start_token_id, *ids[:4]]])
    with torch.no_grad():
        assert torch.allclose(ours(source, target), theirs(input_ids=source, decoder_input_ids=target).logits, atol=1e-4)
    if model == "t5":
        names = [read.convert_tokens_to_ids(f"<extra_id_{n}>") for n in range(100)]
        assert names == list(range(tokenizer.vocab_size - 1, tokenizer.vocab_size - 101, -1))
    else:
        assert read.mask_token == "<mask>"


@pytest.mark.parametrize(
    ("model", "task", "kind"),
    [("bert", "pretraining", "running"), ("roberta", None, "lines"), ("t5", "span-corruption", "running"), ("bart", "denoising", "lines")],
)
def test_a_run_goes_on_to_the_same_bits(texts, tmp_path, monkeypatch, model, task, kind):
    asked = {"model": model, "task": task, "examples": kind, "steps": 8, "dropout": 0.1, "context": 32, **SMALL, "batch_size": 4}
    data = str(texts[kind == "running"])
    harken.train(data, out=str(tmp_path / "whole"), **asked)
    learn = fitting.learn
    monkeypatch.setattr(fitting, "learn", lambda *args: (args[-1] == 5 and signal.raise_signal(signal.SIGINT), learn(*args))[1])
    with pytest.raises(Interrupted):
        harken.train(data, out=str(tmp_path / "parts"), **asked)
    monkeypatch.undo()
    harken.train(out=str(tmp_path / "parts"), resume=True)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_minutes_are_kept(texts, tmp_path):
    trained = harken.train(str(texts[0]), model="bert", out=str(tmp_path / "run"), minutes=0.05, **SMALL)
    assert trained.steps > 5
    assert trained.seconds < 10


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"model": "gpt2", "task": "masked-language-modeling"}, "is not for a gpt2 model, which learns by language-modeling"),
        ({"model": "bert", "task": "denoising"}, "not for a bert model, which learns by masked-language-modeling or pretraining"),
        ({"model": "distilbert", "task": "pretraining"}, "which learns by masked-language-modeling or classification"),
        ({"model": "gpt2", "mask_rate": 0.2}, "--mask-rate is for --task masked-language-modeling or pretraining or .* language-modeling"),
        ({"model": "t5", "task": "span-corruption", "whole_word": True}, "--whole-word is for .*, not for span-corruption"),
        ({"model": "bart", "task": "denoising", "noise": "infiling"}, "--noise infiling is not known"),
        (
            {"model": "bert", "task": "pretraining"},
            r"makes 0 pairs of segments, as \d+ of \d+ texts are one sentence: .*--examples running",
        ),
        ({"model": "bert", "context": 8}, r"longer than the context of 8 tokens \(the longest has 10\): give --context 10"),
        ({"model": "bert", "context": 5}, "--context 5 leaves no room for a text beside its special tokens: give 8 or more"),
        ({"model": "bert", "target": "x"}, "--target is for a model that answers a source"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(texts, tmp_path, options, match):
    with pytest.raises(InputError, match=match):
        harken.train(str(texts[0]), out=str(tmp_path / "run"), steps=2, **SMALL, **options)
    assert not (tmp_path / "run").exists()


WORDS = st.lists(st.sampled_from(["one", "two.", "three!", "four", "[MASK]", "\n", "five.", "πσ"]), min_size=1, max_size=30)


@settings(max_examples=25)
@given(st.lists(WORDS, min_size=3, max_size=6), st.sampled_from(["lines", "running"]), st.sampled_from(["bert", "t5", "bart"]))
def test_the_ledger_adds_up_and_every_text_comes_back(texts, kind, model):
    task = {"bert": None, "t5": "span-corruption", "bart": "denoising"}[model]
    options = TrainOptions(data="-", model=model, task=task, overflow="window", context=16)
    train = Corpus([" ".join(words) + " one two three four five." * 4 for words in texts], kind, "x")
    tokenizer = make_tokenizer(options, train)
    data = prepared(options, tokenizer, train, None)
    counts = data.ledger.to_json()["tokens"]
    assert counts["tokens"] == counts["targets"] == data.train.targets
    assert counts["texts"] == counts["texts used"] + counts.get("texts too short", 0)
    rows = data.train.rows(np.random.default_rng(0))
    if isinstance(data.train, Masked):
        assert counts["tokens hidden"] + counts["tokens not hidden"] == counts["tokens read"]
        found = [restored(each.inputs, each.targets)[1:-1] for each in data.train.examples(rows)]
    else:
        sources, lengths, _, targets = data.train.take(rows, 0)
        assert lengths.max() <= 16
        texts_of = [target[target != -100][:-1] for target in targets]
        found = texts_of
        if model == "t5":
            bodies = [source[:n][len(tokenizer.prefix) : n - 1] for source, n in zip(sources, lengths, strict=True)]
            found = [data.train.noise.restored(body, target) for body, target in zip(bodies, texts_of, strict=True)]
    assert (np.concatenate(found) == data.train.spans.ids[: data.train.targets]).all()
    assert tokenizer.mask_id is None or tokenizer.mask_id not in data.train.spans.ids  # "[MASK]" in a text is only text


@settings(max_examples=25)
@given(st.lists(WORDS, min_size=3, max_size=6), st.sampled_from(["lines", "running"]), st.sampled_from(["bert", "albert"]))
def test_the_ledger_of_pairs_adds_up_and_every_sentence_comes_back(texts, kind, model):
    options = TrainOptions(data="-", model=model, task="pretraining", context=32)
    train = Corpus([" ".join(words) for words in texts] + ["one. two. three four five."] * 4, kind, "x")
    tokenizer = make_tokenizer(options, train)
    data = prepared(options, tokenizer, train, None)
    counts = data.ledger.to_json()["tokens"]
    rows = data.train.rows()
    assert counts["pairs"] == len(rows)
    assert counts["tokens"] + counts["tokens read twice"] == counts["tokens in pairs"] + counts["tokens left alone"]
    assert counts["tokens hidden"] + counts["tokens not hidden"] == counts["tokens read"]
    read = np.zeros(len(data.train.spans.ids), int)
    for (begin, end, _), each in zip(rows.tolist(), data.train.examples(rows), strict=True):
        read[begin:end] += 1
        whole = restored(each.inputs, each.targets)
        if each.label == 0:
            first, second = whole[each.types == 0][1:-1], whole[each.types == 1][:-1]
            assert (np.concatenate([first, second]) == data.train.spans.ids[begin:end]).all()
    assert (read == 0).sum() == counts["tokens left alone"]
    assert (read == 2).sum() == counts["tokens read twice"]

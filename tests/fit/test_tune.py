"""Fine-tuning: a run goes on from any checkpoint, all of it or some of its layers, with more tokens, from a teacher; to the same bits."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file

import harken
from harken.base.errors import InputError, Interrupted
from harken.checkpoint import adapters
from harken.checkpoint.adapter_config import ALL, Setting
from harken.checkpoint.load import config_of
from harken.families.table import build, config_class
from harken.fit import fit as fitting
from harken.fit.adapt import adapt
from harken.fit.layers import Layers, depths_of, named
from harken.fit.optimizer import Optimizer
from harken.fit.options import TrainOptions
from harken.fit.plan import Plan, choose_plan
from harken.fit.teacher import shallow
from harken.fit.tune import other_labels, words_of
from harken.text.extend import with_words
from harken.text.frames import FRAMES
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_characters, train_tokenizer

SMALL = {"width": 32, "layers": 2, "heads": 2, "batch_size": 16}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WIDE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 32}
FAMILIES = {
    "gpt2": (hf.GPT2Config, hf.GPT2LMHeadModel, {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 32}),
    "llama": (hf.LlamaConfig, hf.LlamaForCausalLM, {**WIDE, "num_key_value_heads": 2}),
    "bert": (hf.BertConfig, hf.BertForMaskedLM, WIDE),
    "t5": (hf.T5Config, hf.T5ForConditionalGeneration, {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}),
}


def write(path: Path, kind: str, seed: int, count: int) -> str:
    """Words that follow one another by a rule, which both texts share; the second text ends its words otherwise."""
    rng = random.Random(seed)
    parts = ["ma", "le", "ki", "ro", "ta", "an", "su", "be"]
    rows = []
    for _ in range(count):
        at = rng.randrange(8)
        word = "".join(parts[(at + step * 3) % 8] for step in range(rng.randint(3, 5)))
        rows.append(word + ("lo" if seed else "nie"))
    if kind == "t5":
        path = path.with_suffix(".jsonl")
        path.write_text("".join(json.dumps({"source": row, "target": row[::-1]}) + "\n" for row in rows))
    else:
        path.write_text("".join(f"{row}\n" for row in rows))
    return str(path)


def losses(run: str | Path) -> list[float]:
    lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    return [line["valid_loss"] for line in lines if "valid_loss" in line]


def same(a: Path, b: Path) -> None:
    for name in ("model.safetensors", "state/last.safetensors"):
        one, two = load_file(a / name), load_file(b / name)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A small run on the first text."""
    folder = tmp_path_factory.mktemp("base")
    text = write(folder / "first.txt", "llama", 0, 300)
    harken.train(text, out=str(folder / "run"), steps=60, examples="lines", **{**SMALL, "layers": 3})
    return folder / "run"


@pytest.fixture(scope="module")
def second(tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("second") / "second.txt", "llama", 1, 120)


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_a_checkpoint_of_transformers_learns_faster_than_a_new_model(kind, tmp_path):
    first, second = (write(tmp_path / f"{seed}.txt", kind, seed, 300 - 180 * seed) for seed in (0, 1))
    lines = {} if kind == "t5" else {"examples": "lines"}
    made = harken.train(first, model=kind, out=str(tmp_path / "first"), steps=100, tokenizer="char", dropout=0.0, **lines, **SMALL)
    # The weights go through a model of transformers, written by it beside the tokenizer and settings of its own.
    theirs = FAMILIES[kind][1].from_pretrained(made.run)
    if kind != "bert":  # which does not write
        theirs.generation_config.max_length = 23
    theirs.config.a_key_of_theirs = "kept"
    theirs.save_pretrained(tmp_path / "theirs")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(made.run) / name, tmp_path / "theirs")
    valid = write(tmp_path / "valid.txt", kind, 2, 40)
    asked = {"steps": 20, "valid": valid, "batch_size": 16, "dropout": 0.0, **lines}
    tuned = harken.train(second, model=str(tmp_path / "theirs"), out=str(tmp_path / "tuned"), **asked)
    scratch = harken.train(second, model=kind, out=str(tmp_path / "scratch"), tokenizer="char", **{**SMALL, **asked})
    assert losses(tuned.run)[0] == pytest.approx(harken.evaluate(tmp_path / "theirs", valid).loss, rel=1e-5)
    assert tuned.loss < losses(tuned.run)[0]
    assert tuned.loss < scratch.loss - 0.05
    record = json.loads((tmp_path / "tuned" / "harken.json").read_text())
    assert record["began_from"]["model"] == str(tmp_path / "theirs")
    assert len(record["began_from"]["sha256"]) == 64
    assert json.loads((tmp_path / "tuned" / "config.json").read_text())["a_key_of_theirs"] == "kept"
    if kind != "bert":
        assert json.loads((tmp_path / "tuned" / "generation_config.json").read_text())["max_length"] == 23
    again = harken.train(second, model=tuned.run, out=str(tmp_path / "again"), **{**asked, "steps": 2})  # a run of ours is one too
    assert losses(again.run)[0] == pytest.approx(tuned.loss, rel=1e-5)


def test_frozen_layers_keep_their_bits_and_have_no_state(base, second, tmp_path, capsys):
    harken.train(second, model=str(base), out=str(tmp_path / "run"), steps=6, freeze="embed,blocks.0-1,blocks.2.attn", optimizer="muon")
    assert "frozen: embed, blocks.0-1, blocks.2.attn: " in capsys.readouterr().err
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "run" / "state" / "last.safetensors")
    frozen = ("model.stack.embed", "model.stack.blocks.0.", "model.stack.blocks.1.", "model.stack.blocks.2.attn.")
    model, _ = harken.load(base)
    for name, value in model.state_dict().items():
        assert torch.equal(value, after[f"model.{name}"]) == f"model.{name}".startswith(frozen), name
    assert before
    learning = [name for name, _ in model.named_parameters() if not f"model.{name}".startswith(frozen)]
    state = [key for key in after if key.startswith("optimizer.")]
    assert len({key.rpartition(".")[0] for key in state}) == len(learning)


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert", "t5", "lstm"])
def test_the_rate_falls_from_layer_to_layer(family):
    model = build(config_class(family).sized(32, 3, 2, 16, 20, 0.0), seed=0)
    layers = Layers(model, plan(layer_decay=0.5))
    for kind in ("adamw", "muon"):
        optimizer = Optimizer(model, kind, 1.0, 0.1, layers.scales)
        optimizer.step(0.8)
        rates = {p: group["lr"] for part in optimizer.parts for group in part.param_groups for p in group["params"]}
        found = {name: rates[p] for name, p in model.named_parameters()}
        assert len(rates) == len(found)
        for name, rate in found.items():
            block = next((int(part) for part in name.split(".") if part.isdigit()), None)
            depth = 4 if ".embed." in f".{name}" else 3 - block if block is not None else 3 if ".bias.weight" in name else 0
            assert rate == pytest.approx(0.8 * 0.5**depth), name


def plan(**changes) -> Plan:
    return choose_plan(TrainOptions(data="-", steps=100, **changes), targets=1000, rows=100)


def test_blocks_thaw_from_the_top_down():
    for family, start in (("bert", 0), ("gpt2", 1)):  # gpt2's head is its token vectors, which come last
        model = build(config_class(family).sized(32, 3, 2, 16, 20, 0.0), seed=0)
        layers, depths = Layers(model, plan(unfreeze_every=0.1, freeze="blocks.1.mlp")), depths_of(model)
        never = named(model, ["blocks.1.mlp"])
        for step in (0, 9, 10, 25, 30, 99):
            layers.thaw(step)
            reached = start + step // 10
            for p in model.parameters():
                assert p.requires_grad == (depths[p] <= reached and p not in never)
    with pytest.raises(InputError, match="share of the steps, and with --minutes"):
        choose_plan(TrainOptions(data="-", minutes=1, unfreeze_every=0.1), targets=1000, rows=100)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_with_all_of_it_goes_on_to_the_same_bits_without_the_checkpoint(base, second, tmp_path, monkeypatch, optimizer):
    asked = {"steps": 14, "layer_decay": 0.8, "freeze": "blocks.0.attn", "unfreeze_every": 3, "average": 0.9, "optimizer": optimizer}
    asked |= {"dropout": 0.1, "context": 12, "batch_size": 16, "overflow": "window"}
    origin = shutil.copytree(base, tmp_path / "origin")
    harken.train(second, model=str(origin), out=str(tmp_path / "whole"), **asked)
    learn, done, stops = fitting.learn, [0], [1, 5, 4, 100]

    def interrupted(*args):
        done[0] += 1
        if done[0] == stops[0]:
            signal.raise_signal(signal.SIGINT)
        return learn(*args)

    monkeypatch.setattr(fitting, "learn", interrupted)
    for n in range(4):
        options = {"resume": True} if n else {"model": str(origin), **asked}
        try:
            harken.train(None if n else second, out=str(tmp_path / "parts"), **options)
        except Interrupted:
            shutil.rmtree(origin, ignore_errors=True)
            done[0], stops = 0, stops[1:]
    same(tmp_path / "whole", tmp_path / "parts")


def test_a_run_killed_before_its_first_saved_state_begins_as_it_did(base, second, tmp_path, monkeypatch):
    asked = {"steps": 6, "eval_every": 2, "save_every": 1000}
    harken.train(second, model=str(base), out=str(tmp_path / "whole"), **asked)
    learn, done = fitting.learn, [0]

    def killed(*args):
        done[0] += 1
        if done[0] == 5:
            raise KeyboardInterrupt
        return learn(*args)

    monkeypatch.setattr(fitting, "learn", killed)
    with pytest.raises(KeyboardInterrupt):
        harken.train(second, model=str(base), out=str(tmp_path / "killed"), **asked)
    harken.train(out=str(tmp_path / "killed"), resume=True)  # model.safetensors is that of step 4 by now
    same(tmp_path / "whole", tmp_path / "killed")


def test_a_run_is_repeated_from_the_same_checkpoint_only(base, second, tmp_path):
    origin = shutil.copytree(base, tmp_path / "origin")
    harken.train(second, model=str(origin), out=str(tmp_path / "a"), steps=5)
    harken.train(replay=str(tmp_path / "a"), out=str(tmp_path / "b"))
    same(tmp_path / "a", tmp_path / "b")
    shutil.copy(tmp_path / "a" / "model.safetensors", origin)
    with pytest.raises(InputError, match="its weights are others"):
        harken.train(replay=str(tmp_path / "a"), out=str(tmp_path / "c"))


def test_a_model_is_tuned_with_further_tokens(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("The heart beats and the lungs breathe; a tachycardia is a heart that beats too fast.\n" * 30)
    harken.train(str(text), out=str(tmp_path / "base"), steps=4, tokenizer="bpe", vocab_size=280, examples="lines", **SMALL)
    more = with_words(Tokenizer.load(tmp_path / "base"), ["tachycardia", "lungs"]).extended(["<|note|>"])
    more.save(tmp_path / "more")
    asked = {"model": str(tmp_path / "base"), "tokenizer": str(tmp_path / "more"), "examples": "lines", "steps": 3}
    run = harken.train(str(text), out=str(tmp_path / "run"), **asked).run
    assert "grows from 280 to 283 rows for 3 further tokens: 2 begin as the mean of the pieces they were made of" in capsys.readouterr().err
    model, words = harken.load(run)
    assert words.vocab_size == model.config.vocab_size == 283
    theirs: Any = hf.AutoModelForCausalLM.from_pretrained(run)
    assert theirs.get_input_embeddings().weight.shape[0] == 283
    assert hf.AutoTokenizer.from_pretrained(run)("tachycardia")["input_ids"][-1] == 280


def test_a_student_learns_from_its_teacher(base, second, tmp_path, capsys):
    student = harken.train(second, teacher=str(base), student_layers=2, out=str(tmp_path / "student"), steps=10)
    said = capsys.readouterr().err
    assert "the student begins as the teacher's blocks 0, 2" in said
    assert "at temperature 2" in said
    model, _ = harken.load(student.run)
    assert model.config.num_hidden_layers == 2
    assert student.loss < losses(student.run)[0]
    fresh = harken.train(second, teacher=str(base), model="gpt2", out=str(tmp_path / "fresh"), steps=10, **SMALL)
    assert harken.load(fresh.run)[1].vocab_size == harken.load(base)[1].vocab_size


@pytest.mark.parametrize("name", ["modernbert", "bert"])
def test_a_last_layer_for_another_task_is_made_anew(name):
    """Those of a ModernBERT all have one name on disk."""
    config = config_class(name).sized(16, 1, 2, 32, 24, 0.0)
    tasks = {task: dataclasses.replace(config, task=task) for task in ("span", "classification", "token-classification")}
    called = dataclasses.replace(tasks["classification"], id2label={0: "a", 1: "b"})
    assert all(other_labels(one, two) == (one is not two) for one in tasks.values() for two in tasks.values())
    assert other_labels(tasks["classification"], called) and not other_labels(config, called)
    assert not other_labels(tasks["span"], dataclasses.replace(tasks["span"], id2label={0: "a", 1: "b"}))


def test_an_adapter_leaves_the_bias_of_a_tied_head(tmp_path):
    model = build(config_class("modernbert").sized(16, 2, 2, 32, 24, 0.0), seed=1)
    adapt(model, TrainOptions(data="-", lora=True, model=str(tmp_path)), ["decoder"], None)
    (setting,) = model.adapters.settings.values()
    assert setting.saved == () and not any("head" in name for name in model.adapters.learned())


def test_a_checkpoint_whose_dropout_is_null_is_tuned(tmp_path):
    tokenizer = train_tokenizer("bpe", ["abcabc"], 270, frame=FRAMES["modernbert"])
    config = config_class("modernbert").sized(16, 1, 2, 32, tokenizer.vocab_size, 0.0)
    harken.save(build(dataclasses.replace(config, classifier_dropout=None), seed=1), tokenizer, tmp_path / "base")
    (tmp_path / "a.txt").write_text("abcabc\ncba\nbca\n" * 9)
    run = harken.train(str(tmp_path / "a.txt"), model=str(tmp_path / "base"), out=str(tmp_path / "run"), steps=1).run
    assert harken.load(run)[0].config.classifier_dropout is None


QWEN = {"use_sliding_window": True, "sliding_window": 5}


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("qwen2", {**QWEN, "layer_types": ["full_attention", "sliding_attention"] * 2}),
        ("qwen2", {**QWEN, "max_window_layers": 2}),
        ("modernbert", {"local_attention": 8, "layer_types": None, "global_attn_every_n_layers": 2}),
    ],
)
def test_a_students_blocks_see_as_far_as_they_did(name, which, tmp_path):
    config = dataclasses.replace(config_class(name).sized(16, 4, 2, 32, 24, 0.0), **which)
    harken.save(shallow(build(config, seed=1), 2), None, tmp_path)
    student = harken.load(tmp_path, tokenizer=False)[0].config
    assert [student.window(layer) for layer in range(2)] == [config.window(layer) for layer in (0, 3)] == [None, 5]


def test_an_adapter_reads_with_the_tokenizer_of_its_base(tmp_path):
    tokenizer = train_characters(["to be or not to be"])
    harken.save(build(config_class("gpt2").sized(16, 1, 2, 16, tokenizer.vocab_size, 0.0), seed=1), tokenizer, tmp_path / "base")
    model, _ = harken.load(tmp_path / "base")
    adapters.begin(model, Setting(targets=ALL, base=str(tmp_path / "base")))
    harken.save(model, None, tmp_path / "adapter")
    own, pieces = words_of(tmp_path / "adapter", config_of(tmp_path / "adapter"), None)
    assert own.encode("to be") == tokenizer.encode("to be") and not pieces
    (tmp_path / "base" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="adapter holds no tokenizer, and no other reads for its weights"):
        words_of(tmp_path / "adapter", config_of(tmp_path / "adapter"), None)


def test_vectors_that_are_not_made_here_are_refused_before_anything_is_written(tmp_path):
    tokenizer = train_characters(["to be or not to be"])
    harken.save(build(config_class("bert").sized(16, 1, 2, 16, tokenizer.vocab_size, 0.0), seed=1), tokenizer, tmp_path / "base")
    (tmp_path / "base" / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]')
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps({"query": f"to {i}", "positive": f"be {i}"}) + "\n" for i in range(12)))
    with pytest.raises(InputError, match="lets Dense change the vectors of texts, which is not done here"):
        harken.train(str(tmp_path / "pairs.jsonl"), model=str(tmp_path / "base"), task="similarity", out=str(tmp_path / "run"), steps=1)
    assert not (tmp_path / "run").exists()


def test_a_student_learns_to_fill_gaps_from_its_teacher(second, tmp_path, monkeypatch):
    teacher = harken.train(second, model="bert", out=str(tmp_path / "bert"), steps=30, examples="lines", tokenizer="char", **SMALL)
    asked = {"teacher": teacher.run, "student_layers": 1, "steps": 8, "examples": "lines", "batch_size": 16}
    student = harken.train(second, out=str(tmp_path / "whole"), **asked)
    assert student.loss < losses(student.run)[0]
    hf.AutoModelForMaskedLM.from_pretrained(student.run)
    learn, done = fitting.learn, [0]

    def interrupted(*args):
        done[0] += 1
        if done[0] == 4:
            signal.raise_signal(signal.SIGINT)
        return learn(*args)

    monkeypatch.setattr(fitting, "learn", interrupted)
    with pytest.raises(Interrupted):
        harken.train(second, out=str(tmp_path / "parts"), **asked)
    harken.train(out=str(tmp_path / "parts"), resume=True)
    same(tmp_path / "whole", tmp_path / "parts")


def test_distilberts_recipe_is_one_command(second, tmp_path, capsys):
    asked = {"examples": "lines", "tokenizer": "char", **SMALL, "layers": 4}
    teacher = harken.train(second, model="bert", out=str(tmp_path / "bert"), steps=40, **asked)
    recipe = {"alpha_ce": 5.0, "alpha_mlm": 2.0, "alpha_cos": 1.0, "student_layers": 2, "batch_size": 16, "examples": "lines"}
    student = harken.train(second, teacher=teacher.run, out=str(tmp_path / "student"), steps=30, dropout=0.0, **recipe)
    assert "parts of the loss: ce 5, mlm 2, cos 1" in capsys.readouterr().err
    assert harken.load(student.run)[0].config.num_hidden_layers == 2
    alike = {"alpha_ce": 0.0, "alpha_mlm": 0.0, "alpha_cos": 1.0, **SMALL}
    for name, weights, share in (("student", {}, 1.0), ("alike", alike, 0.6)):
        if weights:
            harken.train(second, model="bert", teacher=teacher.run, out=str(tmp_path / name), steps=40, examples="lines", **weights)
        lines = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        learned = [line["loss"] for line in lines if "loss" in line]
        assert sum(learned[-5:]) < share * sum(learned[:5])
    narrow = {"model": "bert", "width": 16, "layers": 1, "heads": 2, "examples": "lines", "alpha_cos": 1.0}
    with pytest.raises(InputError, match="have 32 numbers, the student's 16: give --width 32"):
        harken.train(second, teacher=teacher.run, out=str(tmp_path / "narrow"), steps=2, **narrow)


def test_a_model_of_the_hub_is_one_too(base, second, tmp_path, monkeypatch):
    """As it lies in the cache of Hugging Face, which here is all there is."""
    commit, repo = "0123456789abcdef0123456789abcdef01234567", tmp_path / "hub" / "models--someone--names"
    shutil.copytree(base, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    harken.train(second, model="someone/names", out=str(tmp_path / "run"), steps=2)
    record = json.loads((tmp_path / "run" / "harken.json").read_text())
    assert record["began_from"]["model"] == "someone/names"
    assert record["began_from"]["revision"] == commit


@pytest.mark.parametrize(
    ("family", "field", "options"),
    [
        ("t5", "n_positions", {"task": "span-corruption", "tokenizer": "bpe", "vocab_size": 300}),
        ("lstm", "context_length", {"examples": "running"}),
    ],
)
def test_a_model_without_positions_goes_on_with_longer_rows(second, tmp_path, capsys, family, field, options):
    asked = {**SMALL, **options, "steps": 2}
    harken.train(second, model=family, out=str(tmp_path / "short"), **{**asked, "context": 16})
    kept = {key: asked[key] for key in ("task", "examples") if key in asked}
    harken.train(second, model=str(tmp_path / "short"), out=str(tmp_path / "long"), steps=2, context=40, **kept)
    assert "has learned from rows of 16 tokens so far, and from 40 now" in capsys.readouterr().err
    model, _ = harken.load(str(tmp_path / "long"))
    assert model.span == 40 and json.loads((tmp_path / "long" / "config.json").read_text())[field] == 40


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"width": 64}, "--width is for a new model"),
        ({"tokenizer": "bpe"}, "--tokenizer is for a new model"),
        ({"cell": "gru"}, "--cell is for a new model"),
        ({"context": 4096}, r"--context 4096 is more than the \d+ tokens"),
        ({"freeze": "embd"}, "the model has no layer embd .did you mean 'embed'"),
        ({"freeze": "blocks.1-9"}, r"--freeze blocks.1-9: the model has no layer blocks.3"),
        ({"freeze": "embed,norm,blocks"}, "leaves nothing to learn"),
        ({"unfreeze_every": 1.5}, "neither a whole number of steps nor a share"),
        ({"task": "text2text"}, "--task text2text is not for a llama model"),
        ({"task": "masked-language-modeling"}, "is not for a llama model"),
        ({"tokenizer": "nowhere"}, "this is the folder of an extension of its tokenizer"),
        ({"student_layers": 1}, "name one with --teacher"),
        ({"temperature": 1.0}, "name one with --teacher"),
        ({"alpha_cos": 1.0}, "--alpha-cos is for learning from a teacher"),
        ({"teacher": "OTHER"}, "reads with another tokenizer"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_writes_nothing(base, second, tmp_path, options, match):
    if options.get("teacher"):
        text = tmp_path / "other.txt"
        text.write_text("xyzq wvut\n" * 40)
        options = {"teacher": harken.train(str(text), out=str(tmp_path / "other"), steps=1, examples="lines", **SMALL).run}
    with pytest.raises(InputError, match=match) as found:
        harken.train(second, model=str(base), out=str(tmp_path / "run"), steps=2, **options)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "run").exists()


def test_what_is_no_model_to_begin_from_is_one_sentence(base, second, tmp_path):
    bare = shutil.copytree(base, tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    (bare / "tokenizer_config.json").unlink(missing_ok=True)
    other = tmp_path / "other.txt"
    other.write_text("completely other words\n" * 40)
    stranger = harken.train(str(other), out=str(tmp_path / "stranger"), steps=1, model="bert", examples="lines", **SMALL).run
    counted = harken.train(second, out=str(tmp_path / "counted"), model="ngram").run
    pairs = write(tmp_path / "pairs", "t5", 0, 30)
    for data, options, match in (
        (second, {"model": str(bare)}, "holds no tokenizer"),
        (second, {"model": str(base), "tokenizer": stranger}, "no extension of the model's"),
        (second, {"model": counted}, "learns by counts"),
        (second, {"model": "lama"}, "did you mean 'llama'"),
        (second, {"model": str(tmp_path / "nowhere")}, "there is no model folder"),
        (pairs, {"model": stranger, "task": "text2text"}, "--task text2text is not for a bert model"),
        (pairs, {"model": stranger}, "text"),
        (second, {"model": str(base), "student_layers": 1, "teacher": str(base)}, "leave --model out"),
        (second, {"student_layers": 3, "teacher": str(base)}, "not fewer than the 3"),
        (second, {"model": "bert", "teacher": str(base)}, "was built for language-modeling, the student for masked"),
        (second, {"model": "ngram", "freeze": "embed"}, "is for models that learn by gradients"),
        (second, {"model": "mixture", "teacher": str(base)}, "--teacher is for models that learn by gradients alone, and mixture counts"),
        (second, {"model": "ngram", "label_smoothing": 0.1}, "--label-smoothing is for models that learn by gradients alone"),
        (second, {"teacher": str(base), "label_smoothing": 0.1}, "smooth already: leave one of them out"),
        (second, {"teacher": str(base), "alpha_ce": 0.0, "alpha_mlm": 0.0}, "are all 0"),
        (second, {"tokenizer": "byte"}, "--tokenizer byte is neither a kind of tokenizer nor a folder with one"),
    ):
        with pytest.raises(InputError, match=match) as found:
            harken.train(data, out=str(tmp_path / "run"), steps=2, **options)
        assert "\n" not in str(found.value)
        assert not (tmp_path / "run").exists()

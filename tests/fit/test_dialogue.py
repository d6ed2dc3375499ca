"""Runs that learn to reply: from nothing and from a checkpoint; stopped and gone on with; measured beside what takes no effort."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
import torch

import harken
from harken.base.errors import InputError
from harken.data.segments import SPEAKERS, Turns, read_turns, speakers_of
from harken.decode.options import DecodeOptions

SMALL = {"width": 48, "layers": 2, "heads": 2, "batch_size": 16, "dropout": 0.0}
HOBBIES = ["dogs", "cats", "music", "chess", "books", "tea", "rain", "trains"]
PLACES = ["rome", "oslo", "bern", "paris", "lima"]
HOW = ["old", "new", "red", "big", "small", "far", "warm", "cold"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """a.jsonl, of 240 dialogues in which the persona says what is replied; both.csv, in which both have one; plain.txt."""
    rng, folder = random.Random(0), tmp_path_factory.mktemp("dialogues")

    def person():
        return rng.choice(HOBBIES), rng.choice(PLACES)

    rows, table = [], ["user 1 personas,user 2 personas,Best Generated Conversation"]
    for _ in range(240):
        (hobby, place), (other, home) = person(), person()
        persona = [f"i love {hobby}.", f"i live in {place}."]
        pairs = [
            ["what do you love?", f"i love {rng.choice(HOW)} {hobby}."],
            ["where do you live?", f"i live in {rng.choice(HOW)} {place}."],
        ]
        rows.append({"persona": persona, "dialogue": pairs})
        said = ["hi", "hello", "what do you love?", f"i love {hobby}.", "where do you live?", f"i live in {place}.", f"i love {other}."]
        turns = "\n".join(f"User {1 + i % 2}: {turn}" for i, turn in enumerate(said))
        table.append(f'"i love {other}.\ni live in {home}.","{persona[0]}\n{persona[1]}","{turns}"')
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "both.csv").write_text("\n".join(table) + "\n")
    (folder / "plain.txt").write_text("\n".join(f"i love {a} and live in {b}" for a in HOBBIES for b in PLACES) + "\n")
    return folder


def trained(data: Path, file: str, out: Path, **asked):
    return harken.train(str(data / file), task="dialogue", out=str(out), **{**SMALL, **asked})


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> str:
    return trained(data, "a.jsonl", tmp_path_factory.mktemp("run") / "r", model="gpt2", tokenizer="word", steps=300).run


def test_a_small_model_learns_to_reply(run, data):
    result = json.loads((Path(run) / "harken.json").read_text())
    metrics = result["result"]["metrics"]
    assert metrics["perplexity"] < 4 and metrics["hits@1_of_2"] > 0.7
    assert result["data"]["unit"] == "= 2 × nats per token + 1 × nats per choice of 2" and result["data"]["kind"] == "dialogues"
    assert "→" in (Path(run) / "samples.md").read_text()
    model, tokenizer = harken.load(run)
    who = speakers_of(tokenizer)
    turns = Turns(("i love chess.", "i live in oslo."), ("what do you love?", "i love old chess.", "where do you live?"))
    (said,) = harken.generate((model, tokenizer), [turns], max_new_tokens=40)
    assert said.text.strip().startswith("i live in") and said.finish_reason == "stop" and not {who.first, who.second} & {*said.ids}


def test_it_opens_in_transformers(run):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.GPT2DoubleHeadsModel.from_pretrained(run).eval()
    words = transformers.AutoTokenizer.from_pretrained(run)
    ours, tokenizer = harken.load(run)
    read, _ = read_turns(tokenizer, Turns(("i love tea.",), ("hello",)))
    assert words.convert_tokens_to_ids(list(SPEAKERS)) == [speakers_of(tokenizer).first, speakers_of(tokenizer).second]
    ids, types = torch.tensor([[read.ids]]), torch.tensor([[read.types]])
    with torch.no_grad():
        want, got = theirs(ids, token_type_ids=types), ours(ids, types=types)
    torch.testing.assert_close(got.lm, want.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got.choice, want.mc_logits.view(1, 1), atol=1e-4, rtol=1e-4)


def test_it_is_measured_beside_what_takes_no_effort(run, data, tmp_path):
    found = harken.evaluate(run, str(data / "a.jsonl"), answers=12, candidates_out=str(tmp_path / "c.jsonl"))
    metrics = found.metrics
    assert found.task == "dialogue" and found.examples == 480 and found.main == "hits@1"
    words = sum(len(json.loads(line)["response"].split()) + 1 for line in (tmp_path / "c.jsonl").read_text().splitlines())
    assert metrics["perplexity_word"] == pytest.approx(math.exp(found.loss * found.tokens / words)) and metrics["perplexity_word"] < 30
    assert metrics["perplexity"] == found.perplexity == pytest.approx(math.exp(found.loss))
    assert metrics["hits@1"] > 0.2 and metrics["hits@1_mixed"] >= found.baselines["tf-idf"]["hits@1"] > 0.3
    assert found.baselines["chance"]["hits@1"] == 0.05 and any(name.endswith("gram") for name in found.baselines)
    assert 0.4 < metrics["f1"] <= 1 and {"distinct1", "distinct2", "repetition"} <= metrics.keys()
    assert metrics["seen_in_training"] > 200  # it is the training data
    assert found.intervals["hits@1"]["low"] < metrics["hits@1"] < found.intervals["hits@1"]["high"]
    again = harken.evaluate(run, str(tmp_path / "c.jsonl"), answers=0, against=run, history=5)  # the candidates are named now
    assert again.metrics["hits@1"] == pytest.approx(metrics["hits@1"]) and again.loss == pytest.approx(found.loss, rel=1e-5)
    assert again.against["hits@1"]["difference"] == 0 and "f1" not in again.metrics


def test_what_it_says_is_written_as_asked(run, data, tmp_path):
    (tmp_path / "few.jsonl").write_text("".join((data / "a.jsonl").read_text().splitlines(keepends=True)[:40]))
    ways: list[dict] = [{}, {"temperature": 4.0}, {"no_repeat_ngram_size": 1}]
    said = [harken.evaluate(run, str(tmp_path / "few.jsonl"), mix=1.0, **how).metrics for how in ways]
    assert said[0]["f1"] != said[1]["f1"] and said[0]["distinct2"] < said[1]["distinct2"]
    assert said[2]["repetition"] != said[0]["repetition"] or said[2]["f1"] != said[0]["f1"]


def test_turns_that_there_is_no_room_for_are_said(run, data, tmp_path, capsys):
    rows = (data / "a.jsonl").read_text().splitlines(keepends=True)[:40]
    rows.append(json.dumps({"persona": ["i love tea."], "dialogue": [["what " * 5_000, "i love red tea."]]}) + "\n")
    (tmp_path / "long.jsonl").write_text("".join(rows))
    assert harken.evaluate(run, str(tmp_path / "long.jsonl"), answers=0, mix=1.0).examples == 81
    assert "1 turns are left out of what stands before 81 replies" in capsys.readouterr().err


def test_candidates_do_not_depend_on_the_model(run, data, tmp_path):
    plain = trained(data, "a.jsonl", tmp_path / "p", model="llama", steps=4, mc_coef=0.0, tokenizer="word").run
    lists = []
    for each in (run, plain):
        found = harken.evaluate(each, str(data / "a.jsonl"), answers=0, candidates_out=str(tmp_path / "c.jsonl"))
        lists.append([json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()])
    assert lists[0] == lists[1]
    assert all(len(set(row["candidates"]) - {row["response"]}) == 19 for row in lists[0])
    assert json.loads((tmp_path / "p" / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    assert 0 <= found.metrics["hits@1"] <= 1  # by likelihood


def test_a_model_that_was_pre_trained_goes_on(data, tmp_path):
    base = harken.train(str(data / "plain.txt"), model="gpt2", steps=4, context=160, out=str(tmp_path / "base"), tokenizer="bpe", **SMALL)
    known = harken.load(base.run)[1].vocab_size
    found = harken.train(str(data / "both.csv"), task="dialogue", model=base.run, steps=3, batch_size=8, out=str(tmp_path / "tuned"))
    model, tokenizer = harken.load(found.run)
    assert tokenizer.vocab_size == known + 2 == model.config.vocab_size and model.config.task == "double-heads"
    ledger = json.loads((tmp_path / "tuned" / "harken.json").read_text())["ledger"]
    assert ledger["read"]["further examples of a row"] == 240  # both sides
    assert ledger["tokens"]["replies"] == ledger["tokens"]["replies used"]
    again = harken.train(str(data / "a.jsonl"), model=found.run, steps=2, batch_size=8, out=str(tmp_path / "again"))  # it has its speakers
    assert harken.load(again.run)[1].vocab_size == known + 2


def test_a_run_that_was_stopped_ends_in_the_same_bits(data, tmp_path, stopped):
    asked = {"model": "gpt2", "steps": 10, "save_every": 0.0, "seed": 3}
    whole = trained(data, "a.jsonl", tmp_path / "whole", **asked)
    stopped(6, lambda: trained(data, "a.jsonl", tmp_path / "parts", **asked))
    again = harken.train(resume=True, out=str(tmp_path / "parts"))
    assert (again.loss, again.metrics) == (whole.loss, whole.metrics)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


def test_a_folder_of_dialogues(data, tmp_path):
    folder = tmp_path / "talks"
    folder.mkdir()
    for name in ("a.jsonl", "both.csv"):
        (folder / name).write_text((data / name).read_text())
    (folder / "notes.md").write_text("none")
    found = trained(tmp_path, "talks", tmp_path / "run", model="llama", steps=2)
    ledger = json.loads((Path(found.run) / "harken.json").read_text())["ledger"]
    assert ledger["read"] == {"rows": 480, "further examples of a row": 240, "examples": 720}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"task": "language-modeling", "history": 3}, "--history is for --task dialogue, not for language-modeling"),
        ({"overflow": "truncate"}, "--overflow truncate is not for --task dialogue, which learns whole replies: drop leaves long ones out"),
        ({"model": "lstm"}, "--task dialogue is not for a lstm model"),
        ({"model": "bert"}, "--task dialogue is not for a bert model"),
        ({"context": 8}, "replies are longer than 8 tokens: give a larger --context"),
        ({"examples": "lines"}, "--examples is for texts to continue; --task dialogue learns from dialogues"),
    ],
)
def test_what_cannot_be_is_said(data, tmp_path, asked, message):
    with pytest.raises(InputError, match=message):
        harken.train(str(data / "a.jsonl"), out=str(tmp_path / "run"), **{"task": "dialogue", "model": "gpt2", "steps": 2, **asked})
    assert not (tmp_path / "run").exists()


def test_a_wrong_row_is_one_sentence(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"persona": ["i"], "dialogue": ["hi", ""]}\n{"persona": ["i"], "dialogue": ["hi", "you"]}\n')
    with pytest.raises(InputError, match="line 1: turn 2 of the dialogue is empty"):
        harken.train(str(tmp_path / "a.jsonl"), task="dialogue", model="gpt2", steps=2, out=str(tmp_path / "run"))


def test_too_few_to_choose_from(run, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"persona": ["i"], "dialogue": ["hi", "you"]}\n')
    with pytest.raises(InputError, match="too few dialogues to draw 19 replies of others from: give candidates"):
        harken.evaluate(run, str(tmp_path / "a.jsonl"))


def test_options_for_writing_are_as_everywhere(run):
    model = harken.load(run)
    turns = Turns(("i love tea.",), ("hello",))
    drawn = harken.generate(model, [turns], temperature=1.0, seed=1, max_new_tokens=9)
    assert drawn == harken.generate(model, [turns], temperature=1.0, seed=1, max_new_tokens=9)
    assert DecodeOptions(temperature=1.0).given == {"temperature": 1.0}


def test_a_new_model_takes_the_tokens_of_another(data, tmp_path):
    base = harken.train(str(data / "plain.txt"), model="gpt2", steps=1, context=160, out=str(tmp_path / "base"), tokenizer="bpe", **SMALL)
    found = trained(data, "a.jsonl", tmp_path / "new", model="gpt2", tokenizer=base.run, steps=1)
    model, tokenizer = harken.load(found.run)
    assert speakers_of(tokenizer) is not None and tokenizer.vocab_size == harken.load(base.run)[1].vocab_size + 2 == model.config.vocab_size

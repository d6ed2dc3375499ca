"""Runs that learn to answer: they do, their answers end, transformers opens them, they go on, and what is wrong is said in a sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import harken
from harken.base.errors import InputError
from harken.cli import main
from harken.fit import fit as fitting
from harken.text.chat import CHATML, chat_ids
from harken.text.tokenizer import Tokenizer

SMALL = {"width": 48, "layers": 2, "heads": 2, "batch_size": 16, "dropout": 0.0}
COLOURS = {"the sky": "blue", "grass": "green", "snow": "white", "coal": "black", "blood": "red"}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """alpaca.jsonl: which colour a thing has · chats.jsonl: the same, asked twice in a chat with a system message · base.txt: texts."""
    rng, folder = random.Random(0), tmp_path_factory.mktemp("instruct")
    rows, chats = [], []
    for n in range(120):
        some = rng.sample(list(COLOURS), 2)
        rows.append({"instruction": f"name the colour, {n % 40}", "input": some[0], "output": f"It is {COLOURS[some[0]]}."})
        talk = [{"role": "system", "content": "be brief"}]
        for thing in some:
            talk += [{"role": "user", "content": f"colour of {thing} {n}"}, {"role": "assistant", "content": COLOURS[thing]}]
        chats.append({"messages": talk})
    for name, found in (("alpaca", rows), ("chats", chats)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in found))
    (folder / "base.txt").write_text("".join(f"{row['input']} is {row['output']} name the colour, {n}\n" for n, row in enumerate(rows)))
    return folder


@pytest.fixture(scope="module")
def tuned(data: Path, tmp_path_factory) -> Path:
    """A base without a template, fine-tuned."""
    folder = tmp_path_factory.mktemp("runs")
    harken.train(
        str(data / "base.txt"), model="gpt2", tokenizer="bpe", vocab_size=300, steps=30, out=str(folder / "base"), **SMALL, context=96
    )
    harken.train(
        str(data / "alpaca.jsonl"),
        task="instruct",
        model=str(folder / "base"),
        steps=150,
        eval_every=75,
        learning_rate=5e-3,
        out=str(folder / "tuned"),
    )
    return folder / "tuned"


def asked(thing: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"name the colour, 7\n\n{thing}"}]


def test_a_base_learns_to_answer_and_to_end(tuned: Path):
    for thing, colour in COLOURS.items():
        found = harken.generate(tuned, asked(thing))[0]
        assert (found.text, found.finish_reason) == (f"It is {colour}.", "stop")
    record = json.loads((tuned / "harken.json").read_text())
    assert record["data"]["unit"] == "nats per token of the answers" and record["options"]["task"] == "instruct"
    assert record["ledger"]["tokens"]["answers learned"] == record["data"]["texts"]
    samples = (tuned / "samples.md").read_text()
    assert "> name the colour" in samples and "→ It is" in samples


def test_transformers_reads_and_writes_what_we_do(tuned: Path):
    ours, theirs = Tokenizer.load(tuned), AutoTokenizer.from_pretrained(tuned)
    model = AutoModelForCausalLM.from_pretrained(tuned).eval()
    chat = [{"role": "system", "content": "be brief"}, *asked("grass"), {"role": "assistant", "content": "green"}, *asked("coal")]
    for messages in (asked("snow"), chat):
        ids = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        assert ids == chat_ids(ours, messages)[1]
        with torch.no_grad():
            out = model.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False)[0, len(ids) :].tolist()
        found = harken.generate(tuned, messages, max_new_tokens=20, temperature=0)[0]
        assert theirs.decode(out, skip_special_tokens=True) == found.text
    end = ours.inner.token_to_id("<|im_end|>")
    saved = json.loads((tuned / "generation_config.json").read_text())
    assert saved["eos_token_id"] == [ours.eos_id, end] and ours.inner.token_to_id("<|im_start|>") in saved["suppress_tokens"]
    assert (tuned / "chat_template.jinja").read_text() == CHATML


def test_a_new_model_learns_chats_and_a_stopped_run_goes_on_to_the_same_bits(data: Path, tmp_path: Path, monkeypatch):
    asked = {"task": "instruct", "model": "llama", "tokenizer": "char", "steps": 8, "eval_every": 4, "save_every": 0.0, **SMALL}
    whole = harken.train(str(data / "chats.jsonl"), out=str(tmp_path / "whole"), **asked)
    assert json.loads((tmp_path / "whole" / "harken.json").read_text())["ledger"]["tokens"]["answers learned"] >= 200
    learn = fitting.learn

    def until(*given):
        if given[-1] == 5:
            raise KeyboardInterrupt
        return learn(*given)

    monkeypatch.setattr(fitting, "learn", until)
    with pytest.raises(KeyboardInterrupt):
        harken.train(str(data / "chats.jsonl"), out=str(tmp_path / "parts"), **asked)
    monkeypatch.undo()
    assert harken.train(resume=True, out=str(tmp_path / "parts")).loss == whole.loss
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]
    both = [(tmp_path / name / "generation_config.json").read_text() for name in ("whole", "parts")]
    assert both[0] == both[1]


def test_a_base_with_a_template_keeps_it_and_its_tokens(tuned: Path, data: Path, tmp_path: Path):
    before = Tokenizer.load(tuned)
    harken.train(str(data / "chats.jsonl"), task="instruct", model=str(tuned), steps=2, out=str(tmp_path / "run"), overflow="drop")
    after = Tokenizer.load(tmp_path / "run")
    assert after.vocab_size == before.vocab_size and after.extra["chat_template"] == before.extra["chat_template"]
    one, two = (json.loads((folder / "generation_config.json").read_text()) for folder in (tuned, tmp_path / "run"))
    assert one["eos_token_id"] == two["eos_token_id"] and one["suppress_tokens"] == two["suppress_tokens"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "bert"}, "--task instruct is not for a bert model"),
        ({"model": "ngram"}, "--task instruct is not for a ngram model"),
        ({"examples": "lines"}, "--examples is for texts to continue; --task instruct learns from chats"),
        ({"context": 8}, r"longer than the context of 8 tokens .* --overflow window, truncate or drop"),
        ({"context": 8, "overflow": "drop"}, "none of its .* chats fits into the context of 8 tokens"),
        ({"label_smoothing": 0.1}, "--label-smoothing is for --task classification"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(data: Path, tmp_path: Path, options, said):
    with pytest.raises(InputError, match=said):
        harken.train(str(data / "alpaca.jsonl"), out=str(tmp_path / "run"), steps=2, **{"task": "instruct", **SMALL, **options})
    assert not (tmp_path / "run").exists()


def test_wrong_rows_are_listed_or_left_out(data: Path, tmp_path: Path):
    path = tmp_path / "bad.jsonl"
    path.write_text((data / "alpaca.jsonl").read_text() + '{"instruction": "", "output": "a"}\n{"instruction": "b", "output": " "}\n')
    with pytest.raises(InputError, match=r"2 wrong rows of 122 .*--skip-bad-rows\): line 121: the instruction is empty; line 122"):
        harken.train(str(path), task="instruct", model="llama", steps=2, out=str(tmp_path / "run"), **SMALL)
    found = harken.train(str(path), task="instruct", model="llama", steps=2, out=str(tmp_path / "run"), skip_bad_rows=True, **SMALL)
    assert json.loads((Path(found.run) / "harken.json").read_text())["ledger"]["read"]["wrong rows left out"] == 2


def test_answers_are_measured_beside_what_takes_no_effort_and_the_base(tuned: Path, data: Path, tmp_path: Path, capsys):
    found = harken.evaluate(tuned, str(data / "alpaca.jsonl"), answers=30, against=str(tuned.parent / "base"))
    assert (found.task, found.examples, found.unit) == ("instruct", 120, "nats per token of the answers")
    assert found.metrics["rougeL"] == found.metrics["ends"] == found.metrics["length_ratio"] == 1.0 and found.metrics["empty"] == 0.0
    assert found.loss < 0.1 and found.bits_per_byte < found.loss
    assert set(found.intervals) == {"loss", "perplexity", "bits_per_byte", "rougeL", "ends", "empty", "length_ratio"}
    assert 0.2 < found.baselines["nearest training answer"]["rougeL"] <= 1.0
    assert found.against["loss"]["difference"] < -1 and found.against["loss"]["p"] < 0.01
    assert found.against["rougeL"]["difference"] > 0.5 and found.against["rougeL"]["value"] == 1.0
    assert found.ledger["answers"] == {"prompts answered": 30, "prompts not asked": 90}
    assert "30 of 120 chats are answered" in capsys.readouterr().err


def test_answers_may_be_what_several_that_are_drawn_agree_on(tuned: Path, data: Path):
    found = harken.evaluate(tuned, str(data / "alpaca.jsonl"), answers=8, temperature=2.0, consensus=4)
    alone = harken.evaluate(tuned, str(data / "alpaca.jsonl"), answers=8, temperature=2.0)
    assert found.metrics["rougeL"] > alone.metrics["rougeL"]


def test_the_loss_of_eval_is_that_of_the_run_and_answers_can_be_left_out(tuned: Path, data: Path, tmp_path: Path):
    one = harken.evaluate(tuned, str(data / "chats.jsonl"), answers=0)
    assert one.tokens == one.ledger["tokens"]["tokens learned"] and one.metrics.keys() == {"seen_in_training"} and not one.baselines
    run = harken.train(
        str(data / "alpaca.jsonl"), valid=str(data / "chats.jsonl"), task="instruct", model=str(tuned), steps=1, out=str(tmp_path / "run"),
        learning_rate=1e-9, overflow="window",
    )  # fmt: skip
    assert run.loss == pytest.approx(one.loss, rel=1e-4)


def test_the_command_line_trains_and_measures(data: Path, tmp_path: Path, capsys):
    path = tmp_path / "twenty.jsonl"
    path.write_text("".join((data / "alpaca.jsonl").read_text().splitlines(keepends=True)[:20]))
    out = str(tmp_path / "run")
    small = ["--width", "16", "--layers", "1", "--heads", "1", "--steps", "3", "--model", "llama"]
    assert main(["train", str(path), "--task", "instruct", "--out", out, *small]) == 0
    assert "nats per token of the answers" in capsys.readouterr().err
    assert main(["eval", out, str(path), "--answers", "3", "--no-repeat-ngram-size", "2"]) == 0
    said = capsys.readouterr().out
    for line in ("loss ", "rougeL", "ends", "empty", "length_ratio", "measured on    20 examples", "nearest training answer"):
        assert line in said
    assert main(["generate", out, "name the colour", "--chat", "--max-new-tokens", "4"]) == 0
    assert main(["generate", out, " ", "--chat"]) == 2
    capsys.readouterr()
    path.write_text('{"text": "a"}\n')
    assert main(["eval", out, str(path)]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "Traceback" not in said.err

"""--lora: only the adapter learns, the run is a folder that peft opens, goes on to the same bits, and says what cannot be."""

from __future__ import annotations

import json
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

import harken
from harken.base.errors import InputError, Interrupted
from harken.cli import main
from harken.fit import fit as fitting

SMALL: dict[str, Any] = {"width": 32, "layers": 2, "heads": 2, "batch_size": 16}
PARTS = ["ma", "le", "ki", "ro", "ta", "an", "su", "be"]


def lines(seed: int, count: int, end: str) -> list[str]:
    rng = random.Random(seed)
    return ["".join(PARTS[(at + step * 3) % 8] for step in range(rng.randint(3, 5))) + end
            for at in (rng.randrange(8) for _ in range(count))]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Texts, and a small run on the first of them."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "first.txt").write_text("".join(f"{line}\n" for line in lines(0, 200, "lo")))
    (folder / "second.txt").write_text("".join(f"{line}\n" for line in lines(1, 100, "nie")))
    labelled = [{"text": line, "label": "a" if "ma" in line else "other"} for line in lines(2, 90, "lo")]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    harken.train(str(folder / "first.txt"), out=str(folder / "base"), steps=40, examples="lines", learning_rate=0.005, **SMALL)
    return folder


def tuned(home: Path, out: Path, **asked: Any) -> Any:
    usual = {"steps": 12, "batch_size": 16, "examples": "lines", "dropout": 0.0, "lora": True}
    return harken.train(str(home / "second.txt"), model=str(home / "base"), out=str(out), **{**usual, **asked})


def measured(run: Path | str) -> list[float]:
    rows = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    return [row["valid_loss"] for row in rows if "valid_loss" in row]


@pytest.mark.parametrize("dora", [False, True])
def test_a_run_is_an_adapter_that_learned(dora, home, tmp_path, capsys):
    before = (home / "base" / "model.safetensors").read_bytes()
    run = tuned(home, tmp_path / "run", dora=dora, lora_dropout=0.1)
    told = capsys.readouterr().err
    assert f"{'DoRA' if dora else 'LoRA'} of rank 8 on down_proj, gate_proj" in told and "parameters learn beside" in told
    assert run.loss < measured(run.run)[0] - 0.2  # it learned
    assert measured(run.run)[0] == pytest.approx(harken.evaluate(home / "base", str(home / "second.txt")).loss, abs=0.3)  # from the base on
    assert (home / "base" / "model.safetensors").read_bytes() == before
    assert not (tmp_path / "run" / "model.safetensors").exists()
    learned = load_file(tmp_path / "run" / "adapter_model.safetensors")
    assert all("lora_" in name for name in learned) and any(each.abs().sum() for name, each in learned.items() if "lora_B" in name)
    state = load_file(tmp_path / "run" / "state" / "last.safetensors")
    assert all(".updates._default." in name for name in state if name.startswith("model."))
    # Whoever opens it, the adapter is on: never only the base.
    own, words = harken.load(run.run)
    theirs = peft.PeftModel.from_pretrained(hf.AutoModelForCausalLM.from_pretrained(home / "base"), run.run).eval()
    ids = torch.tensor([words.encode("makiro")])
    with torch.no_grad():
        assert (own(ids) - theirs(ids).logits).abs().max() < 1e-5
        assert (own(ids) - harken.load(home / "base")[0](ids)).abs().max() > 1e-2
    assert harken.evaluate(run.run, str(home / "second.txt")).loss < harken.evaluate(home / "base", str(home / "second.txt")).loss - 0.2
    assert harken.generate(run.run, "ma", max_new_tokens=3)[0].text


def test_a_killed_run_goes_on_to_the_same_bits(home, tmp_path, monkeypatch):
    asked = {"lora_dropout": 0.2, "average": 0.9, "eval_every": 4, "lora_targets": "q_proj,v_proj,mlp.up"}
    tuned(home, tmp_path / "whole", **asked)
    learn = fitting.learn

    def stopped(whole, *args):
        if args[-1] == 6:
            signal.raise_signal(signal.SIGINT)
        return learn(whole, *args)

    monkeypatch.setattr(fitting, "learn", stopped)
    with pytest.raises(Interrupted):
        tuned(home, tmp_path / "run", **asked)
    monkeypatch.setattr(fitting, "learn", learn)
    harken.train(out=str(tmp_path / "run"), resume=True)
    for name in ("adapter_model.safetensors", "state/last.safetensors"):
        one, two = load_file(tmp_path / "whole" / name), load_file(tmp_path / "run" / name)
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    assert json.loads((tmp_path / "run" / "adapter_config.json").read_text())["target_modules"] == ["q_proj", "up_proj", "v_proj"]
    shutil.copytree(home / "base", tmp_path / "base")
    config = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    (tmp_path / "run" / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(tmp_path / "base")}))
    harken.train(out=str(tmp_path / "run"), resume=True)  # the same weights elsewhere
    other = load_file(tmp_path / "base" / "model.safetensors")
    save_file({name: each + 1 for name, each in other.items()}, tmp_path / "base" / "model.safetensors")
    with pytest.raises(InputError, match="is not the model that this run's adapter is for"):
        harken.train(out=str(tmp_path / "run"), resume=True)


def test_a_new_head_learns_and_goes_along(home, tmp_path):
    run = harken.train(
        str(home / "labels.jsonl"), model=str(home / "base"), task="classification", out=str(tmp_path / "run"), steps=30, lora=True
    )
    config = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    assert (config["modules_to_save"], config["task_type"]) == (["score"], "SEQ_CLS")
    assert run.metrics["accuracy"] > 0.7
    answers = harken.pipeline("text-classification", run.run)(["makiro", "leta"])
    assert {answer["label"] for answer in answers} <= {"a", "other"}
    record = harken.convert(run.run, tmp_path / "whole")
    assert record["made_new"] == []
    again = harken.pipeline("text-classification", str(tmp_path / "whole"))(["makiro", "leta"])
    assert [one["score"] for one in again] == pytest.approx([one["score"] for one in answers], abs=1e-5)
    base = hf.AutoModelForSequenceClassification.from_pretrained(home / "base", num_labels=2, pad_token_id=0)
    theirs = peft.PeftModel.from_pretrained(base, run.run).eval()
    own, words = harken.load(run.run)
    ids = torch.tensor([words.encode("makiro")])
    with torch.no_grad():
        assert (own(ids) - theirs(ids).logits).abs().max() < 1e-5


def test_on_the_command_line(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(home)
    out = str(tmp_path / "run")
    asked = ["--steps", "4", "--examples", "lines", "--batch-size", "16", "--lora-rank", "2", "--lora-alpha", "4", "--out", out]
    assert main(["train", "second.txt", "--model", "base", "--dora", "--lora-targets", "attn.qkv", *asked]) == 0
    config = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["use_dora"]) == (2, 4, True)
    assert config["target_modules"] == ["k_proj", "q_proj", "v_proj"]  # ours is one, theirs are three
    assert config["base_model_name_or_path"] == str(home / "base")
    assert main(["generate", out, "ma", "--max-new-tokens", "3"]) == 0
    assert main(["convert", out, str(tmp_path / "whole")]) == 0
    assert main(["info", out]) == 0
    assert "DoRA of rank 2" in capsys.readouterr().out
    # An adapter is fine-tuned further as the whole model that it makes.
    assert main(["train", "first.txt", "--model", out, "--steps", "2", "--examples", "lines", "--out", str(tmp_path / "more")]) == 0
    assert (tmp_path / "more" / "model.safetensors").exists() and not (tmp_path / "more" / "adapter_config.json").exists()


def test_what_cannot_be_is_said_before_anything_is_written(home, tmp_path):
    with pytest.raises(InputError, match="--lora-rank says how an adapter is made: give --lora, too"):
        tuned(home, tmp_path / "run", lora=False, lora_rank=4)
    with pytest.raises(InputError, match="no matrix called 'q_prj'"):
        tuned(home, tmp_path / "run", lora_targets="q_prj")
    with pytest.raises(InputError, match="--tokenizer gives the model more tokens"):
        tuned(home, tmp_path / "run", tokenizer=str(home / "base"))
    with pytest.raises(InputError, match="--lora is for a model that is there already"):
        harken.train(str(home / "second.txt"), model="llama", out=str(tmp_path / "run"), lora=True)
    assert not (tmp_path / "run").exists()
    tuned(home, tmp_path / "run", steps=2)
    with pytest.raises(InputError, match="is an adapter: go on with its run"):
        harken.train(str(home / "second.txt"), model=str(tmp_path / "run"), out=str(tmp_path / "two"), lora=True)


def test_tokens_that_a_task_adds_have_no_place_in_an_adapter(home, tmp_path):
    chats = tmp_path / "chats.jsonl"
    chats.write_text("".join(json.dumps({"prompt": f"say {n}", "completion": f"{n}"}) + "\n" for n in range(40)))
    with pytest.raises(InputError, match=r"instruct gives the model further tokens \(<\|im_start\|>.*train without --lora"):
        harken.train(str(chats), model=str(home / "base"), task="instruct", lora=True, steps=2, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()

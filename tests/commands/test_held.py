"""`--dtype`: every command that lets a model answer holds its weights as `harken.load` does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harken
from harken.checkpoint.save import save
from harken.cli import main
from harken.commands.table import COMMANDS
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.nn.models import Model
from harken.text.train import train_characters

TEXT = "the cat sat on the mat, and the dog sat on the cat. "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small LLaMA that was never trained, wide enough for weights of 4 bits."""
    tokenizer, folder = train_characters([TEXT]), tmp_path_factory.mktemp("llama")
    save(build(LlamaConfig.sized(64, 2, 2, 64, tokenizer.vocab_size, 0.0), seed=0), tokenizer, folder)
    return str(folder)


def answers(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words, COMMANDS) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int4"])
def test_commands_hold_weights_as_load_does(folder: str, dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = harken.load(folder, dtype=dtype)
    wanted = harken.next(pair, "the cat", top=3)
    plain, asked = (
        [json.loads(line) for line in answers(["next", folder, "the cat", "--top", "3", "--json", *flags], capsys).splitlines()]
        for flags in ((), ("--dtype", dtype))
    )
    assert [one["logprob"] for one in asked] == [one.logprob for one in wanted] != [one["logprob"] for one in plain]

    said = answers(["generate", folder, "the cat", "--max-new-tokens", "8", "--json", "--dtype", dtype], capsys)
    assert json.loads(said)["logprobs"] == list(harken.generate(pair, "the cat", max_new_tokens=8)[0].logprobs)

    (tmp_path / "text.txt").write_text(TEXT * 4)
    said = answers(["eval", folder, str(tmp_path / "text.txt"), "--examples", "running", "--json", "--dtype", dtype], capsys)
    assert json.loads(said)["loss"] == harken.evaluate(pair, str(tmp_path / "text.txt"), examples="running").loss

    found = json.loads(answers(["look", folder, "the cat", "--json", "--dtype", dtype], capsys))
    assert found["loss"] == pytest.approx(harken.look(pair, "the cat").loss, rel=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int4"])
def test_a_pipeline_too(folder: str, dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask = harken.pipeline("text-generation", folder, dtype=dtype)
    assert isinstance(ask.model, Model) and (ask.model.held or dtype) == dtype
    wanted = harken.generate(harken.load(folder, dtype=dtype), "the cat", max_new_tokens=8)[0].text
    asked = answers(["run", "text-generation", folder, "the cat", "--max-new-tokens", "8", "--dtype", dtype], capsys)
    assert json.loads(asked)[0]["generated_text"] == wanted
    features = harken.pipeline("feature-extraction", folder, dtype=dtype)  # only the body is read
    features("the cat")
    features.model.pack()
    assert features.model.held == (None if dtype == "bfloat16" else dtype)


def test_auto_says_what_it_takes(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    assert main(["next", folder, "the", "--dtype", "auto", "--dtype-text", str(tmp_path / "text.txt")], COMMANDS) == 0
    assert "dtype auto: int4; perplexity of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--dtype", "int5"], "--dtype must be one of float32, bfloat16, int8, int4, auto, not 'int5' (did you mean 'int"),
        (["--dtype", "int8", "--dtype-text", "held.txt"], "held.txt is what dtype auto chooses by: take dtype auto, or leave the text out"),
        (["--dtype", "auto", "--dtype-text", "none.txt"], "none.txt cannot be read"),
    ],
)
def test_what_cannot_be_is_said(folder: str, flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["next", folder, "the", *flags], COMMANDS) == 2
    assert sentence in capsys.readouterr().err


def test_a_loaded_model_is_held_already(folder: str) -> None:
    with pytest.raises(
        harken.base.errors.InputError, match=r"dtype int8 is for a model that is read from a folder: give it to harken\.load"
    ):
        harken.next(harken.load(folder), "the", dtype="int8")

"""What saves memory changes nothing else: activation checkpointing not a bit, a base in few bits only what it is rounded to."""

from __future__ import annotations

import json
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import harken
from harken.base.errors import InputError, Interrupted
from harken.data.batches import Spans
from harken.families.table import build, config_class
from harken.fit import fit as fitting
from harken.fit.options import TrainOptions
from harken.fit.plan import choose_plan
from harken.objectives import causal

PARTS = ["ma", "le", "ki", "ro", "ta", "an", "su", "be"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text, and a small run on it."""
    folder, rng = tmp_path_factory.mktemp("home"), random.Random(0)
    (folder / "text.txt").write_text("".join("".join(rng.choices(PARTS, k=4)) + "\n" for _ in range(150)))
    sizes: dict[str, Any] = {"width": 64, "layers": 2, "heads": 2, "batch_size": 16, "steps": 20}
    harken.train(str(folder / "text.txt"), out=str(folder / "base"), examples="lines", **sizes)
    return folder


def gradients(name: str, *, checkpoint: bool, dtype: torch.dtype) -> list[torch.Tensor]:
    """Of a small model with dropout, in packed rows."""
    model = build(config_class(name).sized(32, 2, 2, 16, 40, 0.2), seed=0)
    plan = choose_plan(TrainOptions(data="-", steps=1, checkpoint_activations=checkpoint), targets=1, rows=1)
    fitting.arranged(model, plan)
    ids = np.arange(60, dtype=np.int32) * 7 % 40
    source = Spans(ids, np.array([[1, 15], [16, 20], [20, 31]]), None, 16)
    torch.manual_seed(1)
    model.train()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        causal.batch_loss(model, source, source.rows(), 0, pack=True).total.backward()
    return [each.grad for each in model.parameters() if each.grad is not None]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_checkpointed_gradients_have_the_same_bits(name: str, dtype: torch.dtype) -> None:
    found, right = (gradients(name, checkpoint=each, dtype=dtype) for each in (True, False))
    assert len(found) == len(right) > 10
    assert all(torch.equal(one, other) for one, other in zip(found, right, strict=True))


def test_a_checkpointed_run_is_the_same_run(home: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"width": 32, "layers": 2, "heads": 2, "steps": 6, "examples": "lines", "dropout": 0.1}
    runs = [harken.train(str(home / "text.txt"), out=str(tmp_path / str(on)), checkpoint_activations=on, **asked) for on in (False, True)]
    assert runs[0].loss == runs[1].loss
    one, other = (load_file(tmp_path / str(on) / "model.safetensors") for on in (False, True))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("flag", ["checkpoint_activations", "compile"])
def test_what_has_no_blocks_cannot_be_checkpointed_or_compiled(flag: str, home: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"--{flag.replace('_', '-')} is for models of blocks"):
        harken.train(str(home / "text.txt"), model="rnn", out=str(tmp_path / "run"), steps=2, **{flag: True})


def test_compiling_takes_a_compiler(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="takes a C\\+\\+ compiler"):
        harken.train(str(home / "text.txt"), out=str(tmp_path / "run"), steps=2, compile=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_a_compiled_run_learns_the_same(model: str, home: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": model, "width": 32, "layers": 3, "heads": 2, "steps": 6, "examples": "lines", "dtype": "float32"}
    runs = [harken.train(str(home / "text.txt"), out=str(tmp_path / str(on)), compile=on, **asked) for on in (False, True)]
    assert runs[0].loss == pytest.approx(runs[1].loss, rel=1e-4)
    assert harken.generate(str(tmp_path / "True"), "ma", max_new_tokens=5)[0].text


def tuned(home: Path, out: Path, **asked: Any) -> Any:
    usual: dict[str, Any] = {"steps": 10, "batch_size": 16, "examples": "lines", "lora": True, "lora_base": "int8"}
    return harken.train(str(home / "text.txt"), model=str(home / "base"), out=str(out), **{**usual, **asked})


def test_an_adapter_learns_beside_a_base_in_few_bits(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tuned(home, tmp_path / "narrow")
    assert "what does not learn is held as int8" in capsys.readouterr().err
    wide = tuned(home, tmp_path / "wide", lora_base=None)
    assert found.loss == pytest.approx(wide.loss, rel=0.01) and found.parameters == wide.parameters
    assert harken.load(tmp_path / "narrow")[0].adapters.names == ["default"]


def test_a_quantised_base_stays_as_it_is(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    harken.quantize(str(home / "base"), str(tmp_path / "four"), bits=4)
    capsys.readouterr()
    found = harken.train(
        str(home / "text.txt"), model=str(tmp_path / "four"), out=str(tmp_path / "run"), steps=10, examples="lines", lora=True
    )
    assert "what does not learn is held as int4" in capsys.readouterr().err and found.steps == 10


def test_such_a_run_goes_on_to_the_same_bits(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned(home, tmp_path / "whole")
    learn = fitting.learn

    def stopping(*given: Any) -> Any:
        if given[-1] == 4:
            signal.raise_signal(signal.SIGINT)
        return learn(*given)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "learn", stopping)
        with pytest.raises(Interrupted):
            tuned(home, tmp_path / "parts")
    harken.train(None, out=str(tmp_path / "parts"), resume=True)
    one, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert json.loads((tmp_path / "parts" / "harken.json").read_text())["status"] == "done"

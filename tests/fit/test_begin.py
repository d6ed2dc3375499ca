"""A new model: the size inside its MLPs, and a tokenizer that is there already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harken
from harken.base.errors import InputError
from harken.fit.best import better_of, check_best
from harken.fit.state import Progress
from harken.measure.loss import Measured

SMALL = {"steps": 2, "width": 16, "layers": 1, "heads": 1}


@pytest.mark.parametrize(("family", "field"), [("gpt2", "n_inner"), ("llama", "intermediate_size")])
def test_hidden_is_the_size_inside_an_mlp(family: str, field: str, lines: Path, tmp_path: Path) -> None:
    run = harken.train(str(lines), model=family, hidden=24, out=str(tmp_path / "run"), **SMALL)
    assert json.loads((Path(run.run) / "config.json").read_text())[field] == 24
    model, _ = harken.load(run.run)
    assert {p.shape[0] for name, p in model.named_parameters() if name.endswith("mlp.up.weight")} == {24}


def test_hidden_is_refused_where_there_is_none(lines: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--hidden: a model of the family lstm has no MLP"):
        harken.train(str(lines), model="lstm", hidden=24, out=str(tmp_path / "run"), **SMALL)
    first = harken.train(str(lines), model="gpt2", out=str(tmp_path / "first"), **SMALL)
    with pytest.raises(InputError, match="--hidden is for a new model"):
        harken.train(str(lines), model=first.run, hidden=24, steps=2, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_new_model_takes_the_tokenizer_of_a_folder(lines: Path, tmp_path: Path) -> None:
    first = harken.train(str(lines), model="bigram", tokenizer="bpe", vocab_size=280, out=str(tmp_path / "first"), steps=2)
    second = harken.train(str(lines), model="gpt2", tokenizer=first.run, out=str(tmp_path / "second"), **SMALL)
    ids = [harken.load(run.run)[1].encode("malenie") for run in (first, second)]
    assert ids[0] == ids[1]
    again = harken.train(out=second.run, resume=True)
    assert again.loss == second.loss
    for options, sentence in (
        ({"tokenizer": first.run, "vocab_size": 300}, "--vocab-size is for a tokenizer that is to be trained"),
        ({"tokenizer": "wrod"}, "neither a kind of tokenizer nor a folder with one .did you mean 'word'"),
        ({"tokenizer": str(tmp_path)}, "tokenizer"),
    ):
        with pytest.raises(InputError, match=sentence):
            harken.train(str(lines), model="gpt2", out=str(tmp_path / "third"), **options, **SMALL)
    assert not (tmp_path / "third").exists()


def test_the_newest_model_is_the_best_where_that_is_asked_for() -> None:
    worse = Measured(30.0, 10)
    for name, better in ((None, False), ("loss", False), ("last", True)):
        assert better_of(worse, {}, name, Progress(best=2.0)) is better
    check_best("last", None)
    with pytest.raises(InputError, match="--best lats is not measured in this task"):
        check_best("lats", None)

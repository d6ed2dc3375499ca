"""The ladder: same split, same budget, one table; what is finished is not trained again; examples already seen are counted."""

from __future__ import annotations

import json
import shutil
import time

import pytest

import harken
from harken.base.errors import InputError
from harken.cli import main


def test_compare_trains_each_once_and_draws(lines, tmp_path, capsys):
    out = tmp_path / "ladder"
    words = ["compare", str(lines), "--models", "uniform,unigram,ngram,bigram,llama", "--minutes", "0.03", "--out", str(out)]
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err.count("ngram reads the text once and counts, so --minutes does nothing") == 3
    first = [json.loads(line) for line in said.out.splitlines()]
    assert [row["model"] for row in first] == ["uniform", "unigram", "ngram", "bigram", "llama"]
    losses = {row["model"]: row["loss"] for row in first}
    assert losses["uniform"] > losses["unigram"] > losses["ngram"]
    assert all({"model", "loss", "seconds", "parameters", "bits_per_byte", "tokens_per_second", "memory"} <= row.keys() for row in first)
    assert (out / "compare.svg").read_text().startswith("<?xml")
    began = time.monotonic()
    assert main(words) == 0
    captured = capsys.readouterr()
    assert "finished already" in captured.err
    assert time.monotonic() - began < 2
    assert captured.out.splitlines()[0].split()[0] == "model"
    again = harken.compare(str(lines), models="ngram", minutes=0.03, out=str(out))
    assert again[0].loss == losses["ngram"]


def test_compare_refuses_what_does_not_fit(lines, tmp_path):
    with pytest.raises(InputError, match="did you mean 'lstm'"):
        harken.compare(str(lines), models="ngram,lstn", out=str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()
    harken.compare(str(lines), models="unigram", minutes=0.03, out=str(tmp_path / "b"))
    with pytest.raises(InputError, match="other options"):
        harken.compare(str(lines), models="unigram", minutes=0.05, out=str(tmp_path / "b"))
    other = tmp_path / "other.txt"
    other.write_text("mara\nlelo\n" * 20)
    with pytest.raises(InputError, match="learned from another text than"):
        harken.compare(str(other), models="unigram", minutes=0.03, out=str(tmp_path / "b"))


def test_compare_goes_on_where_it_lies_now_and_where_nothing_was_learned_yet(lines, tmp_path, monkeypatch):
    words = harken.train(str(lines), model="ngram", tokenizer="bpe", vocab_size=280, out=str(tmp_path / "words")).run
    monkeypatch.chdir(tmp_path)
    first = harken.compare(str(lines), models="unigram,ngram", tokenizer="words", out="a")
    assert harken.compare(str(lines), models="unigram,ngram", tokenizer="words", out="a")[1].loss == first[1].loss
    shutil.move("a", "b")
    (tmp_path / "b" / "ngram" / "model.safetensors").unlink()  # as if it had been killed while it counted
    record = json.loads((tmp_path / "b" / "ngram" / "harken.json").read_text())
    (tmp_path / "b" / "ngram" / "harken.json").write_text(json.dumps({**record, "status": "running"}))
    kept = tmp_path / "b" / "unigram" / "harken.json"
    kept.write_text(kept.read_text().replace(json.dumps(words), json.dumps("words")))  # as an older version has it
    assert harken.compare(str(lines), models="unigram", tokenizer="words", out="b")[0].loss == first[0].loss
    kept.write_text(kept.read_text().replace(json.dumps("words"), json.dumps(words)))
    monkeypatch.chdir(lines.parent)
    again = harken.compare(str(lines), models="unigram,ngram", tokenizer=words, out=str(tmp_path / "b"))
    assert [each.loss for each in again] == [each.loss for each in first]


def test_minutes_lay_the_schedule_over_the_time(lines, tmp_path):
    began = time.monotonic()
    trained = harken.train(str(lines), out=str(tmp_path / "run"), minutes=0.05, width=32, layers=1, heads=2)
    assert 1 < trained.seconds < time.monotonic() - began + 0.5
    rates = [json.loads(line).get("learning_rate") for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    rates = [rate for rate in rates if rate is not None]
    assert max(rates) > 0.8 * 8e-3
    assert rates[-1] < 0.1 * max(rates)


def test_eval_says_how_many_examples_are_not_new(lines, tmp_path, capsys):
    out = str(tmp_path / "run")
    harken.train(str(lines), out=out, model="ngram")
    fresh = tmp_path / "fresh.txt"
    seen = lines.read_text().split()[:5]
    fresh.write_text("\n".join([*seen, "zzzquark", "leloqua"]) + "\n")
    found = harken.evaluate(out, str(fresh))
    assert found.metrics["seen_in_training"] in range(1, 6)
    assert found.metrics["loss_unseen"] > found.loss
    fresh.write_text("zzzquark\nleloqua\n")
    alone = harken.evaluate(out, str(fresh))
    assert alone.metrics["seen_in_training"] == 0
    assert main(["eval", out, str(lines)]) == 0
    assert "also occur in the training text" in capsys.readouterr().out


def test_compare_by_passes_with_options_that_all_share(lines, tmp_path):
    asked = {"models": "bigram,llama", "epochs": 0.5, "tokenizer": "char", "width": 16, "average": 0.9, "out": str(tmp_path / "a")}
    rungs = harken.compare(str(lines), **asked)
    records = [json.loads((tmp_path / "a" / one.model / "harken.json").read_text()) for one in rungs]
    assert all(record["options"]["minutes"] is None and record["plan"]["average"] == 0.9 for record in records)
    assert len({record["plan"]["steps"] for record in records}) == 1
    with pytest.raises(InputError, match="give one of --steps, --epochs and --minutes"):
        harken.compare(str(lines), **asked, minutes=1)

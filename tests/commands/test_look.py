"""`look` as a user types it: a table, an object, a page, a picture, arrays; wrong input is one sentence and leaves no file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import harken
from harken.base.errors import InputError
from harken.checkpoint.save import save
from harken.cli import main
from harken.families.gpt2 import GPT2Config
from harken.families.recurrent import LSTMConfig
from harken.families.table import build
from harken.text.train import train_characters

TEXT = "the cat sat"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("models")
    tokenizer = train_characters(["the cat sat on the mat\n"])
    for name, config in {"gpt2": GPT2Config, "lstm": LSTMConfig}.items():
        save(build(config.sized(16, 2, 4, 32, tokenizer.vocab_size, 0.0), seed=0), tokenizer, home / name)
    return home


def said(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out.splitlines(), captured.err.splitlines()


@pytest.mark.parametrize("family", ["gpt2", "lstm"])
def test_a_table(models, capsys, family) -> None:
    assert main(["look", str(models / family), TEXT]) == 0
    lines, err = said(capsys)
    assert lines[0].split() == ["token", "probability", "rank", "bits", "likeliest"] and not err
    found = harken.look(models / family, TEXT)
    assert lines[1].split() == ["'<bos>'"] and lines[2].split()[:1] == ["'t'"] and lines[5].startswith("' '")
    assert [line.split()[-7:][0] for line in lines[2:5]] == [f"{bits:.2f}" for bits in found.entropy_bits[1:4]]
    assert lines[13].startswith("what follows")
    assert f"loss {found.loss:.4f} nats per token (perplexity {found.perplexity:.2f}), {found.bits_per_byte:.4f} bits per byte" in lines[-1]


def test_one_object(models, capsys) -> None:
    assert main(["look", str(models / "gpt2"), TEXT, "--json", "--top", "2"]) == 0
    (line,), _ = said(capsys)
    found = json.loads(line)
    assert found["name"] == "gpt2" and found["family"] == "gpt2"
    assert found["parameters"] == harken.info(models / "gpt2")["parameters"]
    tokens = found["tokens"]
    assert "".join(TEXT[token["start"] : token["end"]] for token in tokens) == TEXT
    assert tokens[0]["logprob"] is None and tokens[0]["rank"] is None and tokens[0]["top"] == []
    assert found["loss"] == pytest.approx(-sum(token["logprob"] for token in tokens[1:]) / len(TEXT), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    assert [len(token["top"]) for token in tokens[1:]] == [2] * len(TEXT)
    wanted = harken.next(models / "gpt2", TEXT, top=2)
    assert [one["id"] for one in found["next"]["top"]] == [one.id for one in wanted]


def test_files_by_their_ending(models, tmp_path, capsys) -> None:
    model = str(models / "gpt2")
    for name in ("page.html", "map.svg", "all.npz"):
        assert main(["look", model, TEXT, "-o", str(tmp_path / name)]) == 0
        out, err = said(capsys)
        assert not out and err[-1].startswith(f"{tmp_path / name}: ") and err[-1].endswith("B")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.npz", "map.svg", "page.html"]
    found = harken.look(model, TEXT)
    with np.load(tmp_path / "all.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["maps_self"], found.maps["self"])
        np.testing.assert_array_equal(arrays["logprobs"], found.logprobs)
        assert arrays["tokens"].tolist() == list(found.tokens.shown)
    assert "<title>gpt2 · harken look</title>" in (tmp_path / "page.html").read_text("utf-8")
    assert str(models) not in (tmp_path / "page.html").read_text("utf-8"), "a page that is mailed names no folder of this machine"


def test_one_map_as_a_picture(models, tmp_path, capsys) -> None:
    model, path = str(models / "gpt2"), tmp_path / "map.svg"
    for words, title in ((), "layer 1, mean of 4 heads"), (("--layer", "0", "--head", "2"), "layer 0, head 2"):
        assert main(["look", model, TEXT, "-o", str(path), *words]) == 0
        assert f"gpt2: {title}" in path.read_text("utf-8")
        assert title.replace("layer 1", "layer 1 of 0 to 1").replace("layer 0", "layer 0 of 0 to 1") in said(capsys)[1][0]
    whole = harken.look(model, TEXT)
    from harken.draw.colours import ramp, shade

    colour = ramp("blue")[shade(whole.maps["self"][0, 2, 5, 3])].tobytes().hex()
    assert f'fill="#{colour}"' in path.read_text("utf-8")


def test_a_page_without_maps(models, tmp_path, capsys) -> None:
    assert main(["look", str(models / "gpt2"), TEXT, "--no-maps", "-o", str(tmp_path / "page.html")]) == 0
    assert main(["look", str(models / "lstm"), TEXT, "-o", str(tmp_path / "other.html")]) == 0
    small = (tmp_path / "page.html").stat().st_size
    assert main(["look", str(models / "gpt2"), TEXT, "-o", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").stat().st_size > small + 2_000


def test_a_window_is_said(models, capsys) -> None:
    assert main(["look", str(models / "gpt2"), TEXT * 9, "--overflow", "window"]) == 0
    lines, err = said(capsys)
    assert err == ["the text has 100 tokens and the model reads 32: only the last 32 are shown"] and len(lines) == 36


@pytest.mark.parametrize(
    ("family", "words", "parts"),
    [
        ("gpt2", ["-o", "page.pdf"], ["page.pdf", ".html, .svg, .npz"]),
        ("gpt2", ["-o", "page"], ["the ending says what to write"]),
        ("gpt2", ["-o", "a.svg", "--layer", "2"], ["--layer 2: this model has 2 layers, 0 to 1"]),
        ("gpt2", ["-o", "a.svg", "--head", "one"], ["--head takes numbers from 0"]),
        ("gpt2", ["--target", "x"], ["--target is for models that translate"]),
        ("gpt2", ["--top", "0"], ["--top must be at least 1"]),
        ("gpt2", ["--layers", "0"], ["no such option --layers", "--layer"]),
        ("lstm", ["-o", "a.svg"], ["this lstm model has no attention maps"]),
        ("gpt2", [TEXT * 9], []),
        ("none", [], ["there is no model folder"]),
    ],
)
def test_wrong_input_is_one_sentence(models, tmp_path, monkeypatch, capsys, family, words, parts) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["look", str(models / family), TEXT, *words]) == 2
    out, err = said(capsys)
    assert not out and len(err) == 1 and all(part in err[0] for part in parts), err
    assert not list(tmp_path.iterdir())


def test_python_takes_a_pair_and_numbers(models, tmp_path) -> None:
    pair = harken.load(models / "gpt2")
    found = harken.look(pair, TEXT, layer=1, head=[0, 3], out=tmp_path / "page.html")
    assert found.maps["self"].shape == (1, 2, 12, 12) and (tmp_path / "page.html").is_file()
    with pytest.raises(InputError, match="reads at most 32"):
        harken.look(pair, TEXT * 9)

"""`harken reproduce` as a user meets it, on recipes made here; what it refuses is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harken.cli import main

TOY = '''"""A toy that counts.

By hand.
"""

def steps(lab):
    text = (lab.data("toys") / "toys.txt").read_text()
    lab.found("letters", lab.step("count", lambda: len(text)), least=3)
'''
BROKEN = '''"""Always missing something."""

def steps(lab):
    lab.data("nothing")
'''
BOOK = """
ORDER = ("toy", "broken")
SAMPLES = {"toys": lambda folder: (folder / "toys.txt").write_text("abc")}
"""


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes"
    folder.mkdir()
    for name, text in (("__init__", BOOK), ("toy", TOY), ("broken", BROKEN)):
        (folder / f"{name}.py").write_text(text)
    return folder


def call(recipes: Path, *words: str) -> int:
    return main(["reproduce", *words, "--recipes", str(recipes)])


def test_a_row_from_start_to_page(recipes: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert call(recipes, "toy", "--tiny", "-o", str(out)) == 0
    told = capsys.readouterr()
    assert "A toy that counts." in told.out and "holds" in told.out and "1 of 1 hold" in told.err
    assert "not run" in (out / "results.md").read_text()
    assert call(recipes, "toy", "--tiny", "-o", str(out), "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["findings"][0]["value"] == 3 and "count took" not in told.err
    page = tmp_path / "page.md"
    assert call(recipes, "-o", str(out), "--page", str(page)) == 0
    assert "kept" in capsys.readouterr().err and "A toy that counts" in page.read_text()


def test_data_of_ones_own(recipes: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "data" / "toys").mkdir(parents=True)
    (tmp_path / "data" / "toys" / "toys.txt").write_text("abcdef")
    assert call(recipes, "toy", "--data", str(tmp_path / "data"), "-o", str(tmp_path / "out"), "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["findings"][0]["value"] == 6 and not row["tiny"]


def test_a_row_that_fails_does_not_keep_others_from_running(recipes: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "data" / "toys").mkdir(parents=True)
    (tmp_path / "data" / "toys" / "toys.txt").write_text("abc")
    words = ("--data", str(tmp_path / "data"), "-o", str(tmp_path / "out"))
    assert call(recipes, "--all", *words) == 1
    said = capsys.readouterr().err
    assert "put the data set nothing there" in said and "1 of 2 could not be run" in said and "toy: 1 of 1 hold" in said
    assert call(recipes, "broken", *words) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("tyo",), "there is no recipe 'tyo' (did you mean 'toy'?)"),
        (("toy",), "toy needs the data set toys: name the folder that it lies in with --data, or give --tiny"),
        (("toy", "--all"), "give names, or --all, not both"),
        (("toy", "--minutes-scale", "0"), "--minutes-scale must be above 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(recipes: Path, tmp_path: Path, capsys, words: tuple[str, ...], sentence: str) -> None:
    assert call(recipes, *words, "-o", str(tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_without_recipes_it_says_where_they_are(tmp_path: Path, capsys) -> None:
    assert main(["reproduce", "toy", "--recipes", str(tmp_path)]) == 2
    assert "holds no recipes" in capsys.readouterr().err


def test_a_file_that_is_no_recipe(recipes: Path, capsys) -> None:
    (recipes / "toy.py").write_text("x = 1\n")
    assert call(recipes, "broken", "--tiny") == 2
    assert "toy.py is no recipe: it needs a docstring and a function steps(lab)" in capsys.readouterr().err

"""Every recipe of `harken reproduce` is whole, and runs on made-up data from the first step to its numbers."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from harken.results.lab import Setting, perform
from harken.results.recipe import Book, folder_of, read_book

FOLDER = Path(__file__).parents[2] / "recipes" / "results"
ORDER = re.findall(r'"(\w+)"', (FOLDER / "__init__.py").read_text("utf-8"))
SHORT = ("shakespeare_cpu", "stsb", "wordsim")
"""Rows that take a second or two; the others are marked slow."""


@pytest.fixture(scope="module")
def book() -> Book:
    return read_book(folder_of(str(FOLDER)))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, as rows share what they begin from."""
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize("name", [name if name in SHORT else pytest.param(name, marks=pytest.mark.slow) for name in ORDER])
def test_a_recipe_runs(name: str, book: Book, out: Path) -> None:
    for needed in ("sacremoses", "sacrebleu", "rouge_score", "scipy"):
        pytest.importorskip(needed)
    row = perform(book.recipes[name], Setting(out, None, tiny=True, threads=1), book.samples)
    assert row.findings and all(each.value is None or isinstance(each.value, int | float) for each in row.findings)
    assert row.commands and not [picture for picture in row.pictures if not (out / name / picture).read_text().rstrip().endswith("</svg>")]
    assert str(out) not in " ".join(row.commands.values())


def test_every_file_is_a_recipe_or_what_recipes_share(book: Book) -> None:
    files = {path.stem for path in FOLDER.glob("*.py")}
    assert files == {*book.recipes, "__init__", "cloze", "copying", "made_up", "multi30k"}


def test_every_data_set_is_made_up_too(book: Book) -> None:
    asked = {name for path in FOLDER.glob("*.py") for name in re.findall(r'lab\.data\("(\w+)"\)', path.read_text("utf-8"))}
    assert asked == set(book.samples)


def test_every_recipe_says_what_and_how(book: Book) -> None:
    assert [name for name, recipe in book.recipes.items() if len(recipe.title) > 120 or not recipe.protocol] == []


def test_the_page_knows_every_row(book: Book) -> None:
    page = (FOLDER.parents[1] / "docs" / "results.md").read_text("utf-8")
    assert [name for name in book.recipes if f"| [{name}](#" not in page] == []


def test_no_recipe_measures_on_what_it_learns_from(book: Book) -> None:
    """No run is given its test set to choose the best step by."""
    wrong = []
    for name in book.recipes:
        text = Path(importlib.import_module(book.recipes[name].steps.__module__).__file__ or "").read_text("utf-8")
        wrong += re.findall(r'valid=[^,]*["_]test', text)
    assert not wrong

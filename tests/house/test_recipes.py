"""Every recipe runs: its tiny form, from start to pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.py"))

LEAVES = {
    "reverse": ('"right"', 9, ("reverse-lengths.svg", "reverse-alignment.svg")),
    "instruct": ('"metric"', 6, ("run/loss.svg",)),
}
"""What each prints, how often, and the pictures it leaves."""


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs(recipe, tmp_path):
    done = subprocess.run([sys.executable, recipe, "--tiny", "--out", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    what, count, pictures = LEAVES[recipe.stem]
    assert done.stdout.count(what) == count
    for picture in pictures:
        assert (tmp_path / picture).read_text().rstrip().endswith("</svg>")

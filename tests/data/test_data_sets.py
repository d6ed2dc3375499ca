"""Every data set kept outside of the repository is read as what it is for, with at most one option; skipped where it is absent."""

import os
import runpy
from pathlib import Path

import pytest

HOME = Path(os.environ.get("HARKEN_DATA") or Path.home() / ".cache" / "harken-data")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "found"), [
    ("sst2", "6,920 examples, single_label_classification, 2 labels (0 1)"),
    ("mr", "10,662 examples"),
    ("wnut17", "3,394 examples, BIO, 13 labels"),
    ("wikiann_en", "20,000 examples, BIO, 7 labels"),
    ("squad_subset", "11,473 examples"),
    ("cranfield", "1,400 documents, 225 queries, 1,837 judgements"),
    ("preferences", "1,094 examples, 6 wrong rows left out"),
    ("", "32,033 examples"),
])  # fmt: skip
def test_what_the_sets_say_of_themselves(data_folder, name, found):
    """`found` is in one of the lines; "" reads all sets there are."""
    data_folder(name or "names")
    script = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "datasets.py"))
    assert any(found in line for line in script["rows"](HOME, [name] if name else []))

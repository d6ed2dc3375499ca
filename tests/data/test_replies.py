"""Where wrong candidates come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harken.data.dialogues import read_dialogues
from harken.data.exchanges import lay
from harken.data.ledger import Ledger
from harken.data.replies import FEW, Way, pools
from harken.data.segments import SPEAKERS
from harken.fit.talked import with_candidates
from harken.text.kinds import train_words

TALK = "{i} hello {name} friend {i}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of dialogues whose styles differ, and one that holds only two."""
    for name, count in (("small", 2 * FEW), ("LARGE", 2 * FEW), ("few", 2)):
        rows = [{"dialogue": [["hello", TALK.format(i=i, name=name)]]} for i in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_candidates_are_drawn_from_the_same_file(folder):
    examples = read_dialogues(folder)
    words = train_words([turn for each in examples for turn in each.turns], specials=SPEAKERS)
    source = lay(examples, words, Way(candidates=6), 64, Ledger())
    met = {}
    for number, example in enumerate(examples):
        wrong = {words.decode(reply[:-1]).split()[2] for reply in source.goal.choices(source, number, 7 + number)[0].replies[1:]}
        met.setdefault(example.source, set()).update(wrong)
    assert met["small.jsonl"] == {"small"} and met["LARGE.jsonl"] == {"LARGE"}
    assert {"small", "LARGE"} <= met["few.jsonl"]  # too few of its own


def test_what_is_measured_on_is_drawn_likewise(folder):
    for example in with_candidates(read_dialogues(folder)):
        names = {text.split()[2] for text in example.candidates[0]}
        assert len(example.candidates[0]) == 19 and (names == {example.source.split(".")[0]} or example.source == "few.jsonl")


def test_pools():
    homes, sources = [n // 2 for n in range(4 * FEW)], ["a"] * FEW + ["b"] * FEW
    assert pools(homes, sources) == {"a": (0, 2 * FEW), "b": (2 * FEW, 4 * FEW)}
    assert pools(homes[:-2], sources) == {"a": (0, 2 * FEW), "b": (0, 4 * FEW - 2)}
    assert pools([], ["a"]) == {"a": (0, 0)}

"""Where wrong candidates come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harken.data.dialogues import read_dialogues
from harken.data.exchanges import SHARE, lay
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


def test_a_candidate_that_does_not_fit_is_cut_and_counted(tmp_path):
    """All models choose among the same ones, in the order that they were named in."""
    named = [" ".join([f"no{i}"] * (100 if i == 1 else 3)) for i in range(3)]
    row = {"history": ["hello there"], "response": "hello friend", "candidates": [*named, "hello friend"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    examples, ledger = read_dialogues(tmp_path / "a.jsonl"), Ledger()
    words = train_words([*named, "hello there friend"], specials=SPEAKERS)
    source = lay(examples, words, Way(candidates=4), 32, ledger)
    right, *wrong = source.goal.choices(source, 0, 0)[0].replies
    assert words.decode(right[:-1]) == "hello friend" and [words.decode(each[:-1]).split()[0] for each in wrong] == ["no0", "no1", "no2"]
    assert [len(each) - 1 for each in wrong] == [3, 32 // SHARE, 3] and ledger.get("tokens", "candidates cut to fit") == 1


def test_pools():
    homes, sources = [n // 2 for n in range(4 * FEW)], ["a"] * FEW + ["b"] * FEW
    assert pools(homes, sources) == {"a": (0, 2 * FEW), "b": (2 * FEW, 4 * FEW)}
    assert pools(homes[:-2], sources) == {"a": (0, 2 * FEW), "b": (0, 4 * FEW - 2)}
    assert pools([], ["a"]) == {"a": (0, 0)}

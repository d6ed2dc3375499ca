"""What stands on both sides of a split is found, counted and shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.data.blob import Blob
from harken.data.corpus import Corpus
from harken.data.overlap import overlap

lines = st.lists(st.text(st.sampled_from("ab 日\u3000\x85"), min_size=1, max_size=5), min_size=1, max_size=30)


@given(train=lines, held=lines, block=st.sampled_from([2, 1 << 22]))
def test_examples(train, held, block):
    with pytest.MonkeyPatch.context() as patch:
        found = overlap(Corpus(train, "lines", "x"), Corpus(held, "lines", "y"))
        patch.setattr(Blob, "BLOCK", block)
        known = {text.strip() for text in train}
        shared = [text.strip() for text in held if text.strip() in known]
        assert (found.shared, found.held, found.unit) == (len(shared), len(held), "texts")
        assert found.example in shared or (not shared and found.example == "")


LONG = [f"A sentence of some length, the {i:,}th of its kind, é" for i in range(50)]


@pytest.mark.parametrize("block", [64, 1 << 22])
def test_running_text(block, monkeypatch):
    monkeypatch.setattr(Blob, "BLOCK", block)
    train = Corpus(["\n".join(LONG[:30]), f"short\n  {LONG[30]}\t\n"], "running", "x")
    held = Corpus([f"{LONG[30]}\nshort\n{LONG[40]}\n", f"{LONG[3]}\n\n{LONG[3]}"], "running", "y")
    found = overlap(train, held, "test")
    assert (found.shared, found.held) == (3, 4) and found.example == LONG[30]
    assert str(found) == "3 of 4 test lines also stand in the training text (for example 'A sentence of some length, the 30th of…')"
    assert overlap(held, train).shared == 2
    assert overlap(train, Corpus(["short\n"], "running", "z")).held == 0


def test_case_counts():
    found = overlap(Corpus(["Emma", "olivia"], "lines", "x"), Corpus(["emma", " olivia"], "lines", "y"))
    assert (found.shared, found.example) == (1, "olivia")


def test_texts_longer_than_a_block(monkeypatch):
    monkeypatch.setattr(Blob, "BLOCK", 10)
    long = "0123456789" * 3
    found = overlap(Corpus(["a", long, "b"], "lines", "x"), Corpus([long, "b", "c"], "lines", "y"))
    assert (found.shared, found.held) == (2, 3)
    monkeypatch.setattr(Blob, "BLOCK", 50)
    running = overlap(Corpus([long * 5], "running", "x"), Corpus([long * 5], "running", "y"))
    assert running.shared == running.held > 0

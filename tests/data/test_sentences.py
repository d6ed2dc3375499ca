"""Sentences, and rows of whole ones: nothing is lost, and the ledger of a corrupted text adds up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.data.corpus import Corpus
from harken.data.ledger import Ledger
from harken.data.sentences import segments, sentences, units
from harken.data.tokens import fitted, tokenised
from harken.text.train import train_characters, train_tokenizer

CHARACTERS = train_characters(["abc. !?\n\t\"'"])
TEXTS = st.lists(st.text('abc. !?\n"', min_size=1, max_size=60), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("He left. She stayed!", ["He left.", " She stayed!"]),
        ('"Stop!" he said. 3.14 is pi…  Yes', ['"Stop!"', " he said.", " 3.14 is pi…", "  Yes"]),
        ("a line\nanother\n\n\nlast\n", ["a line\n", "another\n\n\n", "last\n"]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("\n\none\n  two", ["\n\none\n", "  two"]),
        ("", [""]),
    ],
)
def test_where_sentences_end(text, wanted):
    assert list(sentences(text)) == wanted


@given(TEXTS, st.integers(2, 30), st.integers(1, 2), st.none() | st.integers(0, 9))
def test_rows_of_whole_sentences_leave_nothing_out(texts, room, least, seed):
    found = tokenised(Corpus(texts, "running", "x"), CHARACTERS, Ledger(), role="bare", sentences=True)
    assert found.sentences is not None
    assert found.targets == sum(map(len, texts))
    rng = None if seed is None else np.random.default_rng(seed)
    rows = segments(found.spans, found.sentences, room, rng, least=least)
    every = units(found.spans, found.sentences, room // least)
    read = np.zeros(len(found.ids), int)
    for begin, end in rows.tolist():
        assert 0 < end - begin <= room
        inside = (every.starts >= begin) & (every.ends <= end)
        assert inside.sum() >= least
        assert every.starts[inside][0] == begin
        assert every.ends[inside][-1] == end
        assert len(set(every.texts[inside])) == 1
        read[begin:end] += 1
    count = np.bincount(every.texts)
    alone = count[every.texts] < least
    for start, end, left in zip(every.starts, every.ends, alone, strict=True):
        assert (read[start:end] == 0).all() if left else (read[start:end] >= 1).all()
    assert read.max() <= least


@pytest.mark.parametrize("kind", ["bpe", "unigram", "word", "char"])
def test_a_text_in_sentences_has_the_same_tokens(kind):
    text = 'One went out. "Really?" Two came in!\nA line\n\n  indented; three. Four'
    text = text.replace("  ", "") if kind == "bpe" else text  # which may join a line end and the blanks behind it
    tokenizer = train_tokenizer(kind, [text], None if kind == "char" else 400)
    whole, cut = (
        tokenised(Corpus([text, text[:20]], "running", "x"), tokenizer, Ledger(), role="bare", sentences=each) for each in (False, True)
    )
    assert (whole.ids == cut.ids).all()
    assert (whole.spans == cut.spans).all()
    assert cut.sentences is not None
    assert len(cut.sentences) == 8


@given(TEXTS, st.integers(3, 12), st.sampled_from(["window", "truncate", "drop"]))
def test_the_ledger_of_bare_texts_adds_up(texts, context, overflow):
    ledger = Ledger()
    found = tokenised(Corpus(texts, "lines", "x"), CHARACTERS, ledger, role="bare")
    if overflow == "drop" and all(len(text) > context - 2 for text in texts):
        return
    kept = fitted(found, context, ledger, "x", overflow=overflow, around=2)
    lost = ledger.get("tokens", "tokens truncated") + ledger.get("tokens", "tokens dropped")
    assert kept.targets + lost == sum(map(len, texts)) == ledger.get("tokens", "tokens")
    assert ledger.get("tokens", "ends") == 0
    assert all(end - begin <= context - 2 for begin, end in kept.rows().tolist())

"""Splitting: nothing lost, duplicates on one side, and no example moves when others are added."""

import hashlib
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.data.blob import Blob
from harken.data.corpus import Corpus
from harken.data.split import split

texts = st.lists(st.text(st.sampled_from("ab é\n日"), min_size=1, max_size=4), min_size=1, max_size=40)
shares = st.sampled_from([None, 0.05, 0.3, 0.9])
fuzz = settings(deadline=None, max_examples=150)


def lines(texts):
    return Corpus(list(texts), "lines", "x")


def running(*texts):
    return Corpus(list(texts), "running", "x")


@fuzz
@given(texts=texts, share=shares)
def test_examples(texts, share):
    corpus = lines(texts)
    train, valid = split(corpus, share)
    assert Counter(train.texts) + Counter(valid.texts) == Counter(texts)
    assert not set(train.texts) & set(valid.texts)
    assert bool(valid.texts) == (len(set(texts)) > 1) and train.texts
    again = split(corpus, share)
    assert (again[0].texts, again[1].texts) == (train.texts, valid.texts)
    assert train.texts == [t for t in texts if t in set(train.texts)]  # in order
    counts = valid.ledger.to_json()["split"]
    assert counts["train texts"] == len(train.texts) and counts["valid texts"] == len(valid.texts)
    assert train.ledger == valid.ledger and not corpus.ledger.rows()
    assert (train.kind, train.source) == (valid.kind, valid.source) == ("lines", "x")


@fuzz
@given(n=st.integers(200, 400), more=texts)
def test_no_example_moves(n, more):
    old = [f"example {i}" for i in range(n)]
    before, after = split(lines(old), 0.2), split(lines(more + old), 0.2)
    assert set(before[0].texts) <= set(after[0].texts) and set(before[1].texts) <= set(after[1].texts)


def test_share():
    many = lines(f"example {i}" for i in range(20_000))
    assert 0.09 < len(split(many)[1].texts) / 20_000 < 0.11
    assert 0.28 < len(split(many, 0.3)[1].texts) / 20_000 < 0.32
    assert split(many, 0)[1].texts == []
    small, large = set(split(many, 0.1)[1].texts), set(split(many, 0.2)[1].texts)
    assert small < large
    for wrong in (-0.1, 1):
        with pytest.raises(InputError, match=r"share for validation is .* below 1"):
            split(many, wrong)


def test_at_most_about_a_megabyte():
    train, valid = split(running("a line of text\n" * 2_000_000))
    assert 0.99e6 < valid.bytes() < 1.01e6 and valid.texts[0].startswith("a line") and train.texts[0].endswith("\n")


@fuzz
@given(texts=texts, share=shares)
def test_running(texts, share):
    corpus = running(*texts[:9])
    train, valid = split(corpus, share)
    assert "".join(train.texts) + "".join(valid.texts) == "".join(corpus.texts)
    assert "".join(train.texts).strip() or not "".join(corpus.texts).strip() or not valid.texts
    assert not valid.texts or "".join(valid.texts).strip()


def test_where_running_text_is_cut():
    def cut(text, share=0.1):
        train, valid = split(running(text), share)
        return len("".join(train.texts)) / len(text), "".join(valid.texts)

    place, valid = cut("one two three\n" * 500)
    assert 0.89 < place < 0.91 and valid.startswith("one two three\n")
    place, valid = cut("word " * 500)
    assert 0.89 < place < 0.91 and valid.startswith("word ")
    assert cut("x" * 1_000) == (0.9, "x" * 100)
    assert cut("x") == (1, "") and cut("abc\n\n\n\n\n\n\n") == (1, "")


def test_documents():
    few = [f"document {i}\n" * 20 for i in range(9)]
    train, valid = split(running(*few), 0.2)
    assert "".join(train.texts) + "".join(valid.texts) == "".join(few)
    assert len(train.texts) == 8 and len(valid.texts) == 2  # one document lies on both sides
    many = [f"document {i}\n" * 20 for i in range(40)]
    train, valid = split(running(*many), 0.2)
    assert sorted([*train.texts, *valid.texts]) == sorted(many) and valid.texts


# ---- the same split as with every text in memory


def slow(texts, kind, share):
    """(train, valid) lists: what `split` does, on str."""
    share = min(0.1, 1e6 / max(sum(len(t.encode()) for t in texts) + len(texts) * (kind == "lines"), 1)) if share is None else share
    if kind == "lines" or len(texts) >= 10:
        hashes = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") for text in texts]
        chosen = {value for value in hashes if value % 10_000 < share * 10_000}
        if len(set(hashes)) < 2:
            chosen = set()
        elif not chosen or chosen == set(hashes):
            chosen = {min(hashes)}
        sides = [value in chosen for value in hashes]
        return tuple([text for text, held in zip(texts, sides, strict=True) if held == side] for side in (False, True))
    total = sum(map(len, texts))
    held, before = total * share, 0
    for i, text in enumerate(texts):
        if before + len(text) > total - held:
            target, slack = round(total - held) - before, round(held / 2)
            low, high = max(target - slack, 0), min(target + slack, len(text))
            places = [m.start() for m in re.compile(r"(?<=\n)|\A").finditer(text, low, high)]
            places = places or [m.start() for m in re.compile(r"(?<=\s)(?=\S)").finditer(text, low, high)]
            place = min(places, key=lambda place: abs(place - target)) if places else target
            train, valid = [t for t in [*texts[:i], text[:place]] if t], [t for t in [text[place:], *texts[i + 1 :]] if t]
            return (train, valid) if any(map(str.strip, train)) and any(map(str.strip, valid)) else (texts, [])
        before += len(text)
    return texts, []


long_texts = st.lists(st.text(st.sampled_from("ab é\n日\u3000"), min_size=1, max_size=200), min_size=1, max_size=12)


@settings(deadline=None, max_examples=300)
@given(texts=long_texts, kind=st.sampled_from(["lines", "running"]), share=shares, block=st.sampled_from([5, 64, 1 << 22]))
def test_like_the_slow_twin(texts, kind, share, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blob, "BLOCK", block)
        train, valid = split(Corpus(texts, kind, "x"), share)
        assert (list(train.texts), list(valid.texts)) == slow(texts, kind, share)

"""The unigram learner against sums written out: expected counts, what a piece is missed for, and the trainer of the field."""

from __future__ import annotations

import itertools
import math
import pydoc_data.topics
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

from harken.text import unigram
from harken.text.kinds import STRETCHES
from harken.text.train import train_unigram
from harken.text.unigram import learn

words = st.dictionaries(st.text("abc", min_size=1, max_size=7), st.integers(1, 9), min_size=1, max_size=6)
few = settings(deadline=None, max_examples=40)


def cuts(word: str) -> list[list[str]]:
    """Every way to cut a word into pieces."""
    found = []
    for places in itertools.product((False, True), repeat=len(word) - 1):
        bounds = [0, *(i + 1 for i, cut in enumerate(places) if cut), len(word)]
        found.append([word[a:b] for a, b in itertools.pairwise(bounds)])
    return found


def slow_step(counts: dict[str, int], score: dict[str, float]) -> dict[str, float]:
    """Expected counts, one segmentation after the other."""
    expected: dict[str, float] = defaultdict(float)
    for word, often in counts.items():
        ways = [way for way in cuts(word) if all(piece in score for piece in way)]
        chances = [math.exp(sum(score[piece] for piece in way)) for way in ways]
        for way, chance in zip(ways, chances, strict=True):
            for piece in way:
                expected[piece] += often * chance / sum(chances)
    return expected


def begun(counts: dict[str, int]):
    made = unigram._Words(counts)
    pieces, place, at = unigram._candidates(made, 1_000)
    return made, pieces, *unigram._lattices(made, at), unigram._inner(pieces, place, at)


@few
@given(counts=words)
def test_candidates(counts):
    """Substrings of 2 to 16 characters that occur twice or more, at two places of the distinct words or as a whole one."""
    _, pieces, *_ = begun(counts)
    mass, places = Counter(), Counter()
    for word, often in counts.items():
        for a, b in itertools.combinations(range(len(word) + 1), 2):
            mass[word[a:b]] += often
            places[word[a:b]] += 1
    expected = {piece: n for piece, n in mass.items() if len(piece) == 1 or (n >= 2 and (places[piece] >= 2 or piece in counts))}
    assert dict(zip(pieces.texts, pieces.mass, strict=True)) == expected
    assert pieces.texts[: pieces.characters] == sorted({*"".join(counts)})


@few
@given(counts=words)
def test_a_step_of_em(counts):
    made, pieces, forward, backward, _ = begun(counts)
    expected = slow_step(counts, dict(zip(pieces.texts, pieces.score, strict=True)))
    unigram._step(made, pieces, forward, backward)
    np.testing.assert_allclose(pieces.mass, [max(expected[piece], unigram.FLOOR) for piece in pieces.texts], rtol=1e-9)
    assert np.exp(pieces.score).sum() == pytest.approx(1)


@few
@given(counts=words, data=st.data())
def test_what_is_missed_least_goes_first(counts, data):
    made, pieces, forward, backward, inner = begun(counts)
    unigram._step(made, pieces, forward, backward)
    score = dict(zip(pieces.texts, pieces.score, strict=True))
    missed = {}
    for piece, mass in list(zip(pieces.texts, pieces.mass, strict=True))[pieces.characters :]:
        others = [sum(score[part] for part in way) for way in cuts(piece)[1:] if all(part in score for part in way)]
        missed[piece] = mass * (score[piece] - max(others))
    most = data.draw(st.integers(pieces.characters, len(pieces.texts)))
    alive = unigram._survivors(made, pieces, inner, most)
    assert alive.sum() == most and alive[: pieces.characters].all()
    kept, gone = (
        [missed[piece] for piece, alive in zip(pieces.texts, alive, strict=True) if piece in missed and alive == side] for side in (1, 0)
    )
    assert not kept or not gone or min(kept) >= max(gone) - 1e-9
    for part in (pieces, forward, backward, inner):
        part.keep(alive)
    expected = slow_step(counts, dict(zip(pieces.texts, pieces.score, strict=True)))
    unigram._step(made, pieces, forward, backward)
    np.testing.assert_allclose(pieces.mass, [max(expected[piece], unigram.FLOOR) for piece in pieces.texts], rtol=1e-9)


@few
@given(counts=words, size=st.integers(4, 30))
def test_learned(counts, size):
    found = dict(learn(counts, [*"abcd"], size))
    assert {*"abcd"} <= found.keys() and len(found) <= max(size, 4)
    assert all(value <= 0 for value in found.values()) and found["d"] == min(found.values())
    assert list(found) == sorted(found, key=lambda piece: (-found[piece], piece))
    assert learn(dict(reversed(counts.items())), reversed("abcd"), size) == list(found.items())


def test_long_words_and_many_characters():
    began = time.monotonic()
    found = dict(
        learn(
            {"x" * 5_000: 3, "".join(chr(0x4E00 + i % 2_000) for i in range(20_000)): 1},
            {chr(0x4E00 + i) for i in range(2_000)} | {"x"},
            2_100,
        )
    )
    assert len(found) == 2_100 and "x" * 16 in found and time.monotonic() - began < 10


def test_the_rarest_words_are_left_out_beyond_a_million_characters(monkeypatch):
    monkeypatch.setattr(unigram, "MOST_CHARACTERS", 12)
    assert unigram._Words({"aaaa": 3, "bbbb": 2, "cccc": 2, "dddd": 1}).texts == ["aaaa", "bbbb", "cccc"]
    assert unigram._Words({"a" * 30: 1}).texts == ["a" * 30]


def test_it_needs_fewer_tokens_than_the_trainer_of_the_library():
    """That one knows pieces only that occur in two distinct words, so it has " tha" where " that" is a word."""
    text = "\n".join(pydoc_data.topics.topics.values())[:400_000]
    learned, held = text[:-50_000], text[-50_000:]
    inner = tokenizers.Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(STRETCHES), "isolated")
    inner.train_from_iterator(
        [learned], trainers.UnigramTrainer(vocab_size=1_500, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>")
    )
    assert len(train_unigram([learned], 1_500).encode(held)) < len(inner.encode(held).ids)

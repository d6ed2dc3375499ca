"""T5's span corruption: the statistics of the published code, and that source and target make up the text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.objectives.span_corruption import SpanCorruption, counts, noise_mask, parted, sentinel, span_corruption
from harken.text.frames import FRAMES
from harken.text.train import train_tokenizer


@given(st.integers(1, 600), st.integers(0, 1 << 40), st.floats(0.05, 0.9), st.floats(1, 10))
def test_source_and_target_rebuild_the_text(length, seed, rate, span):
    rng = np.random.default_rng(seed)
    noise = SpanCorruption(2_999, 1_000, rate, span)
    ids = rng.integers(0, 2_000, length)
    source, target = noise(ids, rng)
    assert (noise.restored(source, target) == ids).all()
    names = source[source >= 2_000]
    assert (np.diff(names) == -1).all()
    assert length == 1 or names[0] == 2_999
    assert target[0] == 2_999
    hidden, spans = noise.counts(length) if length > 1 else (0, 0)
    assert len(names) == spans
    assert (target < 2_000).sum() == hidden


def test_the_rate_and_the_spans_are_those_of_the_published_code():
    rng = np.random.default_rng(0)
    masks = np.stack([noise_mask(512, rng) for _ in range(400)])  # 204,800 tokens
    assert (masks.sum(1) == 77).all()  # round(512 · 0.15)
    starts = masks & ~np.roll(masks, 1, 1)
    assert (starts.sum(1) == 26).all()  # round(77 / 3)
    assert not masks[:, 0].any()
    assert masks[:, -1].all()
    # A span of n tokens: n - 1 of the other 51 cuts are missing behind it. Likely as n falls: C(76 - n, 24) / C(76, 25).
    lengths = np.concatenate([np.diff(np.flatnonzero(np.diff(np.append(row, False).astype(int))))[::2] for row in masks])
    assert lengths.mean() == pytest.approx(77 / 26, rel=1e-9)
    for n in (1, 2, 3, 6):
        wanted = math.comb(76 - n, 24) / math.comb(76, 25)
        assert abs((lengths == n).mean() - wanted) < 5 * math.sqrt(wanted * (1 - wanted) / len(lengths))


def test_every_parting_is_as_likely():
    rng = np.random.default_rng(0)
    seen = {}
    for _ in range(6_000):
        found = tuple(parted(5, 3, rng))
        seen[found] = seen.get(found, 0) + 1
    assert len(seen) == math.comb(4, 2)
    assert all(abs(n - 1_000) < 5 * math.sqrt(6_000 / 6 * 5 / 6) for n in seen.values())


def test_a_span_that_is_alone_stands_anywhere_but_first():
    rng = np.random.default_rng(0)
    assert counts(10) == (2, 1)
    places = np.array([int(noise_mask(10, rng).argmax()) for _ in range(4_000)])
    assert (np.bincount(places, minlength=10)[1:9] > 400).all()
    assert set(places) == set(range(1, 9))


@pytest.mark.parametrize("context", [4, 16, 128, 512])
@pytest.mark.parametrize("rate", [0.15, 0.5, 0.9])
def test_the_longest_text_fills_the_context_and_no_more(context, rate):
    noise, rng = SpanCorruption(9_999, 1_000, rate), np.random.default_rng(0)
    length = noise.room(context)
    sides = [[len(side) for side in noise(rng.integers(0, 100, length), rng)] for _ in range(50)]
    assert max(map(max, sides)) <= context
    assert context == 4 or max(max(map(len, noise(rng.integers(0, 100, length + 2), rng))) for _ in range(50)) >= context
    if (context, rate) == (512, 0.15):
        assert length == 568 + 1  # as in the paper's code, which leaves one token for the end


def test_names_of_gaps_are_the_tokenizers_last_ids_and_never_text():
    tokenizer = train_tokenizer("unigram", ["the cat sat on the mat"], 400, frame=FRAMES["t5"])
    with pytest.raises(InputError, match="no names for gaps such as <extra_id_0>"):
        span_corruption(tokenizer)
    tokenizer = tokenizer.extended([sentinel(n) for n in reversed(range(100))])
    noise = span_corruption(tokenizer)
    assert (noise.sentinel, noise.sentinels) == (tokenizer.vocab_size - 1, 100)
    assert tokenizer.inner.id_to_token(noise.sentinel - 99) == "<extra_id_99>"
    assert max(tokenizer.encode("the <extra_id_0> sat", special=False)) < tokenizer.vocab_size - 100
    assert tokenizer.encode("cat")[-1] == tokenizer.eos_id
    assert tokenizer.pad_id == 0
    with pytest.raises(InputError, match=r"has \d+ gaps, and the tokenizer names 100: give a smaller --context"):
        noise.room(4_096)

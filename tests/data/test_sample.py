"""What a tokenizer learns from: an even sample of the texts, and every character of all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.data.sample import alphabet, sample
from harken.data.texts import Texts

words = st.text(st.sampled_from("ab é\n日🙂"), max_size=40)


@given(st.lists(words, max_size=60), st.integers(1, 2_000))
def test_any_texts(texts, size):
    found = sample(Texts.of(texts), size)
    whole = "\0".join(texts)
    assert all(text in whole for text in found)
    if sum(len(text.encode()) for text in texts) <= size:
        assert found == texts
    assert alphabet(Texts.of(texts)) == "".join(sorted(set("".join(texts))))


@pytest.mark.parametrize("length", [3, 60, 5_000, 1_000_000])
def test_evenly(length):
    """Numbers count up: an even sample has as many of every tenth."""
    numbers = [f"{i:09}\n" for i in range(200_000)]
    each = max(1, length // 10)
    texts = Texts.of("".join(numbers[i : i + each]) for i in range(0, len(numbers), each))
    found = sample(texts, 200_000)
    assert 0.9 < found.size / 200_000 < 1.1
    kept = [int(line) for text in found for line in text.splitlines()]
    assert kept == sorted(set(kept))
    tenths = [sum(20_000 * t <= n < 20_000 * (t + 1) for n in kept) for t in range(10)]
    assert max(tenths) < 1.2 * min(tenths)


def test_cuts_keep_characters_and_words_whole():
    words = sample(Texts.of([f"{i:09} é日🙂 " * 10 for i in range(1)] + ["né🙂日 " * 200_000]), 40_000)
    assert all(text.startswith(" n") or text.startswith("n") for text in words[1:])
    assert all("\ufffd" not in text for text in sample(Texts.of(["日🙂é" * 100_000]), 10_000))

"""Filters and penalties equal Hugging Face's; a stop string ends a text, and no piece of a stream shows any part of it."""

from __future__ import annotations

import dataclasses
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.decode.generate import generate, stream
from harken.decode.options import DecodeOptions
from harken.decode.watch import Watch
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.text.train import train_bpe, train_characters


@pytest.fixture(scope="module")
def model():
    tokenizer = train_characters([string.ascii_lowercase])
    config = LlamaConfig.sized(32, 2, 2, 64, tokenizer.vocab_size, 0.0)
    config.eos_token_id, config.initializer_range = tokenizer.eos_id, 0.2
    return build(config, seed=1), tokenizer


def test_a_penalised_text_repeats_less(model):
    plain, penalised = (
        generate(*model, ["ab"], DecodeOptions(temperature=0, max_new_tokens=40, repetition_penalty=penalty, suppress_tokens=(2,)))[0]
        for penalty in (1.0, 50.0)
    )
    assert len(set(penalised.ids)) > len(set(plain.ids))


def test_a_text_ends_in_front_of_the_first_stop_string(model):
    asked = DecodeOptions(max_new_tokens=40, seed=3, do_sample=True)
    whole = generate(*model, ["m"], asked)[0].text[1:]
    assert len(whole) > 10
    stop = whole[6:8]
    found = generate(*model, ["m"], dataclasses.replace(asked, stop_strings=("nowhere", stop)))[0]
    assert found.text == "m" + whole[: whole.index(stop)]
    assert found.finish_reason == "stop"
    assert len(found.ids) == whole.index(stop) + len(stop)
    never = generate(*model, ["m"], dataclasses.replace(asked, stop_strings=("nowhere",)))[0]
    assert never.text == "m" + whole


@given(st.data())
def test_pieces_are_the_text_before_the_stop_string_and_nothing_of_it(data):
    alphabet = "ab é🙂"
    tokenizer = train_bpe([alphabet * 3], 270)
    text = data.draw(st.text(alphabet, max_size=30))
    stops = data.draw(st.lists(st.text(alphabet, min_size=1, max_size=4), max_size=3))
    watch, pieces = Watch(tokenizer, tokenizer.encode("x"), stops), []
    for token in tokenizer.encode(text, special=False):
        watch.push(token)
        pieces.append(watch.piece)
        if watch.found:
            break
    watch.flush()
    pieces.append(watch.piece)
    found = [(text.index(stop) + len(stop), text.index(stop)) for stop in stops if stop in text]
    assert "".join(pieces) == watch.text == text[: min(found, default=(0, len(text)))[1]]
    assert (watch.found is not None) == bool(found)


def test_a_stream_with_stop_strings_is_what_generate_adds(model):
    for seed in range(20):
        asked = DecodeOptions(max_new_tokens=30, seed=seed, do_sample=True, stop_strings=("e", "an", "st"))
        assert "".join(stream(*model, "k", asked)) == generate(*model, ["k"], asked)[0].text[1:]


def test_an_empty_stop_string_is_refused():
    with pytest.raises(InputError, match="stop string is empty"):
        DecodeOptions(stop_strings=("x", ""))

"""Guessing ahead changes how long it takes, and nothing that is written."""

from __future__ import annotations

import dataclasses
import random
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import harken
from harken.base.errors import InputError
from harken.checkpoint.save import save
from harken.decode import plan as planning
from harken.decode.generate import decode, generate, searching, stream
from harken.decode.options import DecodeOptions
from harken.decode.plan import plan
from harken.decode.prompt import encode_prompt
from harken.decode.rows import start_rows
from harken.decode.settle import settle
from harken.decode.speculate import Known, Speculative
from harken.families.mistral import MistralConfig
from harken.families.mixture import MixtureConfig
from harken.families.table import build, config_class
from harken.nn.counts import count
from harken.nn.smoothing import smooth
from harken.text.train import train_characters


def made(name: str, seed: int = 1, width: int = 48, padded: int = 0) -> tuple[Any, Any]:
    tokenizer = train_characters([string.ascii_lowercase + " "])
    config = config_class(name).sized(width, 2, 3, 96, tokenizer.vocab_size + padded, 0.0)
    config.bos_token_id, config.eos_token_id, config.pad_token_id = tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id
    if isinstance(config, MistralConfig):
        config.sliding_window = 7
    config.initializer_range = 0.3
    config.check()
    model = build(config, seed=seed)
    model.generation = {"suppress_tokens": tokenizer.silent_ids}
    return model, tokenizer


MAYBE: dict[str, list[Any]] = {
    "repetition_penalty": [1.3],
    "no_repeat_ngram_size": [3],
    "frequency_penalty": [0.4],
    "min_new_tokens": [9],
    "bad_words": [("e",)],
    "stop_strings": [("e", "th")],
    "guidance_scale": [1.5],
}


def some_options(rng: random.Random, reads: str) -> DecodeOptions:
    asked: dict[str, Any] = {"max_new_tokens": rng.randint(10, 40), "seed": rng.randint(0, 99)}
    asked |= {name: rng.choice(values) for name, values in MAYBE.items() if rng.random() < 0.2}
    if reads == "source":
        asked.pop("guidance_scale", None)
    if rng.random() < 0.5:
        asked |= {"temperature": rng.choice([0.3, 0.8, 1.3]), "num_return_sequences": rng.choice([1, 3])}
    return DecodeOptions(**asked)


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "bart", "t5", "bigram"])
@pytest.mark.parametrize("how", ["lookup", "draft", "auto"])
def test_what_is_written_is_the_same(name: str, how: Any) -> None:
    model, tokenizer = made(name)
    helper = None if how == "lookup" else (made("llama", 1, 24) if name != "llama" else (model, tokenizer))
    rng = random.Random(3)
    for _ in range(12):
        asked = some_options(rng, model.reads)
        prompts = ["".join(rng.choices("abc ", k=rng.randint(1, 30))) for _ in range(rng.randint(1, 5))]
        guessed = dataclasses.replace(asked, speculate=how, assistant_model=helper, num_assistant_tokens=rng.choice([None, 3]))
        want = generate(model, tokenizer, prompts, asked)
        assert generate(model, tokenizer, prompts, guessed) == want
        alone = dataclasses.replace(guessed, num_return_sequences=None if asked.num_return_sequences is None else 1)
        assert "".join(stream(model, tokenizer, prompts[0], alone)) == want[0].text[len(prompts[0]) if model.reads == "text" else 0 :]


def search_of(model: Any, tokenizer: Any, prompt: str, asked: DecodeOptions) -> Speculative:
    planned = plan(model, tokenizer, asked)
    rows = start_rows(model, tokenizer, [encode_prompt(model, tokenizer, prompt)], planned)
    search = searching(model, planned, rows)
    assert isinstance(search, Speculative)
    for _ in decode(model, planned, rows, search):
        pass
    return search


def test_a_draft_that_is_the_model_itself_is_always_right() -> None:
    (model, tokenizer), twin = made("gpt2"), made("gpt2")
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[1]))
    for drawn in ({}, {"temperature": 1.2}):
        asked = DecodeOptions(max_new_tokens=60, min_new_tokens=60, assistant_model=twin, num_assistant_tokens=5, **drawn)
        sizes.clear()
        search = search_of(model, tokenizer, "abc", asked)
        prompt = len(encode_prompt(model, tokenizer, "abc").ids)
        assert len(search.results()[0].ids) == 60 and sum(sizes) == prompt + 59  # nothing is read that is not kept
        assert len(sizes) < 15 and search.lengths == []


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_is_guessed_at_once_than_is_allowed(most: int) -> None:
    (model, tokenizer), twin = made("gpt2"), made("gpt2")
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[1]))
    search_of(model, tokenizer, "abc", DecodeOptions(max_new_tokens=20, min_new_tokens=20, assistant_model=twin, num_assistant_tokens=most))
    assert max(sizes[1:]) == 1 + most


@pytest.mark.parametrize(("padded", "theirs"), [(0, 0), (0, 5), (5, 0)])
@pytest.mark.parametrize("constrain", [{"choice": ("ab", "abc")}, {"regex": "[a-f]{2,9}"}])
@pytest.mark.parametrize("ends", [True, False])
def test_a_draft_beside_a_constraint(constrain: dict[str, Any], padded: int, theirs: int, ends: bool) -> None:
    """Its vocabulary may be padded to another size, and the text may end without a token that says so."""
    model, tokenizer = made("gpt2", padded=padded)
    helper, _ = made("llama", width=24, padded=theirs)
    if not ends:
        model.config.eos_token_id = None
    for drawn in ({}, {"temperature": 1.2, "num_return_sequences": 3}):
        asked = DecodeOptions(max_new_tokens=12, **constrain, **drawn)
        guessed = dataclasses.replace(asked, assistant_model=(helper, tokenizer))
        assert generate(model, tokenizer, ["a ", "b"], guessed) == generate(model, tokenizer, ["a ", "b"], asked)


def test_a_draft_that_lacks_an_id_guesses_nothing_behind_it() -> None:
    model, tokenizer = made("gpt2", padded=3)
    asked = DecodeOptions(max_new_tokens=6, logit_bias={tokenizer.vocab_size + 1: 100.0})
    guessed = dataclasses.replace(asked, assistant_model=made("gpt2"))
    assert generate(model, tokenizer, ["ab"], guessed) == generate(model, tokenizer, ["ab"], asked)


def test_a_model_that_guesses_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = made("gpt2")
    save(model, tokenizer, tmp_path)
    folder, read, opened = str(tmp_path), [], planning.opened
    monkeypatch.setattr(planning, "opened", lambda source: (read.append(source), opened(source))[1])
    (one,) = harken.generate(model, tokenizer, ["ab"], assistant_model=folder, max_new_tokens=4)
    assert read.count(folder) == 1 and one == harken.generate(model, tokenizer, ["ab"], max_new_tokens=4)[0]
    ask = harken.pipeline("text-generation", (model, tokenizer), assistant_model=folder, batch_size=1, max_new_tokens=3)
    assert len(ask(["ab", "cd", "e"])) == 3 and ask("f")
    assert read.count(folder) == 2


def test_a_text_that_repeats_itself_is_read_in_few_steps() -> None:
    model, tokenizer = made("bigram")  # whose likeliest text comes round again
    model.config.eos_token_id = None
    steps: list[int] = []
    model.register_forward_pre_hook(lambda _, given: steps.append(given[0].shape[1]))
    search_of(model, tokenizer, "ab", DecodeOptions(max_new_tokens=80, speculate="lookup"))
    assert len(steps) < 40 and max(steps) > 5


def test_counts_guess_what_followed_most_often() -> None:
    tokenizer = train_characters(["abc "])
    text = np.array(tokenizer.encode("abcabcabcabbabc", special=False), np.int32)
    smoothed = smooth(count(text, np.array([0]), 3), 3, "kneser_ney", 0.0, np.full(tokenizer.vocab_size, 1 / tokenizer.vocab_size))
    a, b, c = tokenizer.encode("abc", special=False)
    assert smoothed.follow(np.array([a, b], np.int64), 5, 0.3).tolist() == [c, a, b, c, a]
    assert smoothed.follow(np.array([a, b], np.int64), 5, 0.9).tolist() == []
    assert smoothed.follow(np.array([c, c, a, b], np.int64), 2, 0.0).tolist() == [c, a]
    assert smoothed.follow(np.zeros(0, np.int64), 5, 0.0).tolist() == []


def test_an_ngram_model_guesses_and_nothing_changes() -> None:
    tokenizer = train_characters([string.ascii_lowercase + " "])
    model, _ = made("gpt2")
    config = config_class("ngram").sized(0, 0, 0, 96, tokenizer.vocab_size, 0.0)
    config.order = 3
    ngram = build(config)
    said = generate(model, tokenizer, ["a", "be"], DecodeOptions(max_new_tokens=60))
    text = np.array([token for one in said for token in one.ids], np.int32)
    ngram.counts.fill(text, np.array([0]), 3)
    for drawn in ({}, {"temperature": 0.7}):
        want = generate(model, tokenizer, ["a", "cd"], DecodeOptions(max_new_tokens=60, **drawn))
        asked = DecodeOptions(max_new_tokens=60, assistant_model=(ngram, tokenizer), **drawn)
        assert generate(model, tokenizer, ["a", "cd"], asked) == want
    steps: list[int] = []
    model.register_forward_pre_hook(lambda _, given: steps.append(given[0].shape[1]))
    search_of(model, tokenizer, "a", DecodeOptions(max_new_tokens=60, assistant_model=(ngram, tokenizer)))  # a text that it has counted
    assert len(steps) < 0.7 * len(said[0].ids)


def test_where_a_text_went_on_before() -> None:
    known = Known([5, 6, 7, 8, 5, 6], 6, {})
    known.grow([])
    assert known.text[known.after[(5, 6)] :] == [7, 8, 5, 6]
    known.grow([9, 5, 6])
    assert known.text[known.after[(5, 6)] :][:3] == [9, 5, 6] and known.after[(7, 8, 5)] == 5


def test_what_cannot_be_guessed_is_refused() -> None:
    model, tokenizer = made("gpt2")
    for asked, said in (
        ({"speculate": "draft"}, "needs assistant_model"),
        ({"speculate": "lookup", "num_beams": 3}, "is for one token after the other"),
        ({"speculate": "lookup", "overflow": "window"}, "cannot go with overflow=window"),
        ({"speculate": "lookup", "assistant_model": (model, tokenizer)}, "does not guess where speculate is lookup"),
        ({"num_assistant_tokens": 3}, "is for guessing tokens: give speculate"),
    ):
        with pytest.raises(InputError, match=said):
            settle(DecodeOptions(**asked), {}, "text")
    other = train_characters(["xyz"])
    with pytest.raises(InputError, match="assistant_model has other tokens"):
        plan(model, tokenizer, DecodeOptions(assistant_model=(model, other)))
    recurrent, words = made("lstm")
    with pytest.raises(InputError, match="a lstm model cannot take back a guess"):
        generate(recurrent, words, ["ab"], DecodeOptions(speculate="lookup"))
    mixed = build(MixtureConfig.of(recurrent.config, config_class("ngram").sized(48, 2, 3, 96, words.vocab_size, 0.0)), seed=1)
    for name, helper in (("lstm", recurrent), ("mixture", mixed)):
        with pytest.raises(InputError, match=f"a {name} model cannot take back a guess that was wrong: take another assistant_model"):
            generate(model, tokenizer, ["ab"], DecodeOptions(assistant_model=(helper, words)))
    assert torch.get_default_dtype() == torch.float32

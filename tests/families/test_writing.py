"""Families that read a source write: what transformers writes, the same alone as in a batch, and nothing but what is new."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import pytest
import tokenizers
import torch

from harken.base.errors import InputError
from harken.decode.generate import generate, next_distribution, stream
from harken.decode.options import DecodeOptions
from harken.families.table import build, config_class
from harken.nn.mask import Mask
from harken.nn.models import Model
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_bpe, train_characters

NAMES = ["t5", "bart", "marian", "transformer", "seq2seq"]
PROMPTS = ["the cat", "a", "b", "what is read is longer than what is written"]
every = pytest.mark.parametrize("name", NAMES)


def made(name: str, tokenizer: Tokenizer, context: int = 64) -> Model:
    config = config_class(name).sized(32, 2, 2, context, tokenizer.vocab_size, 0.0)
    config.bos_token_id, config.eos_token_id, config.pad_token_id = tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id
    config.initializer_range = 0.3
    config.check()
    return build(config, seed=1)


@pytest.fixture(scope="module")
def letters() -> Tokenizer:
    return train_characters([string.ascii_lowercase + " "])


@pytest.mark.parametrize("name", ["t5", "bart", "marian"])
@pytest.mark.parametrize("forced", [None, 7])
def test_the_likeliest_words_are_those_of_transformers(
    theirs_of: Callable[..., Any], ours_of: Callable[[Any], Any], name: str, forced: int | None
) -> None:
    theirs = theirs_of(name, 1)
    theirs.generation_config.forced_eos_token_id, theirs.generation_config.forced_bos_token_id = None, forced
    ours = ours_of(theirs)
    ours.config.forced_bos_token_id = forced
    sources = [torch.randint(5, ours.config.vocab_size, (n,)).tolist() for n in (11, 4, 1)]
    words = Tokenizer(tokenizers.Tokenizer(tokenizers.models.WordLevel({f"w{i}": i for i in range(ours.config.vocab_size)}, "w0")))
    found = generate(ours, words, sources, DecodeOptions(max_new_tokens=9))
    for one, source in zip(found, sources, strict=True):
        want = theirs.generate(torch.tensor([source]), do_sample=False, num_beams=1, max_new_tokens=9)[0].tolist()
        assert [ours.config.decoder_start_token_id, *one.ids] == want


@every
def test_what_is_written_does_not_depend_on_the_batch(name: str, letters: Tokenizer) -> None:
    model = made(name, letters)
    for asked in (
        DecodeOptions(max_new_tokens=20),
        DecodeOptions(max_new_tokens=20, num_return_sequences=3, seed=4, repetition_penalty=1.2),
        DecodeOptions(max_new_tokens=20, stop_strings=("a", "e")),
    ):
        together = generate(model, letters, PROMPTS, asked)
        alone = [one for prompt in PROMPTS for one in generate(model, letters, [prompt], asked)]
        assert together == alone
        for one in together:
            text = letters.decode(one.ids)
            assert one.text == (text if not asked.stop_strings else text[: min((text + s).find(s) for s in asked.stop_strings)])
        assert len({one.text for one in together}) > 1  # the source matters


@every
def test_pieces_and_probabilities(name: str, letters: Tokenizer) -> None:
    pieces = train_bpe(["the cat sat on the mat and the dog sat on the cat\n"] * 20, 280)
    for tokenizer in (letters, pieces):
        model, asked = made(name, tokenizer), DecodeOptions(max_new_tokens=12, seed=3, do_sample=True)
        for prompt in PROMPTS:
            (one,) = generate(model, tokenizer, [prompt], asked)
            assert "".join(stream(model, tokenizer, prompt, asked)) == one.text
            first = next_distribution(model, tokenizer, prompt)
            assert first[one.ids[0]].item() == pytest.approx(one.logprobs[0], abs=1e-6)
            source = torch.tensor([[*tokenizer.prefix, *tokenizer.encode(prompt, special=False), tokenizer.eos_id]])
            target = torch.tensor([[model.config.decoder_start_token_id, *one.ids]])
            scored = model.score(target, source=source, source_mask=Mask(lengths=torch.tensor([source.shape[1]])))
            assert scored[0, 1:].tolist() == pytest.approx(one.logprobs, abs=1e-5)


def test_a_source_may_fill_the_context_and_not_more(letters: Tokenizer) -> None:
    model = made("bart", letters, context=8)
    assert len(generate(model, letters, ["abcdef"], DecodeOptions())[0].ids) <= 7
    with pytest.raises(InputError, match="the prompt has 9 tokens, but this model reads at most 8: shorten it by 1 tokens"):
        generate(model, letters, ["abcdefg"], DecodeOptions())
    model.config.decoder_start_token_id = None
    with pytest.raises(InputError, match="no decoder_start_token_id"):
        generate(model, letters, ["abc"], DecodeOptions())

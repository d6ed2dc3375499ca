"""The n-gram family: config, files and decoding, like any other."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path

import numpy as np
import pytest
import torch

from harken.base.errors import InputError
from harken.checkpoint.load import load
from harken.checkpoint.save import save
from harken.data.batches import Spans
from harken.decode.generate import generate, next_distribution, stream
from harken.decode.options import DecodeOptions
from harken.families.ngram import NgramConfig
from harken.families.table import build, config_class, family, read_config
from harken.fit.count import count, never_predicted
from harken.nn.counts import NGram
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_characters


@pytest.fixture(scope="module")
def made(samples: Path) -> tuple[NGram, Tokenizer]:
    """A 4-gram of the names that ship with harken."""
    names = (samples / "names.txt").read_text("utf-8").split()[:3000]
    tokenizer = train_characters(names)
    parts = [np.array([tokenizer.bos_id, *ids, tokenizer.eos_id], np.int32) for ids in tokenizer.encode_many(names)]
    ends = np.cumsum([len(part) for part in parts])
    spans = Spans(np.concatenate(parts), np.stack([ends - [len(part) - 1 for part in parts], ends], 1), None, 32)
    config = NgramConfig(vocab_size=tokenizer.vocab_size, order=4, skip=never_predicted(tokenizer))
    config.bos_token_id, config.eos_token_id, config.pad_token_id = tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id
    model = build(config, seed=0)
    assert isinstance(model, NGram)
    assert count(model, spans) == len(model.counts.tokens) - 1
    return model, tokenizer


def test_a_family_like_any_other() -> None:
    assert family("ngram").LEARNS == "counts"
    config = config_class("ngram").sized(64, 4, 4, 256, 61, 0.1)
    assert isinstance(config, NgramConfig) and (config.vocab_size, config.order, config.smoothing) == (61, 6, "kneser_ney")
    assert NgramConfig.read(json.loads(json.dumps(config.write()))) == config
    assert NgramConfig.read({"vocab_size": 61, "order": 0, "a new key": [1]}).write()["a new key"] == [1]


REFUSED = [
    ({"order": -1}, "order must be a whole number from 0, not -1"),
    ({"order": 2.0}, "order must be a whole number from 0, not 2.0"),
    ({"smoothing": "kneser-ney"}, "smoothing 'kneser-ney' is not known .did you mean 'kneser_ney'"),
    ({"add_k": 0.0}, "add_k must be a positive number, not 0.0"),
    ({"add_k": "1"}, "add_k must be a number, not '1'"),
    ({"skip": [9]}, "skip must be a list of token ids from 0 to 8"),
    ({"skip": 1}, "skip must be a list of token ids from 0 to 8, not 1"),
    ({"skip": list(range(9))}, "skip holds every token"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_what_cannot_be_built_is_refused(changes: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_config({"model_type": "ngram", "vocab_size": 9, **changes}, "run/config.json")


def test_what_is_saved_is_loaded(made: tuple[NGram, Tokenizer], tmp_path: Path) -> None:
    model, tokenizer = made
    save(model, tokenizer, tmp_path)
    other, _ = load(tmp_path)
    ids = torch.tensor([tokenizer.encode("marianne")])
    assert other.config == model.config
    assert torch.equal(other(ids), model(ids)) and torch.equal(other.score(ids), model.score(ids))
    for ours, theirs in zip(model.buffers(), other.buffers(), strict=True):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)
    fresh = build(model.config)
    save(fresh, tokenizer, tmp_path)  # one that has counted nothing
    assert torch.equal(load(tmp_path)[0](ids), fresh(ids))


def test_the_next_token_adds_up_and_names_are_written(made: tuple[NGram, Tokenizer]) -> None:
    model, tokenizer = made
    for prompt in ("", "ma", "xqz", "é"):
        known = next_distribution(model, tokenizer, prompt).double()
        assert abs(known.exp().sum().item() - 1) < 1e-6
        assert known.argmin() in (tokenizer.pad_id, tokenizer.bos_id)
    written = generate(model, tokenizer, [""] * 2, DecodeOptions(num_return_sequences=20, max_new_tokens=30, seed=1))
    assert all(one.finish_reason in ("stop", "length") and set(one.text) <= set(string.ascii_lowercase) for one in written)
    assert len({one.text for one in written}) > 10
    assert "".join(stream(model, tokenizer, "an", DecodeOptions(temperature=0, max_new_tokens=5)))


def test_a_prompt_alone_and_in_any_batch_gives_the_same_bits(made: tuple[NGram, Tokenizer]) -> None:
    model, tokenizer = made
    rng = random.Random(0)
    for _ in range(20):
        prompts = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(0, 12))) for _ in range(rng.randint(1, 6))]
        options = DecodeOptions(
            max_new_tokens=rng.randint(1, 12),
            temperature=rng.choice([0.7, 1.3]),
            top_k=rng.choice([0, 5]),
            top_p=rng.choice([1.0, 0.8]),
            num_return_sequences=rng.choice([1, 3]),
            seed=rng.randint(0, 1000),
        )
        together = generate(model, tokenizer, prompts, options)
        n = options.num_return_sequences or 1
        for i, prompt in enumerate(prompts):
            assert generate(model, tokenizer, [prompt], options) == together[i * n : (i + 1) * n]

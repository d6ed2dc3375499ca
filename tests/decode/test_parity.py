"""Greedy decoding writes what transformers writes, token for token, whatever is asked; trained models too, and with beams."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import harken
from harken.checkpoint.save import save
from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.families.table import build, config_class
from harken.nn.models import Model
from harken.text.tokenizer import Tokenizer

V, CONTEXT = 61, 48
NAMES = ["gpt2", "llama", "t5", "bart", "marian"]
MAYBE: dict[str, list[Any]] = {
    "repetition_penalty": [1.3, 0.8],
    "no_repeat_ngram_size": [1, 2, 3],
    "encoder_no_repeat_ngram_size": [2, 3],
    "bad_words": [("w7",), ("w7 w8", "w9"), ("w10 w10", "w11 w12 w13")],
    "suppress_tokens": [(4, 5), (20,)],
    "begin_suppress_tokens": [(6, 7)],
    "forced_eos_token_id": [(2,)],
    "forced_bos_token_id": [9],
    "guidance_scale": [1.5, 3.0],
    "eos_token_id": [(2, 14, 15)],
    "min_new_tokens": [3, 8],
    "min_length": [6, 14],
}
LIMITS: list[dict[str, int]] = [{"max_new_tokens": 12}, {"max_new_tokens": 1}, {"max_length": 17}, {"max_new_tokens": 20}]


@pytest.fixture(scope="module", params=NAMES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, words: Tokenizer, opened: Any) -> tuple[Model, Any]:
    """A model of ours that was never trained, and the same as transformers reads it."""
    config = config_class(request.param).sized(32, 2, 2, CONTEXT, V, 0.0)
    config.bos_token_id, config.eos_token_id, config.pad_token_id, config.initializer_range = 1, 2, 0, 0.3
    config.check()
    ours, folder = build(config, seed=3), tmp_path_factory.mktemp(request.param)
    save(ours, words, folder)
    return ours, opened(folder, ours.reads)


def some_options(rng: random.Random, reads: str) -> dict[str, Any]:
    """Any that go together."""
    asked: dict[str, Any] = dict(rng.choice(LIMITS))
    for name, values in MAYBE.items():
        wrong = {"text": "forced_bos_token_id", "source": "guidance_scale"}[reads]
        if rng.random() < 0.22 and name != wrong:
            asked[name] = rng.choice(values)
    for least, most in (("min_new_tokens", "max_new_tokens"), ("min_length", "max_length")):
        if asked.get(least, 0) > asked.get(most, 99):
            del asked[least]
    if "min_new_tokens" in asked:
        asked.pop("min_length", None)
    return asked


@pytest.mark.parametrize("part", range(3))
def test_what_is_written_is_what_transformers_writes(both: tuple[Model, Any], words: Tokenizer, theirs_of: Any, part: int) -> None:
    ours, peer = both
    for seed in range(25 * part, 25 * (part + 1)):
        rng = random.Random(seed)
        asked = some_options(rng, ours.reads)
        prompt = [rng.randint(4, V - 1) for _ in range(rng.randint(1, 10))]
        (found,) = generate(ours, words, [prompt], DecodeOptions(**asked))
        assert [list(found.ids)] == theirs_of(peer, prompt, asked)[0], asked


def test_trained_models_write_the_same(tmp_path: Path, opened: Any) -> None:
    text, pairs = tmp_path / "lines.txt", tmp_path / "pairs.tsv"
    rng = random.Random(0)
    lines = [" ".join(rng.choices(["ba", "be", "bo", "da", "de", "do"], k=rng.randint(2, 6))) for _ in range(300)]
    text.write_text("\n".join(lines))
    pairs.write_text("source\ttarget\n" + "".join(f"{line}\t{line[::-1]}\n" for line in lines))
    for name, data in (("gpt2", text), ("bart", pairs)):
        out = tmp_path / name
        harken.train(str(data), model=name, out=str(out), steps=60, width=32, layers=2, heads=2, dropout=0.0)
        model, tokenizer = harken.load(out)
        peer = opened(out, model.reads)
        model.generation = {}  # transformers is told what it is told
        peer.generation_config = transformers.GenerationConfig(
            bos_token_id=tokenizer.bos_id,
            eos_token_id=tokenizer.eos_id,
            decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None),
        )
        for beams in (1, 3):
            for line in lines[:10]:
                ids = tokenizer.encode(line, special=False)[:5] if model.reads == "text" else tokenizer.encode(line, special=False)
                asked = {"max_new_tokens": 12} | ({"num_beams": beams} if beams > 1 else {})
                want = peer.generate(torch.tensor([ids]), do_sample=False, pad_token_id=tokenizer.pad_id, **asked)[0]
                (one,) = generate(model, tokenizer, [ids], DecodeOptions(**asked))
                got = [*([model.config.decoder_start_token_id] if model.reads == "source" else ids), *one.ids]
                assert got == want[: len(got)].tolist() and set(want[len(got) :].tolist()) <= {tokenizer.pad_id}

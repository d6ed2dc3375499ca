"""What is written after a prompt depends on the prompt, the options and the seed: in every family, bit for bit.

Random models, prompts and options. An answer must be the same alone, in any batch, in any order, with a cache or without, whole or as
a stream, and whether or not the prompts share a beginning.
"""

from __future__ import annotations

import dataclasses
import random
import string

import pytest
import torch

from harken.decode.generate import generate, stream
from harken.decode.options import DecodeOptions
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.table import build
from harken.text.train import train_characters

BEGINNING = "the same beginning of all "


def prompts_of(rng: random.Random, most: int, least: int) -> list[str]:
    """Ragged, some of them alike; at times all begin with what is read once for all."""
    found = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(least, 20))) for _ in range(rng.randint(2, most))]
    if rng.random() < 0.2:
        found[-1] = found[0]
    return [BEGINNING.replace(" ", "") + text for text in found] if rng.random() < 0.3 else found


def one_case(model, tokenizer, rng: random.Random, asked: DecodeOptions, prompts: list) -> int:
    """Every way to the same answers; how many prompts were compared."""
    together, n = generate(model, tokenizer, prompts, asked), asked.num_return_sequences or 1
    alone = [generate(model, tokenizer, [prompt], asked) for prompt in prompts]
    assert together == [one for found in alone for one in found]
    order = rng.sample(range(len(prompts)), len(prompts))
    assert generate(model, tokenizer, [prompts[i] for i in order], asked) == [one for i in order for one in together[i * n : i * n + n]]
    other = dataclasses.replace(asked, use_cache=asked.use_cache is False)
    assert generate(model, tokenizer, prompts[:2], other) == together[: 2 * n]
    if n == 1 and (asked.num_beams or 1) == 1:
        whole, shown = together[0], together[0].prompt if model.reads == "text" else ""
        assert shown + "".join(stream(model, tokenizer, prompts[0], asked)) == whole.text
    return len(prompts)


def cases(made, any_options, kind: str, count: int, seed: int) -> None:
    model, tokenizer = made(kind, seed)
    rng, done = random.Random(f"{kind} {seed}"), 0
    while done < count:
        prompts = prompts_of(rng, 6, int(model.reads == "source"))
        done += one_case(model, tokenizer, rng, any_options(rng, model.reads), prompts)


def test_every_family(made, any_options, kind):
    cases(made, any_options, kind, 16, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_every_family_thousands_of_times(made, any_options, kind, seed):
    cases(made, any_options, kind, 60, seed)


@pytest.mark.serial
def test_every_family_on_two_threads(made, any_options, kind):
    assert torch.get_num_threads() == 2
    cases(made, any_options, kind, 8, 7)


def large(family):
    """50,000 tokens that are nearly as likely as each other."""
    tokenizer = train_characters(["".join(map(chr, range(0x10000, 0x10000 + 50_000)))])
    config = family.sized(36, 1, 3, 64, tokenizer.vocab_size, 0.0)
    config.eos_token_id = tokenizer.eos_id
    return build(config, seed=0), tokenizer


def near_ties(family, count: int) -> None:
    model, tokenizer = large(family)
    rng, draws = random.Random(0), [{}, {"do_sample": True}, {"top_p": 0.5}, {"top_k": 50, "num_return_sequences": 2}, {"typical_p": 0.4}]
    draws += [{"min_p": 0.7}, {"eta_cutoff": 1e-4}, {"repetition_penalty": 1.1, "no_repeat_ngram_size": 2}]
    for i in range(count):
        prompts = [rng.choices(range(5, tokenizer.vocab_size), k=rng.randint(1, 30)) for _ in range(rng.randint(2, 7))]
        one_case(model, tokenizer, rng, DecodeOptions(max_new_tokens=rng.randint(2, 12), seed=i, **draws[i % len(draws)]), prompts)


@pytest.mark.parametrize("family", [GPT2Config, LlamaConfig])
def test_fifty_thousand_tokens_that_are_nearly_as_likely(family):
    near_ties(family, 8)


@pytest.mark.serial
@pytest.mark.parametrize("family", [GPT2Config, LlamaConfig])
def test_fifty_thousand_tokens_on_two_threads(family):
    near_ties(family, 4)

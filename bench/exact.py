"""What the same bits in every batch cost, and what giving them up costs: `python bench/exact.py` (`--model FOLDER` for the second part).

First tokens/s of greedy decoding in float32, GPT-2's shape (124 million parameters) and random weights: exact, `exact=False`, and
transformers' generate, which prompts of one length suit best. Then, in bfloat16, which is not exact, how many prompts of different
length are answered with other tokens in batches of 8 than alone; `exact=False` in float32 beside it.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from typing import Any

import torch
import transformers
from timing import medians

import harken
from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.families.gpt2 import GPT2Config
from harken.families.table import build
from harken.nn.models import Model
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_characters

VOCABULARY = 50_257


def made(width: int, layers: int, heads: int) -> tuple[Model, Tokenizer]:
    """A GPT-2 with fresh weights, and as many characters as it has rows; it has no end."""
    tokenizer = train_characters(["".join(map(chr, range(0x10000, 0x10000 + VOCABULARY - 4)))])
    config = GPT2Config(vocab_size=tokenizer.vocab_size, n_embd=width, n_layer=layers, n_head=heads, eos_token_id=None, bos_token_id=None)
    return build(config, seed=0), tokenizer


def speed(new: int, rounds: int) -> None:
    """Tokens/s, alone and 8 together, after 32 tokens."""
    exact, tokenizer = made(768, 12, 12)
    fast, _ = made(768, 12, 12)
    with tempfile.TemporaryDirectory() as folder:
        harken.save(exact, tokenizer, folder)
        peer: Any = transformers.GPT2LMHeadModel.from_pretrained(folder)
    asked = {"max_new_tokens": new, "min_new_tokens": new}
    for rows in (1, 8):
        rng = random.Random(0)
        prompts = [rng.choices(range(4, VOCABULARY), k=32) for _ in range(rows)]
        ids = torch.tensor(prompts)

        def theirs(ids=ids) -> Any:
            with torch.no_grad():
                return peer.generate(ids, **asked, do_sample=False, attention_mask=torch.ones_like(ids), pad_token_id=0)

        def ours(prompts=prompts) -> Any:
            return generate(exact, tokenizer, prompts, DecodeOptions(**asked))

        def loose(prompts=prompts) -> Any:
            return generate(fast, tokenizer, prompts, DecodeOptions(**asked, exact=False))

        found = medians({"exact": ours, "exact=False": loose, "transformers": theirs}, rounds=rounds)
        same = [list(one.ids) for one in ours()] == theirs()[:, 32:].tolist()
        each = "   ".join(f"{name} {rows * new / seconds:7.1f}" for name, seconds in found.items())
        ratios = "   ".join(f"{found[name] / found['exact']:.2f} times {name}" for name in ("exact=False", "transformers"))
        print(f"{rows} rows, tokens/s: {each}   exact is {ratios}   same tokens: {same}", flush=True)


def mismatches(folder: str, dtype: str, exact: bool, prompts: int, new: int) -> None:
    """Prompts and tokens that differ between batches of 8 and the prompts alone."""
    model, tokenizer = harken.load(folder, dtype=dtype)
    asked, rng = DecodeOptions(max_new_tokens=new, exact=exact), random.Random(0)
    given = [rng.choices(range(4, tokenizer.vocab_size), k=rng.randint(4, 24)) for _ in range(prompts)]
    together = [one for at in range(0, prompts, 8) for one in generate(model, tokenizer, given[at : at + 8], asked)]
    alone = [generate(model, tokenizer, [prompt], asked)[0] for prompt in given]
    texts = sum(a.ids != b.ids for a, b in zip(alone, together, strict=True))
    bits = sum(a.logprobs != b.logprobs for a, b in zip(alone, together, strict=True))
    name = dtype if exact else f"{dtype}, exact=False"
    print(f"{name}: other tokens in {texts} of {prompts} answers of {new}, other log-probabilities in {bits}", flush=True)


def main() -> None:
    """Both parts, with the load of the machine before and after."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", help="a trained model for the second part (default: 4 layers of width 384 with random weights)")
    parser.add_argument("--new", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--only", choices=["speed", "mismatches"])
    asked = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} threads", flush=True)
    if asked.only != "mismatches":
        speed(asked.new, asked.rounds)
    if asked.only != "speed":
        with tempfile.TemporaryDirectory() as folder:
            if asked.model is None:
                harken.save(*made(384, 4, 6), folder)
            for dtype, exact in (("float32", True), ("float32", False), ("bfloat16", True)):
                mismatches(asked.model or folder, dtype, exact, asked.prompts, 32)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

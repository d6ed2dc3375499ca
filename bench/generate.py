"""Greedy decoding of one small GPT-2, against transformers' generate with the same weights: `python bench/generate.py`."""

from __future__ import annotations

import tempfile
import time

import torch
import transformers

from harken.checkpoint.save import save
from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.families.gpt2 import GPT2Config
from harken.families.table import build
from harken.text.train import train_characters

NEW = 200


def main() -> None:
    """0.8 million parameters (4 layers, width 128, 65 characters), 200 new tokens, alone and 16 together."""
    alphabet = "".join(map(chr, range(32, 93)))
    tokenizer = train_characters([alphabet])
    model = build(
        GPT2Config(vocab_size=tokenizer.vocab_size, n_positions=256, n_embd=128, n_layer=4, n_head=4, initializer_range=0.1), seed=0
    )
    with tempfile.TemporaryDirectory() as folder:
        save(model, tokenizer, folder)
        peer = transformers.GPT2LMHeadModel.from_pretrained(folder)
    peer.generation_config.pad_token_id = tokenizer.pad_id
    for rows in (1, 16):
        prompts = ["ABCDEFGH"] * rows
        ids = torch.tensor([tokenizer.encode(p) for p in prompts])
        options = DecodeOptions(max_new_tokens=NEW, min_new_tokens=NEW, suppress_tokens=tuple(tokenizer.silent_ids))
        settings = {
            "max_new_tokens": NEW,
            "min_new_tokens": NEW,
            "do_sample": False,
            "suppress_tokens": tokenizer.silent_ids,
            "attention_mask": torch.ones_like(ids),
        }
        ours, theirs = [], []
        for _ in range(7):
            start = time.perf_counter()
            found = generate(model, tokenizer, prompts, options)
            ours.append(rows * NEW / (time.perf_counter() - start))
            start = time.perf_counter()
            with torch.no_grad():
                wanted = peer.generate(ids, **settings)
            theirs.append(rows * NEW / (time.perf_counter() - start))
        same = list(found[0].ids) == wanted[0, ids.shape[1] :].tolist()
        a, b = sorted(ours)[3], sorted(theirs)[3]
        print(f"{rows:2d} rows: ours {a:8.0f} tokens/s   transformers {b:8.0f} tokens/s   ratio {a / b:5.2f}   same tokens: {same}")


if __name__ == "__main__":
    main()

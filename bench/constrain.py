"""What a constraint costs a token, beside the same model without one; how far masking is from conditioning: `python bench/constrain.py`.

GPT-2's shape (124 million parameters, random weights) and 50,000 tokens, learned from made-up words; the likeliest token, and drawn.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import statistics
import time

import numpy as np

from harken.decode.constrain.constraint import constraint
from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.families.gpt2 import GPT2Config
from harken.families.table import build
from harken.text.train import train_bpe

NEW, ROUNDS = 64, 3
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 60},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
        "friend": {"$ref": "#"},
    },
    "required": ["name", "age", "tags"],
}
CONSTRAINTS = {
    "json_schema": {"json_schema": PERSON},
    "regex": {"regex": r"(\w+ ){80,}x"},
    "choice": {"choice": [f"{n} bottles" * 9 for n in range(99)]},
}


def words(count: int) -> str:
    """Text to learn tokens from."""
    rng = random.Random(0)
    return " ".join("".join(rng.choices("etaoinshrdlucmfw", k=rng.randint(2, 9))) for _ in range(count))


def overhead() -> None:
    """Seconds of all processors a token, in turn with and without, so that what else the machine does counts less."""
    tokenizer = train_bpe([words(60_000)], 50_000)
    model = build(GPT2Config(vocab_size=tokenizer.vocab_size, initializer_range=0.1, eos_token_id=tokenizer.eos_id), seed=0)
    began = time.perf_counter()
    constraint(DecodeOptions(regex="a"), tokenizer, tokenizer.vocab_size, (tokenizer.eos_id,))
    print(f"the vocabulary made ready, once for a tokenizer: {time.perf_counter() - began:.2f} s")
    free = DecodeOptions(max_new_tokens=NEW, suppress_tokens=(tokenizer.eos_id,))
    for rows, way in ((1, {}), (1, {"do_sample": True}), (8, {"do_sample": True})):
        asked = {"none": free, **{name: DecodeOptions(max_new_tokens=NEW, **given) for name, given in CONSTRAINTS.items()}}
        seen: dict[str, list[float]] = {name: [] for name in asked}
        for turn in range(ROUNDS + 1):
            for name, options in asked.items():
                given = DecodeOptions(**{**options.given, **way, "seed": turn})
                if name == "regex":  # its shortest text is longer than the budget of the others
                    given = DecodeOptions(**{**given.given, "regex": r"(\w+ ){9,}x"})
                began = time.process_time()
                found = generate(model, tokenizer, [f"etao {n}" for n in range(rows)], given)
                seen[name].append((time.process_time() - began) / max(len(one.ids) for one in found))
        middle = {name: statistics.median(times[1:]) for name, times in seen.items()}
        line = "   ".join(f"{name} {1e3 * took:6.2f} ms ({took / middle['none'] - 1:+.1%})" for name, took in middle.items())
        print(f"{rows} rows, {'drawn' if way else 'likeliest'}: a step takes {line}   load {os.getloadavg()[0]:.1f}", flush=True)


def alone(count: int = 400) -> None:
    """The guard's own time a token, without a model."""
    tokenizer = train_bpe([words(60_000)], 50_000)
    for name, given in CONSTRAINTS.items():
        held = constraint(DecodeOptions(**given), tokenizer, tokenizer.vocab_size, (tokenizer.eos_id,))
        assert held is not None
        rng, spent, written = random.Random(0), 0.0, 0
        while written < count:
            guard = held.guard([9], 256, None)
            for left in range(256, 0, -1):
                began = time.perf_counter()
                mask = guard.mask()
                spent, ids = spent + time.perf_counter() - began, np.flatnonzero(mask)
                began = time.perf_counter()
                token = guard.settle(int(rng.choice(ids)), left)
                guard.push(token)
                spent, written = spent + time.perf_counter() - began, written + 1
                if token == tokenizer.eos_id or guard.done:
                    break
        print(f"{name}: {1e6 * spent / written:.0f} µs a token for mask, ending and advance")


def distortion(tables: int = 500) -> None:
    """Random bigram models over three letters: texts of a regex under the masked model, and under the model given that the text matches."""
    rng = np.random.default_rng(0)
    pattern = "[ab]{1,2}c?|ca|bcb?"
    texts = ["".join(t) for n in range(1, 4) for t in itertools.product("abc", repeat=n) if re.fullmatch(pattern, "".join(t))]
    apart, same, lost = [], 0, []
    for _ in range(tables):
        weights = rng.normal(scale=1.5, size=(4, 4))  # a, b, c, the end; from the start as from the end
        chances = np.exp(weights) / np.exp(weights).sum(-1, keepdims=True)
        masked, true = {}, {}
        for text in texts:
            last, p, q = 3, 1.0, 1.0
            for n in range(len(text) + 1):
                token = "abc".index(text[n]) if n < len(text) else 3
                legal = {"abc".index(one[n]) if len(one) > n else 3 for one in texts if one.startswith(text[:n])}
                p, q, last = p * chances[last, token] / chances[last, list(legal)].sum(), q * chances[last, token], token
            masked[text], true[text] = p, q
        total = sum(true.values())
        apart.append(sum(abs(masked[text] - true[text] / total) for text in texts) / 2)
        text, last = "", 3
        while True:
            legal = sorted({"abc".index(one[len(text)]) if len(one) > len(text) else 3 for one in texts if one.startswith(text)})
            last = max(legal, key=lambda token, last=last: chances[last, token])
            if last == 3:
                break
            text += "abc"[last]
        best = max(true, key=true.__getitem__)
        same, lost = same + (text == best), [*lost, true[text] / true[best]]
    far, worst, kept = np.mean(apart), np.quantile(apart, 0.9), np.mean(lost)
    print(f"masked against conditioned, {tables} bigram models: total variation {far:.2f} on average, {worst:.2f} in one of ten;")
    print(f"the masked greedy text is the likeliest legal one in {same / tables:.0%}, and has {kept:.0%} of its probability on average")


if __name__ == "__main__":
    distortion()
    alone()
    overhead()

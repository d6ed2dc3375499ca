"""Guessing ahead, as ratios against the same model without it: `python bench/speculate.py [--minutes 3]`.

An editing task: a line names two words and a sentence, and the answer is the sentence with one word for the other: guessed from the
prompt. And text of the domain: an n-gram model of the same text guesses for a Transformer. Both learn here first, in runs/bench.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import harken

HOME = Path("runs/bench")
WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("", "n", "r")]


def edits(count: int, seed: int) -> list[str]:
    """Lines of the editing task."""
    chance, lines = random.Random(seed), []
    for _ in range(count):
        text = chance.sample(WORDS, chance.randint(16, 28))
        old, new = chance.choice(text), chance.choice(WORDS)
        lines.append(" ".join([old, new, ":", *text, "=", *(new if word == old else word for word in text)]))
    return lines


def trained(name: str, data: Path, **options) -> str:
    """The folder of a run, learned once."""
    if not (HOME / name / "harken.json").is_file() or '"done"' not in (HOME / name / "harken.json").read_text():
        harken.train(str(data), out=str(HOME / name), overwrite=True, **options)
    return str(HOME / name)


def compare(what: str, run: str, prompts: list[str], guess: dict, **asked) -> None:
    """Tokens a second, plain and guessed, in turn; one prompt at a time."""
    loaded = harken.load(run)
    rates: dict[str, list[float]] = {"plain": [], "guessed": [], "auto": []}
    auto = guess | {"speculate": "auto"}
    same = True
    for prompt in [prompts[0], *prompts]:  # the first of all warms up
        texts = []
        for how, extra in (("plain", {}), ("guessed", guess), ("auto", auto)):
            began = time.perf_counter()
            (one,) = harken.generate(*loaded, prompt, **asked, **extra)
            rates[how].append(len(one.ids) / (time.perf_counter() - began))
            texts.append((one.ids, one.logprobs))
        same = same and texts[0] == texts[1] == texts[2]
    middle = {how: sorted(found[1:])[len(found[1:]) // 2] for how, found in rates.items()}
    ratios = "   ".join(f"{how} {middle[how]:7.0f} tokens/s ({middle[how] / middle['plain']:.2f} ×)" for how in middle)
    print(f"{what:34} {ratios}   same tokens and probabilities: {same}", flush=True)


def main() -> None:
    """Learn, then measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=3, help="that each Transformer learns")
    parser.add_argument("--text", type=Path, help="text of a domain (default: the names that ship with harken)")
    asked = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    lines = HOME / "edits.txt"
    lines.write_text("\n".join(edits(60_000, 0)))
    run = trained("edits", lines, model="llama", tokenizer="word", width=128, layers=4, heads=4, minutes=asked.minutes)
    tests = [line.partition(" =")[0] + " =" for line in edits(20, 1)]
    compare("editing, from the prompt", run, tests, {"speculate": "lookup"}, max_new_tokens=60)
    if asked.text is not None:
        settings = {"tokenizer": "bpe", "vocab_size": 2048}
        size = {"width": 320, "layers": 6, "heads": 5, "context": 192, "batch_size": 6}
        big = trained("text", asked.text, model="llama", minutes=asked.minutes, **size, **settings)
        small = trained("ngram", asked.text, model="ngram", order=6, **settings)
        text = asked.text.read_text("utf-8")
        prompts = [text[at : at + 200].partition(" ")[2].rpartition(" ")[0] for at in range(0, len(text), len(text) // 20)]
        draft = {"assistant_model": harken.load(small)}
        compare("the domain's text, from itself", big, prompts, {"speculate": "lookup"}, max_new_tokens=100)
        compare("the domain's text, n-grams, greedy", big, prompts, draft, max_new_tokens=100)
        compare("the same, drawn at 0.7", big, prompts, draft, max_new_tokens=100, temperature=0.7)


if __name__ == "__main__":
    main()

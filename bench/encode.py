"""Vectors of 256 texts of mixed lengths by BERT-base, beside transformers' pipeline and sentence-transformers: `python bench/encode.py`.

Lengths are spread from 8 to 256 tokens with many short ones, as texts are. A vector a text (the mean of its tokens'), in float32.
transformers as its pipeline comes (a vector a token, as lists), and at its best (sorted, in batches, tensors); sentence-transformers, which
sorts by itself. Ours too as a vector a token.
"""

from __future__ import annotations

import random

from beside import MINE, Limits, Side, options, ratio, report, table, turns
from shapes import SHAPES, SPECIAL, checkpoint, letter


def texts(count: int, longest: int, vocabulary: int) -> list[str]:
    """Of 8 tokens to `longest`, the logarithm of the length evenly spread."""
    rng = random.Random(0)
    sizes = [round(8 * (longest / 8) ** rng.random()) for _ in range(count)]
    return ["".join(letter(rng.randrange(SPECIAL, vocabulary)) for _ in range(size)) for size in sizes]


def main() -> None:
    """All sides at once, in turns."""
    asked = options(__doc__ or "")
    model = "bert" if asked.tiny else "bert-base"
    folder, vocabulary = str(checkpoint(model)), SHAPES["bert-base"]["vocab_size"] if not asked.tiny else 600
    some = texts(16 if asked.tiny else 64 if asked.quick else 256, 48 if asked.tiny else 256, vocabulary)
    setting = {"what": "encode", "folder": folder, "dtype": "float32", "threads": asked.threads}
    everyone = [
        Side(MINE, "harken", {**setting, "pooling": "mean"}),
        Side(f"{MINE}, a vector a token", "harken", {**setting, "pooling": None}),
        Side("transformers pipeline", "transformers", {**setting, "best": False}),
        Side("transformers, sorted batches", "transformers", {**setting, "best": True}),
        Side("sentence-transformers", "sentence-transformers", setting),
    ]
    limits = Limits(asked.threads, 0.01 if asked.tiny else 1.25)
    for side in everyone:
        side.start()
    limits.ask()
    found = turns(everyone, {"texts": some}, asked.rounds)
    limits.ask()
    tokens = sum(map(len, some))
    rows = []
    for side in everyone:
        if side.name in found:
            seconds, first = found[side.name], side.facts.get("first")
            near = "" if first is None else f"{max(abs(a - b) for a, b in zip(first, everyone[0].facts['first'], strict=True)):.0e}"
            rows.append([side.name, f"{seconds:.2f} s", f"{tokens / seconds:,.0f}", ratio(seconds, found.get(MINE)), near])
        side.stop()
    limits.side.stop()
    lines = [
        f"{len(some)} texts of 8 to {max(map(len, some))} tokens, {tokens:,} in all, float32; how many times as fast {MINE} is, and how "
        "far the first numbers of the first vector are from its.",
        table(["", "all texts", "tokens/s", f"{MINE} beside it", "apart"], rows),
        limits.said(),
    ]
    report("encode", "Reading many texts", lines, asked, ("transformers", "sentence-transformers"))


if __name__ == "__main__":
    main()

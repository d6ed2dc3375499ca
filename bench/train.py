"""Training steps of GPT-2 (124M), 8 rows of 512 tokens, in bfloat16, beside transformers' Trainer and plain torch: `python bench/train.py`.

AdamW, no dropout, one step of each in turn. Memory: the most a process held in its steps, above what it held before there was a model,
above parameters, gradients and the optimizer's two averages (16 bytes a parameter), and above the files it maps.
"""

from __future__ import annotations

import random

from beside import MINE, Limits, Side, options, ratio, report, table
from shapes import ROOT, SHAPES, SPECIAL, checkpoint, letter

ACCELERATE = "sentence-transformers"
"""The environment that has it: Trainer does not work without."""


def text(vocabulary: int, tokens: int) -> str:
    """A file of random tokens, the same every time."""
    path = ROOT / f"train-{vocabulary}.txt"
    if not path.is_file():
        rng = random.Random(0)
        ROOT.mkdir(exist_ok=True)
        path.write_text("".join(letter(rng.randrange(SPECIAL, vocabulary)) for _ in range(tokens)), "utf-8")
    return str(path)


def main() -> None:
    """All sides at once, a step of each in turn."""
    asked = options(__doc__ or "")
    model, rows, tokens = ("gpt2", 2, 32) if asked.tiny else ("gpt2-124m", 8, 512)
    vocabulary = 600 if asked.tiny else SHAPES[model]["vocab_size"]
    folder = str(checkpoint(model))
    setting = {"folder": folder, "text": text(vocabulary, 200_000), "rows": rows, "tokens": tokens, "threads": asked.threads}
    everyone = [
        Side(MINE, "harken", {"what": "train", **setting}),
        Side("Trainer, bf16", "transformers", {"what": "trainer", **setting}, ACCELERATE),
        Side("plain torch, autocast", "transformers", {"what": "plain", **setting}, ACCELERATE),
    ]
    limits = Limits(asked.threads, 0.01)
    for side in everyone:
        side.start()
    limits.ask()
    seen: dict[str, list[float]] = {side.name: [] for side in everyone}
    for turn in range(asked.rounds + 1):  # the first step makes the optimizer's averages
        for side in everyone:
            if turn == 1:
                side.reset()
            seconds = side.run({})
            if turn and seconds is not None:
                seen[side.name].append(side.facts["tokens"] / seconds)
    limits.ask()
    found, above = {}, {}
    for side in everyone:
        if side.why is None and seen[side.name]:
            found[side.name] = sorted(seen[side.name])[len(seen[side.name]) // 2]
            facts = side.facts
            above[side.name] = (side.peak() or 0) - (side.files() or 0) - facts["before"] - 16 * facts["parameters"]
        side.stop()
    limits.side.stop()
    lines_of = [
        [
            name,
            f"{rate:,.0f}",
            ratio(found.get(MINE), rate),
            f"{above[name] / 2**20:,.0f} MiB",
            "" if MINE not in above or above[name] <= 0 else f"{above[MINE] / above[name]:.2f}",
        ]
        for name, rate in found.items()
    ]
    lines = [
        f"{rows} rows of {tokens} tokens a step, AdamW. Memory at the peak is above parameters, gradients and the optimizer's state.",
        table(["", "tokens/s", f"{MINE} beside it", "memory", f"{MINE}'s as a share"], lines_of),
        limits.said(),
    ]
    report("train", "Training", lines, asked, ("transformers",))


if __name__ == "__main__":
    main()

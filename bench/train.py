"""Training steps of GPT-2 (124M) and of a Marian as small as a first translator, in bfloat16, beside transformers' Trainer and plain torch:
`python bench/train.py`.

AdamW, no dropout, one step of each in turn. Memory: the most a process held in its steps, above what it held before there was a model,
above parameters, gradients and the optimizer's two averages (16 bytes a parameter), and above the files it maps.
"""

from __future__ import annotations

import random
from typing import Any

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


WORK = {"gpt2-124m": (8, 512), "marian-small": (256, 28)}
"""Model → rows of a step, and the tokens of each; of pairs the most that a side has, from 4 on."""
SMALL = {"gpt2": (2, 32), "marian": (8, 12)}


def measured(asked: Any, model: str, rows: int, tokens: int, limits: Limits) -> tuple[dict[str, float], dict[str, float]]:
    """Tokens a second of each side, and the bytes it held above what it must."""
    vocabulary = SHAPES[model]["vocab_size"] if model in SHAPES else 600
    folder = str(checkpoint(model))
    setting = {"folder": folder, "text": text(vocabulary, 200_000), "rows": rows, "tokens": tokens, "threads": asked.threads}
    everyone = [
        Side(MINE, "harken", {"what": "train", **setting}),
        Side("Trainer, bf16", "transformers", {"what": "trainer", **setting}, ACCELERATE),
        Side("plain torch, autocast", "transformers", {"what": "plain", **setting}, ACCELERATE),
    ]
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
    return found, above


def main() -> None:
    """All sides at once, a step of each in turn; one model after the other."""
    asked = options(__doc__ or "")
    limits, lines_of = Limits(asked.threads, 0.01), []
    for model, (rows, tokens) in (SMALL if asked.tiny else WORK).items():
        found, above = measured(asked, model, rows, tokens, limits)
        lines_of += [
            [
                model,
                name,
                f"{rate:,.0f}",
                ratio(found.get(MINE), rate),
                f"{above[name] / 2**20:,.0f} MiB",
                "" if MINE not in above or above[name] <= 0 else f"{above[MINE] / above[name]:.2f}",
            ]
            for name, rate in found.items()
        ]
    limits.side.stop()
    lines = [
        "8 rows of 512 tokens a step, and 256 pairs of 4 to 28 tokens on either side (of which those of the target are counted), AdamW. "
        "Memory at the peak is above parameters, gradients and the optimizer's state.",
        table(["", "", "tokens/s", f"{MINE} beside it", "memory", f"{MINE}'s as a share"], lines_of),
        limits.said(),
    ]
    report("train", "Training", lines, asked, ("transformers",))


if __name__ == "__main__":
    main()

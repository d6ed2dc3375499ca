"""Why attention was invented: reverse a sequence of digits, once with the bare context vector and once with additive attention.

`python recipes/reverse.py --out runs/reverse` trains both on lengths up to 12 for the same number of steps and measures whole answers by
length, up to 24. It leaves two pictures: reverse-lengths.svg, how many are right, and reverse-alignment.svg, where the attending model
looked. `--tiny` takes seconds and shows nothing but that it runs.

Sutskever et al. 2014, https://arxiv.org/abs/1409.3215 · Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import harken
from harken.draw.chart import line_chart

LONGEST, BEYOND = 12, 24


def digits(rng: random.Random, length: int) -> str:
    """A random sequence."""
    return "".join(rng.choices("0123456789", k=length))


def main() -> None:
    """Train, measure, draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/reverse"))
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    rng = random.Random(0)
    asked.out.mkdir(parents=True, exist_ok=True)
    data = asked.out / "pairs.tsv"
    sources = [digits(rng, rng.randint(1, LONGEST)) for _ in range(300 if asked.tiny else 20_000)]
    data.write_text("source\ttarget\n" + "".join(f"{text}\t{text[::-1]}\n" for text in sources), "utf-8")
    lengths = range(2, 5) if asked.tiny else range(2, BEYOND + 1, 2)
    tests = {length: [digits(rng, length) for _ in range(3 if asked.tiny else 100)] for length in lengths}
    right: dict[str, list[tuple[float, float]]] = {}
    for name, attention in (("additive attention", "additive"), ("bare context vector", "none")):
        size = {"width": 16, "steps": 5} if asked.tiny else {"width": 128, "steps": asked.steps}
        run = asked.out / attention
        harken.train(str(data), model="seq2seq", attention=attention, cell="lstm", layers=1, out=str(run), overwrite=True, **size)
        right[name] = []
        for length, texts in tests.items():
            found = harken.generate(run, texts, temperature=0, max_new_tokens=BEYOND + 2)
            share = sum(one.text == text[::-1] for one, text in zip(found, texts, strict=True)) / len(texts)
            right[name].append((length, share))
            print(json.dumps({"model": name, "length": length, "right": share}))
    title = f"Reversed without a mistake (trained on up to {LONGEST} digits)"
    line_chart(asked.out / "reverse-lengths.svg", right, title=title, x="digits", y="share of answers")
    text = "31415926535897932384"[: 4 if asked.tiny else LONGEST]
    harken.look(asked.out / "additive", text, target=text[::-1], out=str(asked.out / "reverse-alignment.svg"))


if __name__ == "__main__":
    main()

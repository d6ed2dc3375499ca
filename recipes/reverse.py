"""Why attention was invented: write a sequence of letters backwards, with the bare context vector and with two kinds of attention.

`python recipes/reverse.py --out runs/reverse` trains all three on sequences of up to 20 letters, for the same number of steps, and asks
each for as many letters as there were, up to 30. It leaves two pictures: reverse-lengths.svg, how many letters are right, and
reverse-alignment.svg, where additive attention looked. `--tiny` takes seconds and shows nothing but that it runs.

Sutskever et al. 2014, https://arxiv.org/abs/1409.3215 · Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473
Luong et al. 2015, https://arxiv.org/abs/1508.04025
"""

from __future__ import annotations

import argparse
import json
import random
import string
from pathlib import Path

import harken
from harken.draw.chart import line_chart

LONGEST, BEYOND = 20, 30
KINDS = {"additive attention": "additive", "multiplicative attention": "general", "bare context vector": "none"}


def letters(rng: random.Random, length: int) -> str:
    """A random sequence."""
    return "".join(rng.choices(string.ascii_lowercase, k=length))


def right(texts: list[str], answers: list[str]) -> float:
    """The share of letters that stand where they should."""
    found = sum(a == b for text, answer in zip(texts, answers, strict=True) for a, b in zip(text[::-1], answer, strict=False))
    return found / sum(map(len, texts))


def main() -> None:
    """Train, measure, draw."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/reverse"))
    parser.add_argument("--steps", type=int, default=2_500)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    rng = random.Random(0)
    asked.out.mkdir(parents=True, exist_ok=True)
    data = asked.out / "pairs.tsv"
    sources = [letters(rng, rng.randint(1, LONGEST)) for _ in range(300 if asked.tiny else 20_000)]
    data.write_text("source\ttarget\n" + "".join(f"{text}\t{text[::-1]}\n" for text in sources), "utf-8")
    lengths = range(2, 7, 2) if asked.tiny else range(2, BEYOND + 1, 2)
    tests = {length: [letters(rng, length) for _ in range(3 if asked.tiny else 100)] for length in lengths}
    size = {"width": 16, "steps": 5} if asked.tiny else {"width": 64, "steps": asked.steps}
    series: dict[str, list[tuple[float, float]]] = {}
    for name, attention in KINDS.items():
        run = asked.out / attention
        harken.train(str(data), model="seq2seq", attention=attention, cell="lstm", layers=1, out=str(run), overwrite=True, **size)
        series[name] = []
        for length, texts in tests.items():
            found = harken.generate(run, texts, temperature=0, min_new_tokens=length, max_new_tokens=length)
            share = right(texts, [one.text for one in found])
            series[name].append((length, share))
            print(json.dumps({"model": name, "length": length, "right": round(share, 4)}), flush=True)
    title = f"Letters written backwards (trained on up to {LONGEST})"
    line_chart(asked.out / "reverse-lengths.svg", series, title=title, x="letters", y="share that is right")
    text = "thequickbrownfoxjump"[: 4 if asked.tiny else LONGEST]
    harken.look(asked.out / "additive", text, target=text[::-1], out=str(asked.out / "reverse-alignment.svg"))


if __name__ == "__main__":
    main()

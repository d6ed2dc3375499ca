"""Numbers written backwards, longer than any that was learned from: JoeyNMT's task.

50,000 lists of up to 25 numbers from 0 to 49 to learn from, 1,000 of up to 30 to validate on and 1,000 to test on, each drawn by seed;
every model learns for ten minutes. JoeyNMT's tutorial (https://github.com/joeynmt/joeynmt) has 95.1 BLEU on its test with a recurrent
model and attention, greedily. Told are the exact matches within the lengths that were learned, at 26 to 30, and BLEU of all.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import harken
from harken.draw.chart import line_chart
from harken.measure.metrics.translation import Bleu
from harken.results.lab import Lab

from .multi30k import bleu

LEARNED, TESTED, NUMBERS = 25, 30, 50
MODELS: dict[str, dict[str, Any]] = {
    "LSTM, bare context vector": {"model": "seq2seq", "attention": "none", "width": 128, "layers": 1},
    "LSTM, additive attention": {"model": "seq2seq", "attention": "additive", "width": 128, "layers": 1},
    "LSTM, general attention": {"model": "seq2seq", "attention": "general", "input_feeding": True, "width": 128, "layers": 1},
    "Transformer, waves": {"model": "transformer", "width": 128, "layers": 3, "heads": 4},
    "T5, relative positions": {"model": "t5", "task": "text2text", "width": 128, "layers": 3, "heads": 4},
}
BEYOND = f"{LEARNED + 1} to {TESTED}"


def lists(count: int, longest: int, seed: int) -> list[list[str]]:
    """Random numbers as words."""
    rng = random.Random(seed)
    return [[str(rng.randrange(NUMBERS)) for _ in range(rng.randint(1, longest))] for _ in range(count)]


def write(path: Path, rows: list[list[str]]) -> None:
    """Pairs, as a table."""
    lines = (f"{' '.join(row)}\t{' '.join(reversed(row))}\n" for row in rows)
    path.write_text("source\ttarget\n" + "".join(lines), "utf-8")


def answers(run: Path, rows: list[list[str]]) -> dict[str, Any]:
    """Exact matches by length, and BLEU, of what a run writes greedily."""
    writer = harken.pipeline("text2text-generation", str(run), max_new_tokens=TESTED + 5)
    found = [each["generated_text"].split() for each in writer([" ".join(row) for row in rows])]
    right = [answer == row[::-1] for answer, row in zip(found, rows, strict=True)]
    lengths = {n: [ok for ok, row in zip(right, rows, strict=True) if len(row) == n] for n in range(1, TESTED + 1)}

    def share(first: int, last: int) -> float | None:
        some = [ok for n in range(first, last + 1) for ok in lengths[n]]
        return 100 * sum(some) / len(some) if some else None

    joined = [" ".join(answer) for answer in found], [" ".join(row[::-1]) for row in rows]
    return {
        "within": share(1, LEARNED),
        "beyond": share(LEARNED + 1, TESTED),
        "by_length": {n: share(n, n) for n in lengths if lengths[n]},
        "bleu": bleu(*joined, Bleu(tokenize="none")),
    }


def steps(lab: Lab) -> None:
    """Draw the lists, train every model, let it answer."""
    counts = (60, 20, 20) if lab.tiny else (50_000, 1_000, 1_000)
    files = {part: lab.file(f"{part}.tsv") for part in ("train", "valid", "test")}
    lengths = {"train": LEARNED, "valid": TESTED, "test": TESTED}
    sides = {part: lists(count, lengths[part], seed) for seed, (part, count) in enumerate(zip(files, counts, strict=True))}
    for part, path in files.items():
        if not path.is_file():
            write(path, sides[part])
    series: dict[str, list[tuple[float, float]]] = {}
    for name, options in MODELS.items():
        run = name.lower().replace(", ", "-").replace(" ", "-")
        trained = lab.train(run, files["train"], valid=str(files["valid"]), tokenizer="word", context=TESTED + 2, overflow="drop",
                            average=0.999, batch_size=128, minutes=10.0, **options)  # fmt: skip
        found = lab.step(f"{run}-answers", lambda run=run: answers(lab.run(run), sides["test"]))
        recurrent = "attention" in name
        goal = {"least": 99.0} if recurrent or "T5" in name else {}
        lab.found(f"{name}: exact, 1 to {LEARNED}, %", found["within"], minutes=lab.minutes(trained), **goal)
        lab.found(f"{name}: exact, {BEYOND}, %", found["beyond"], beside="100 is the goal" if "T5" in name else "")
        score, least = found["bleu"], {"least": 95.1} if name == "LSTM, additive attention" else {}
        beside = "95.1 (JoeyNMT, recurrent with attention)" if recurrent else ""
        lab.found(f"{name}: BLEU", score["value"], low=score["low"], high=score["high"], beside=beside, **least)
        series[name] = [(int(n), share) for n, share in found["by_length"].items()]
    title = f"Written backwards without a fault (learned: up to {LEARNED})"
    line_chart(lab.picture("lengths.svg"), series, title=title, x="numbers in a list", y="% of the lists of a length")

"""Reading books first pays in writing poems: bits per byte of poems that were never seen, from a little and from much.

16,041 poems to learn from (or 1 or 10 % of them, drawn by seed), 500 to validate on, 500 of test. The decoder of `pretraining` goes on
with the poems for 15 minutes; the same network from scratch, with the same tokenizer, has all fifty, of which it needs few for few poems:
both stop when half a dozen measurements, a pass over the poems apart, were no better than the best. Kneser-Ney counts the same tokens.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import harken
from harken.draw.chart import line_chart
from harken.results.lab import Lab

from .pretraining import BODIES, body

SHARES = (0.01, 0.1, 1.0)
AFTER = 15.0
READ: dict[str, Any] = {"examples": "lines", "columns": "text=text", "overflow": "window"}


def some(lab: Lab, share: float) -> Path:
    """A file with so many of the training poems."""
    path = lab.file(f"train-{share:g}.jsonl")
    if not path.is_file():
        lines = (lab.data("poems_gutenberg") / "train.jsonl").read_text("utf-8").splitlines()
        random.Random(0).shuffle(lines)
        path.write_text("\n".join(lines[: max(20, round(share * len(lines)))]) + "\n", "utf-8")
    return path


def curve(run: Path) -> list[tuple[float, float]]:
    """(minutes, held-out loss) as a run learned."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [(line["seconds"] / 60, line["valid_loss"]) for line in lines if "valid_loss" in line][1:]


def steps(lab: Lab) -> None:
    """Three shares, three ways."""
    folder, known = lab.data("poems_gutenberg"), body(lab, "llama")
    same: dict[str, Any] = {**READ, "valid": str(folder / "valid.jsonl")}
    shape = {name: value for name, value in BODIES["llama"].items() if name != "vocab_size"} | {"tokenizer": str(known)}
    before = shape["minutes"]
    ways: dict[str, dict[str, Any]] = {
        "pretrained": {
            "model": str(known),
            "minutes": AFTER,
            "batch_size": 24,
            "average": 0.99,
            "dropout": 0.1,
            "optimizer": "muon",
            "learning_rate": 1e-3,
        },
        "scratch": {**shape, "minutes": before + AFTER, "dropout": 0.1, "average": 0.999},
        "ngram": {"model": "ngram", "tokenizer": str(known)},
    }
    series: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for share in SHARES:
        values = {}
        for way, options in ways.items():
            run, soon = f"{way}-{share:g}", {} if way == "ngram" else {"eval_every": max(10, round(600 * share)), "patience": 6}
            trained = lab.train(run, some(lab, share), **same, **options, **soon)
            found = lab.do(f"{run}-test", harken.evaluate, lab.run(run), folder / "test.jsonl", examples="lines", columns="text=text")
            values[way], span = found["bits_per_byte"], found["intervals"]["bits_per_byte"]
            series[way].append((100 * share, values[way]))
            lab.found(f"{100 * share:g} % of the poems, {way}: bits per byte", values[way], low=span["low"], high=span["high"],
                      minutes=lab.minutes(trained))  # fmt: skip
        lab.found(f"{100 * share:g} %: from scratch above pre-trained", values["scratch"] - values["pretrained"], least=0.0)
    line_chart(lab.picture("data.svg"), series, title="Poems that were never seen", x="% of the poems", y="bits per byte")
    curves = {way: curve(lab.run(f"{way}-1")) for way in ("pretrained", "scratch")}
    line_chart(lab.picture("time.svg"), curves, title="All poems: how soon", x="minutes on the poems", y="held-out nats per token")
    lab.note(f"The body had read books for {before:g} minutes before the first minute of the second picture.")
    lab.note(
        "With all poems the body was also given 25 minutes, 60 in all: 3.760 nats per token held out at a rate of 0.004, 3.739 with "
        "everything as from scratch (0.005, weights averaged over more steps) and a dropout of 0.2. From scratch 39 minutes reach 3.721, "
        "then the poems are known by heart: 3.3 M tokens in six passes say more of poems than the books do."
    )

"""Reading books first pays in writing poems: bits per byte of poems that were never seen, from a little and from much.

16,041 poems to learn from (or 1 or 10 % of them, drawn by seed), 500 to validate on, 500 of test. The decoder of `pretraining`, which has
read books for 35 minutes, goes on with the poems: with all of them for 25 minutes, at nearly the rate that it read with, with fewer for 15,
at a lower one. The same network from scratch, with the same tokenizer, has all the minutes, of which it needs few for few poems: both stop
when half a dozen measurements, a pass over the poems apart, were no better than the best. Kneser-Ney counts the same tokens.
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

SHARES = {0.01: (15.0, 1e-3), 0.1: (15.0, 1e-3), 1.0: (25.0, 4e-3)}
"""Of the poems: minutes behind the body, and its learning rate then."""
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
    series: dict[str, list[tuple[float, float]]] = {way: [] for way in ("pretrained", "scratch", "ngram")}
    for share, (after, rate) in SHARES.items():
        ways: dict[str, dict[str, Any]] = {
            "pretrained": {"model": str(known), "minutes": after, "batch_size": 24, "average": 0.99, "dropout": 0.1, "optimizer": "muon",
                           "learning_rate": rate},
            "scratch": {**shape, "minutes": before + after, "dropout": 0.1, "average": 0.999},
            "ngram": {"model": "ngram", "tokenizer": str(known)},
        }  # fmt: skip
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

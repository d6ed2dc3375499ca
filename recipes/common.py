"""What the recipes share: how they are asked and how they answer. No recipe itself.

    python recipes/NAME.py DATA --test FILE --minutes 5 --out runs/NAME
    python recipes/NAME.py --tiny                                          a few seconds on examples it writes itself, in a temporary folder

Results are lines of JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harken
from harken.base.report import as_json

TINY = {"steps": 8, "width": 32, "layers": 1, "heads": 2}
"""Enough to run, too little to learn."""
WHO, DOES, WHERE = ("fox", "heron", "owl", "hare", "cat"), ("sleeps", "waits", "sings", "reads"), ("river", "road", "hill", "barn")


@dataclass(frozen=True)
class Asked:
    """`test`: what the finished model is measured on, if anything · `read`: options that say how files are read · `train`: those of
    `harken.train`: the same, a budget, where `tiny` a size."""

    data: str
    test: str | None
    out: Path
    tiny: bool
    read: dict[str, Any]
    train: dict[str, Any]


def parser_of(about: str | None) -> argparse.ArgumentParser:
    """The options that every recipe has; `about` is its docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="file to learn from")
    parser.add_argument("--test", help="file to measure on")
    parser.add_argument("--columns", help="which of their columns hold what, as in text=1,label=2 or text=body")
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument("--minutes", type=float, default=5.0, help="to train each model for (default: 5)")
    parser.add_argument("--tiny", action="store_true", help="write a few examples, train for seconds; DATA is not needed")
    return parser


def unused(parser: argparse.ArgumentParser, given: argparse.Namespace, *names: str) -> None:
    """Refuse options that a recipe has no use for."""
    for name in names:
        if getattr(given, name) != parser.get_default(name):
            parser.error(f"{'DATA' if name == 'data' else f'--{name}'} is of no use here: leave it out")


def ask(about: str | None, name: str, make: Callable[[random.Random], str] | None = None) -> Asked:
    """What was asked for; with --tiny, `make` writes the file `name`, 60 times over, and a test file beside it, 20 times."""
    parser = parser_of(about)
    return settled(parser, parser.parse_args(), name, make)


def settled(
    parser: argparse.ArgumentParser, given: argparse.Namespace, name: str, make: Callable[[random.Random], str] | None = None
) -> Asked:
    """The same of a recipe with options of its own."""
    recipe = Path(parser.prog).stem
    if given.tiny:
        out = given.out or Path(tempfile.mkdtemp(prefix=f"harken-{recipe}-"))
        out.mkdir(parents=True, exist_ok=True)
        data, test = out / name, out / f"test-{name}"
        if make is not None:
            write(data, make, 60, seed=0)
            write(test, make, 20, seed=1)
        return Asked(str(data), str(test), out, True, {}, dict(TINY))
    if given.data is None:
        parser.error("DATA is missing: name a file, or give --tiny")
    read = {"columns": given.columns} if given.columns else {}
    return Asked(given.data, given.test, given.out or Path("runs") / recipe, False, read, {**read, "minutes": given.minutes})


def write(path: Path, make: Callable[[random.Random], str], count: int, seed: int = 0) -> None:
    """A file of `count` examples, each as `make` writes it."""
    rng = random.Random(seed)
    path.write_text("".join(make(rng) for _ in range(count)), "utf-8")


def sentence(rng: random.Random) -> str:
    """A sentence of a small world, without its full stop."""
    return f"the {rng.choice(WHO)} {rng.choice(DOES)} by the {rng.choice(WHERE)}"


def line(**fields: Any) -> str:
    """An example as an object on a line of its own."""
    return json.dumps(fields, ensure_ascii=False) + "\n"


def tell(**facts: Any) -> None:
    """A result, as a line of JSON, which has no word for what is not a number."""
    print(as_json(facts), flush=True)


def measure(run: Path, asked: Asked, **options: Any) -> None:
    """Tell what `harken.evaluate` finds on the test file, if there is one: each metric with its 95 % interval, beside the baselines."""
    if asked.test is not None:
        found = harken.evaluate(str(run), asked.test, **asked.read, **options)
        tell(run=run.name, loss=found.loss, metrics=found.metrics, intervals=found.intervals, baselines=found.baselines)

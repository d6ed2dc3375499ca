"""`harken demo`: the main job on data that ships with the package."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from ..base.options import option
from ..base.report import say
from .command import command


@dataclass(frozen=True)
class DemoOptions:
    """Train on the given names that ship with harken and make up new ones: the whole road in under a minute."""

    out: str = option("runs/demo", "folder of the run; an earlier demo in it is replaced", short="-o")
    steps: int = option(500, "optimizer steps", min=1)
    seed: int = option(0, "of the weights, the order and everything drawn", min=0)
    json: bool = option(False, "print one JSON object")


@dataclass(frozen=True)
class Demo:
    """`names`: each with whether it occurs in the data · `loss`: held-out nats per character, the end included · `picture`: the curve."""

    names: list[tuple[str, bool]]
    loss: float
    run: str
    picture: str


SAMPLES = Path(__file__).parents[1] / "data" / "samples"


@command("demo", DemoOptions)
def demo(options: DemoOptions) -> Demo:
    """Train, then write 20 names."""
    from ..fit.run import run
    from .generate import generate
    from .train import TrainOptions

    data = SAMPLES / "names.txt"
    again = (Path(options.out) / "harken.json").is_file()
    trained = run(TrainOptions(data=str(data), out=options.out, overwrite=again, steps=options.steps, seed=options.seed, examples="lines"))
    known = set(data.read_text("utf-8").split())
    found = generate(options.out, num_return_sequences=20, max_new_tokens=24, temperature=0.8, seed=options.seed)
    return Demo([(one.text, one.text in known) for one in found], trained.loss, options.out, str(Path(options.out) / "loss.svg"))


@demo.show
def show(found: Demo, options: DemoOptions) -> None:
    """The names in two columns, and what to look at."""
    if options.json:
        print(json.dumps(dataclasses.asdict(found), ensure_ascii=False))
        return
    print()
    cells = [f"{name:<16} {'seen' if seen else 'new ':<6}" for name, seen in found.names]
    for left, right in zip(cells[::2], cells[1::2], strict=False):
        print(f"  {left}   {right}")
    new = sum(not seen for _, seen in found.names)
    print(f"\n{new} of {len(found.names)} names are new: the model made them up, none of its {count_names():,} lessons has them.")
    print(f"held-out loss: {found.loss:.3f} nats per character (guessing among 26 letters and an end: 3.296)")
    print(f"picture: {found.picture}    what it wrote as it learned: {found.run}/samples.md")
    say(f"now your own text:  harken train FILE   and more of these:  harken generate {found.run} --num-return-sequences 10")


def count_names() -> int:
    """Names that ship with the package."""
    return len((SAMPLES / "names.txt").read_text("utf-8").split())

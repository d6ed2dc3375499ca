"""What a run will do: every number, chosen from data and budget where the user gave none, and said aloud."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from ..base.errors import InputError
from ..base.report import count
from ..data.corpus import Examples
from .options import TrainOptions

DEFAULT_STEPS = 2_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every number of a run. Steps are optimizer steps; one step reads `batch_size` rows in `accumulate` parts."""

    steps: int  # 0 where `minutes` decides
    minutes: float | None
    batch_size: int
    accumulate: int
    optimizer: str
    schedule: str
    warmup: float  # steps; seconds where `minutes` decides and no `warmup_steps` were asked for
    weight_decay: float
    clip: float
    eval_every: float  # steps; seconds where `minutes` decides and no `eval_steps` were asked for
    eval_tokens: int
    log_every: int
    save_every: float  # seconds
    seed: int
    learning_rate: float = 0.0  # this and the next follow from the size, which follows from the rest
    dropout: float = 0.0
    dtype: str = "float32"
    average: float | None = None
    warmup_steps: int | None = None
    eval_steps: int | None = None
    patience: int | None = None
    pack: bool = False
    checkpoint_activations: bool = False
    compile: bool = False
    threads: int | None = None  # None: all, or as many as are faster where `minutes` decides
    layer_decay: float | None = None  # as the next two in `layers.Layers`
    freeze: tuple[str, ...] = ()
    unfreeze_every: int | None = None
    best: str | None = None  # by what the best model is known

    @classmethod
    def read(cls, values: dict) -> Plan:
        """From JSON."""
        return cls(**{**values, "freeze": tuple(values.get("freeze", ()))})

    def write(self) -> dict:
        """As JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Size:
    """Width, layers and heads of a model built from scratch."""

    width: int
    layers: int
    heads: int


LADDER = (
    (0, Size(32, 2, 2)),
    (2e5, Size(64, 4, 4)),
    (4e6, Size(128, 4, 4)),
    (3e7, Size(192, 6, 6)),
    (1e8, Size(256, 6, 8)),
    (4e8, Size(384, 8, 12)),
)
"""Tokens a run can learn from -> size. Measured on two cores at budgets of 20 s to 10 min: larger models learn less in the time."""
SPEED = 30_000
"""Tokens a second that a model of the smaller sizes learns from on two cores: a guess, to choose the size by when time is the budget."""
LONGEST = 1_024
"""Tokens a context has at most unless more are asked for: longer examples are counted and said, because their cost grows as the square."""
BF16_WIDTH = 128
"""Narrower models are not faster in bfloat16 (measured: 0.9 times at 64, 1.6 at 128, 2.6 at 512)."""


def choose_context(options: TrainOptions, kind: Examples, longest: int) -> int:
    """Tokens a row may have: those of the longest example (`longest`), up to 1024; 128 for running text."""
    if options.context is not None:
        return options.context
    return 128 if kind == "running" else min(LONGEST, max(16, -(-longest // 16) * 16))


def choose_plan(options: TrainOptions, *, targets: int, rows: int, optimizer: str = "muon") -> Plan:
    """`targets` and `rows`: tokens to predict and rows in one epoch · `optimizer`: unless one is asked for. InputError when the request
    cannot be met."""
    mean = targets / rows
    together = min(max(3 * math.sqrt(targets), 256), 4_096)  # tokens a step: larger data can use, and needs, steadier steps
    batch = options.batch_size or 2 ** round(math.log2(min(max(together / mean, 1), 256)))
    batch = min(batch, rows)
    if options.accumulate > batch:
        raise InputError(f"--accumulate {options.accumulate} splits a batch of {batch} rows into more parts than it has rows")
    each = math.ceil(rows / batch)
    steps = options.steps or (math.ceil(options.epochs * each) if options.epochs else DEFAULT_STEPS)
    steps = 0 if options.minutes else steps
    whole = options.minutes * 60 if options.minutes else steps
    return Plan(
        steps=steps,
        minutes=options.minutes,
        batch_size=batch,
        accumulate=options.accumulate,
        optimizer=options.optimizer or optimizer,
        schedule=options.schedule,
        warmup=(whole * 0.05 if options.minutes else min(100, steps // 10)) if options.warmup_steps is None else options.warmup_steps,
        weight_decay=options.weight_decay,
        clip=options.clip,
        eval_every=options.eval_every or (whole / 10 if options.minutes else max(1, math.ceil(steps / 10))),
        eval_tokens=max(20_000, int(0.01 * (steps * batch * mean or whole * SPEED))),
        log_every=max(1, steps // 200),
        save_every=options.save_every,
        seed=options.seed,
        average=options.average,
        checkpoint_activations=options.checkpoint_activations,
        compile=options.compile,
        warmup_steps=options.warmup_steps,
        eval_steps=options.eval_every,
        patience=options.patience,
        layer_decay=options.layer_decay,
        freeze=tuple(name.strip() for name in options.freeze.split(",")) if options.freeze else (),
        unfreeze_every=choose_unfreezing(options, steps),
        best=options.best,
    )


def choose_unfreezing(options: TrainOptions, steps: int) -> int | None:
    """Steps between two blocks that begin to learn; below 1, --unfreeze-every is a share of the run's."""
    every = options.unfreeze_every
    if every is None or every >= 1:
        if every is not None and every != int(every):
            raise InputError(f"--unfreeze-every {every:g} is neither a whole number of steps nor a share of them below 1")
        return None if every is None else int(every)
    if not steps:
        raise InputError(f"--unfreeze-every {every:g} is a share of the steps, and with --minutes nobody knows how many: give their number")
    return max(1, round(every * steps))


def budget(plan: Plan, targets: int, rows: int) -> float:
    """Tokens the run will read."""
    return plan.minutes * 60 * SPEED if plan.minutes else plan.steps * plan.batch_size * targets / rows


def choose_dropout(options: TrainOptions, passes: float) -> float:
    """A tenth where the text is read more than six times, so that it is not learned by heart (names, 60 s: 1.972 with, 2.000 without)."""
    return options.dropout if options.dropout is not None else 0.1 if passes > 6 else 0.0


def choose_size(options: TrainOptions, plan: Plan, *, targets: int, rows: int) -> Size:
    """The size that suits what the run can learn from: four passes over the data, or fewer if the budget ends before. One layer tells
    labels apart soonest: after 14 s of SST-2, right are 77 % (RNN) and 76 % (BERT) with one, 52 % with four and 55 % with two."""
    learned = min(4 * targets, budget(plan, targets, rows))
    found = next(size for least, size in reversed(LADDER) if learned >= least)
    width = options.width or found.width
    heads = options.heads or (found.heads if width % found.heads == 0 else 1)
    if width % heads or (width // heads) % 2:
        raise InputError(f"--width {width} cannot be shared by --heads {heads}: the width of a head must be a whole, even number")
    layers = 1 if options.task == "classification" else found.layers
    return Size(width, options.layers or layers, heads)


def choose_rate(options: TrainOptions, width: int, family: float) -> float:
    """Peak learning rate: wider models take smaller steps; `family` is what theirs is, as a multiple of a Transformer's.

    Held-out nats after a minute at half of it, at it and at twice: 3.61, 3.46, 3.46 (Shakespeare), 3.08, 2.94, 2.89 (stories), 1.971,
    1.962, 1.972 (names); after four minutes at width 256, where it is 0.004: 4.79, 4.56, 4.51 at 0.002, 0.005, 0.01 (books)."""
    return options.learning_rate or round(8e-3 * (64 / width) ** 0.5 * family, 5)


def choose_dtype(options: TrainOptions, width: int, bf16: bool) -> str:
    """bfloat16 products where the processor has them (`bf16`) and the model is wide enough to gain."""
    if options.dtype != "auto":
        return options.dtype
    return "bfloat16" if bf16 and width >= BF16_WIDTH else "float32"


def describe(plan: Plan, size: Size, context: int, parameters: int, targets: int, rows: int) -> list[str]:
    """The choice, in words."""
    return [
        f"model: {count(parameters)} parameters, width {size.width}, {size.layers} layers, {size.heads} heads, context {context}",
        outline(plan, targets, rows),
    ]


def outline(plan: Plan, targets: int, rows: int) -> str:
    """What the run will do, in words."""
    each = math.ceil(rows / plan.batch_size)
    long = f"{plan.minutes:g} minutes of steps" if plan.minutes else f"{plan.steps:,} steps"
    passes = "" if plan.minutes else f"{plan.steps / each:.1f} passes over "
    parts = f" in {plan.accumulate} parts" if plan.accumulate > 1 else ""
    decay = f" times {plan.layer_decay:g} a layer down" if plan.layer_decay else ""
    thaw = f", one block more every {plan.unfreeze_every:,} steps" if plan.unfreeze_every else ""
    return (
        f"plan: {long} of {plan.batch_size} rows{parts} ({passes}{count(targets)} tokens), "
        f"{plan.optimizer} at {plan.learning_rate:g}{decay}, {plan.schedule} schedule, dropout {plan.dropout:g}, {plan.dtype}, "
        f"seed {plan.seed}{thaw}"
    )

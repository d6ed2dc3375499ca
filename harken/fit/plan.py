"""What a run will do: every number, chosen from data and budget where the user gave none, and said aloud."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from ..base.errors import InputError
from ..base.report import count
from .options import TrainOptions

DEFAULT_STEPS = 2_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every number of a run. Steps are optimizer steps; one step reads `batch_size` rows in `accumulate` parts."""

    steps: int
    batch_size: int
    accumulate: int
    context: int
    learning_rate: float
    optimizer: str
    schedule: str
    warmup_steps: int
    weight_decay: float
    clip: float
    dtype: str
    eval_every: int
    eval_tokens: int
    log_every: int
    save_every: float  # seconds
    seed: int

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
    (12e6, Size(192, 6, 6)),
    (40e6, Size(256, 6, 8)),
    (120e6, Size(384, 8, 12)),
)
"""Tokens a run can learn from -> size. Measured on two cores at budgets of 20 s to 10 min: larger ones learn too slowly to be done."""


def choose_context(options: TrainOptions, longest: int, running: bool) -> int:
    """Tokens a row may have: the longest example and its end, up to 256; 128 for running text."""
    if options.context is not None:
        return options.context
    return 128 if running else min(256, max(16, -(-(longest + 2) // 16) * 16))


def choose_plan(options: TrainOptions, *, targets: int, rows: int) -> Plan:
    """`targets` and `rows`: tokens to predict and rows in one epoch. InputError when the request cannot be met."""
    mean = targets / rows
    batch = options.batch_size or 2 ** round(math.log2(min(max(1_500 / mean, 4), 256)))
    batch = min(batch, rows)
    if options.accumulate > batch:
        raise InputError(f"--accumulate {options.accumulate} splits a batch of {batch} rows into more parts than it has rows")
    each = math.ceil(rows / batch)
    steps = options.steps or (math.ceil(options.epochs * each) if options.epochs else DEFAULT_STEPS)
    return Plan(
        steps=steps,
        batch_size=batch,
        accumulate=options.accumulate,
        context=options.context or 0,
        learning_rate=options.learning_rate or 0.0,
        optimizer=options.optimizer,
        schedule=options.schedule,
        warmup_steps=min(100, steps // 10) if options.warmup_steps is None else options.warmup_steps,
        weight_decay=options.weight_decay,
        clip=options.clip,
        dtype="float32" if options.dtype == "auto" else options.dtype,
        eval_every=options.eval_every or max(1, math.ceil(steps / 10)),
        eval_tokens=max(20_000, int(0.01 * steps * batch * mean)),
        log_every=max(1, steps // 200),
        save_every=options.save_every,
        seed=options.seed,
    )


def choose_size(options: TrainOptions, plan: Plan, *, targets: int, rows: int) -> Size:
    """The size that suits what the run can learn from: four passes over the data, or fewer if the budget ends before."""
    learned = min(4 * targets, plan.steps * plan.batch_size * targets / rows)
    found = next(size for least, size in reversed(LADDER) if learned >= least)
    width = options.width or found.width
    heads = options.heads or (found.heads if width % found.heads == 0 else 1)
    if width % heads or (width // heads) % 2:
        raise InputError(f"--width {width} cannot be shared by --heads {heads}: the width of a head must be a whole, even number")
    return Size(width, options.layers or found.layers, heads)


def choose_rate(options: TrainOptions, width: int) -> float:
    """Peak learning rate: wider models take smaller steps."""
    return options.learning_rate or round(4e-3 * (64 / width) ** 0.5, 5)


def describe(plan: Plan, size: Size, parameters: int, targets: int, rows: int) -> list[str]:
    """The choice, in words."""
    each = math.ceil(rows / plan.batch_size)
    parts = f" in {plan.accumulate} parts" if plan.accumulate > 1 else ""
    return [
        f"model: {count(parameters)} parameters, width {size.width}, {size.layers} layers, {size.heads} heads, context {plan.context}",
        f"plan: {plan.steps:,} steps of {plan.batch_size} rows{parts} ({plan.steps / each:.1f} passes over {count(targets)} tokens), "
        f"{plan.optimizer} at {plan.learning_rate:g}, {plan.schedule} schedule, {plan.dtype}, seed {plan.seed}",
    ]

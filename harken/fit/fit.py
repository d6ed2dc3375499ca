"""The training loop, top to bottom: measure now and then, read a batch, go down the gradient, log, save, stop when asked.

Every part that could differ between two runs (order, chance, schedule) is a function of the plan's seed and the step, and the
whole state is saved between steps: a killed run that goes on ends in the same bits as one that was left alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from ..base.errors import Interrupted, RunError
from ..data.batches import Batches, Spans, parts
from ..measure.loss import measure
from ..nn.models import Model
from ..objectives.causal import batch_loss
from .bar import Bar
from .folder import RunFolder
from .optimizer import Optimizer
from .plan import Plan
from .schedule import rate
from .state import Progress, load_state, save_state
from .stop import Stop

LONGEST_GAP = 25.0
"""Seconds of work a kill may cost at most, however long a save takes."""


def fit(
    model: Model, train: Spans, valid: Spans | None, plan: Plan, run: RunFolder, *, pad: int, keep: Callable[[Progress], None]
) -> Progress:
    """Train `model` in place by `plan`, from the run's saved state where it has one.

    `keep(progress)` is called after every measurement that is the best so far. Interrupted when a signal asked to stop (the state is
    saved), RunError when the loss is no longer a number (the last good state is kept).
    """
    optimizer = Optimizer(model, plan.optimizer, plan.learning_rate, plan.weight_decay)
    batches = Batches(train, plan.batch_size, plan.seed)
    torch.manual_seed(plan.seed)
    progress = load_state(run.state, model, optimizer, batches) if run.state.is_file() else Progress()
    run.cut(progress.lines)
    saver = Saver(run, plan, progress.seconds)
    whole = plan.steps if plan.minutes is None else plan.minutes * 60
    model.train()
    with Stop() as stop, Bar(plan, progress) as bar:
        while True:
            where = progress.step if plan.minutes is None else saver.elapsed()
            over = where >= whole
            if (where >= progress.due or over) and progress.evaluated != progress.step:
                evaluate(model, valid, plan, run, progress, pad, keep, saver.elapsed())
                if progress.step == 0:
                    where = saver.begin()
                cost = 0.0 if plan.minutes is None else saver.elapsed() - where  # measuring must not eat the time to learn
                progress.due = where + cost + max(plan.eval_every, 5 * cost)
            if over:
                break
            factor = rate(where, whole, plan.warmup, plan.schedule)
            nats, tokens, norm = learn(model, optimizer, train, batches.next(), plan, pad, factor, progress.step)
            progress.step += 1
            progress.tokens += tokens
            progress.nats += nats
            progress.since += tokens
            if progress.step % plan.log_every == 0 or progress.step == plan.steps:
                log(run, progress, norm, plan.learning_rate * factor, saver.elapsed())
            bar.update(progress, nats / tokens, where / whole)
            if stop.asked or saver.due():
                saver.save(progress, model, optimizer, batches)
            if stop.asked:
                raise Interrupted(f"stopped by {stop.asked.name} at step {progress.step:,}; everything is saved")
    saver.save(progress, model, optimizer, batches)
    return progress


def learn(
    model: Model, optimizer: Optimizer, train: Spans, rows: np.ndarray, plan: Plan, pad: int, factor: float, step: int
) -> tuple[float, int, float]:
    """One optimizer step on rows (B, 2); returns (summed nats, tokens, gradient norm).

    The loss is divided by the tokens of the whole step, so the gradient does not depend on how the rows are split.
    """
    device = model.device.type
    tokens, nats = int((rows[:, 1] - rows[:, 0]).sum()), 0.0
    for part in parts(rows, plan.accumulate):
        with torch.autocast(device, torch.bfloat16, enabled=plan.dtype == "bfloat16"):
            loss = batch_loss(model, train, part, pad)
        (loss.total / tokens).backward()
        nats += loss.total.item()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip).item()
    if not (math.isfinite(nats) and math.isfinite(norm)):
        raise RunError(f"the loss is not a number any more at step {step + 1:,}; the last good state is kept: try a lower --learning-rate")
    optimizer.step(factor)
    return nats, tokens, norm


def evaluate(
    model: Model,
    valid: Spans | None,
    plan: Plan,
    run: RunFolder,
    progress: Progress,
    pad: int,
    keep: Callable[[Progress], None],
    seconds: float,
) -> None:
    """Measure the model on held-out text (without any, the newest counts as the best) and keep it when it is the best so far."""
    better = True
    if valid is not None:
        found = measure(model, valid, pad=pad, batch_size=max(plan.batch_size, 16), most_tokens=plan.eval_tokens)
        progress.valid = found.loss
        better = progress.best is None or found.loss < progress.best
        line = {"step": progress.step, "valid_loss": found.loss, "valid_tokens": found.tokens}
        write(run, progress, {**line, "seconds": round(seconds, 3)})
    progress.evaluated = progress.step
    if better:
        progress.best, progress.best_step = progress.valid, progress.step
    keep_random = torch.get_rng_state()  # writing samples must not change what comes after
    model.eval()
    if better:
        keep(progress)
    model.train()
    torch.set_rng_state(keep_random)


def log(run: RunFolder, progress: Progress, norm: float, learning_rate: float, seconds: float) -> None:
    """One line on the training since the last one."""
    progress.seconds = seconds
    line = {"step": progress.step, "loss": progress.nats / progress.since, "learning_rate": learning_rate, "grad_norm": norm}
    write(run, progress, {**line, "tokens": progress.tokens, "seconds": round(seconds, 3)})
    progress.nats, progress.since = 0.0, 0


def write(run: RunFolder, progress: Progress, line: dict) -> None:
    """Append to the journal, and remember that it was."""
    run.add(line)
    progress.lines += 1


class Saver:
    """When to save the state, and the clock of a run that may have been begun before."""

    def __init__(self, run: RunFolder, plan: Plan, before: float):
        self.run, self.plan, self.before = run, plan, before
        self.start = self.last = time.monotonic()
        self.cost = 0.0

    def begin(self) -> float:
        """Start the clock, at 0: what was there to do once, before the first step (kernels to compile), is no time of learning."""
        self.start, self.before = time.monotonic(), 0.0
        return 0.0

    def elapsed(self) -> float:
        """Seconds of work, earlier parts of the run included."""
        return self.before + time.monotonic() - self.start

    def due(self) -> bool:
        """Every `save_every` seconds; less often when saving is slow, but never at the price of much work."""
        return time.monotonic() - self.last >= max(self.plan.save_every, min(LONGEST_GAP, 20 * self.cost))

    def save(self, progress: Progress, model: Model, optimizer: Optimizer, batches: Batches) -> None:
        """Write the state now."""
        began = time.monotonic()
        progress.seconds = self.elapsed()
        save_state(self.run.state, progress, model, optimizer, batches)
        self.last = time.monotonic()
        self.cost = self.last - began

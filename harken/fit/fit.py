"""The training loop, top to bottom: measure now and then, read a batch, go down the gradient, log, save, stop when asked.

Every part that could differ between two runs (order, chance, schedule) is a function of the plan's seed and the step, and the
whole state is saved between steps: a killed run that goes on ends in the same bits as one that was left alone.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..base.errors import InputError, Interrupted, RunError
from ..base.report import say
from ..data.batches import Batches, Source, parts, runs
from ..data.corrupted import named
from ..data.laid import Laid
from ..data.laid import named as of_examples
from ..nn.models import Model
from ..nn.stack import Stack, run_block
from ..objectives.objective import Objective, objective_of
from .average import Average
from .bar import Bar
from .best import better_of, measured, numbers, together
from .clock import Clock
from .folder import RunFolder
from .guess import SHARE, guess
from .layers import Layers, width_of
from .optimizer import Optimizer
from .pace import Again, BySteps, ByTime, Pace
from .plan import Plan
from .state import Progress, load_state, save_state
from .stop import Stop
from .threads import Gear

PACKED = 1 << 19
"""Numbers of a hidden state in a packed row: fewer tokens are more calls, more no longer stay in the processor's cache. Measured on two
cores: 4,096 tokens are 1.4 times as fast as 1,024 at a width of 128, 2,048 are 1.2 times as fast as 1,024 and as 4,096 at 256."""
FEWEST, MOST = 1_024, 4_096
"""Tokens of such a row."""
LONGEST_GAP = 25.0
"""Seconds of work a kill may cost at most, however long a save takes."""


def fit(
    model: Model,
    train: Source,
    valid: Source | None,
    plan: Plan,
    run: RunFolder,
    *,
    pad: int,
    keep: Callable[[Progress], None],
    clock: Clock,
    objective: Objective | None = None,
) -> Progress:
    """Train `model` in place by `plan`, from the run's saved state where it has one; `objective`: if not that of the rows.

    `keep(progress)` is called after every measurement that is the best so far, with the weights that were measured in the model.
    Interrupted when a signal asked to stop (the state is saved), RunError when the loss is no longer a number (the last good state
    is kept).
    """
    whole = Whole.of(model, train, plan, objective)
    torch.manual_seed(plan.seed)
    progress = load_state(run.state, *whole.parts) if run.state.is_file() else Progress()
    run.cut(progress.lines)
    saver = Saver(run, plan, clock, progress.seconds)
    progress.head += clock.wall()
    pace = paced(plan, run, clock, saver.elapsed)
    model.train()
    with Stop() as stop, Bar(plan, progress) as bar:
        while True:
            over = pace.over(progress) or stale(plan, progress)
            if (over or pace.due(progress)) and progress.evaluated != progress.step:
                before = saver.elapsed()
                evaluate(whole, valid, plan, run, progress, pad, keep, clock, before)
                if progress.step == 0:
                    saver.save(progress, whole)  # the weights to begin with: the folder will soon hold others
                    progress.head = saver.begin()
                else:
                    draw(run, clock, over)
                    progress.measuring += saver.elapsed() - before
                pace.measured(progress)
                over = pace.over(progress) or stale(plan, progress)
            if over and progress.evaluated == progress.step:
                break
            whole.layers.thaw(progress.step)
            learning_rate, threads, began = pace.learning_rate(progress), pace.threads(progress), time.monotonic()
            nats, tokens, norm = learn(whole, train, whole.batches.next(), plan, pad, learning_rate, progress.step)
            progress.stepped(nats, tokens)
            whole.average.update(progress.step)
            if progress.step % plan.log_every == 0 or pace.over(progress):
                log(run, progress, norm, learning_rate, saver.elapsed(), threads)
            pace.stepped(tokens, time.monotonic() - began)
            foresee(run, progress, pace)
            bar.update(progress, nats / tokens, pace.share(progress))
            if stop.asked or saver.due():
                saver.save(progress, whole)
            if stop.asked:
                raise Interrupted(f"stopped by {stop.asked.name} at step {progress.step:,}; everything is saved")
    saver.save(progress, whole)
    return progress


@dataclass
class Whole:
    """All that a step changes."""

    model: Model
    optimizer: Optimizer
    batches: Batches
    average: Average
    layers: Layers
    objective: Objective
    tokens: int  # of a packed row

    @classmethod
    def of(cls, model: Model, train: Source, plan: Plan, objective: Objective | None) -> Whole:
        """As a run begins."""
        layers = Layers(model, plan)
        arranged(model, plan)
        dtype = torch.bfloat16 if plan.dtype == "bfloat16" else torch.float32
        optimizer = Optimizer(model, plan.optimizer, plan.learning_rate, plan.weight_decay, layers.scales, dtype)
        batches, average = Batches(train, plan.batch_size, plan.seed), Average(model, plan.average)
        tokens = min(max(PACKED // width_of(model), FEWEST), MOST)
        return cls(model, optimizer, batches, average, layers, objective or objective_of(train), tokens)

    @property
    def parts(self) -> tuple[Model, Optimizer, Batches, Average]:
        """In the order the state is saved in."""
        return self.model, self.optimizer, self.batches, self.average


def arranged(model: Model, plan: Plan) -> None:
    """Let every block keep only what it reads, and be compiled, if that is asked for. InputError where there are none, and without a
    compiler."""
    stacks = [part for part in model.modules() if isinstance(part, Stack)]
    for asked, flag in ((plan.checkpoint_activations, "--checkpoint-activations"), (plan.compile, "--compile")):
        if asked and not stacks:
            raise InputError(f"{flag} is for models of blocks, which a {model.config.model_type} model has none of: leave it out")
    if plan.compile and model.device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++", "cl"))):
        raise InputError("--compile takes a C++ compiler, and there is none: install g++ or clang++, or leave it out")
    for stack in stacks:
        stack.checkpoints = plan.checkpoint_activations
        stack.learn = torch.compile(run_block, dynamic=True) if plan.compile else run_block


def paced(plan: Plan, run: RunFolder, clock: Clock, elapsed: Callable[[], float]) -> Pace:
    """As the run this one repeats, by the clock, or by steps."""
    if (schedule := run.schedule()) is not None:
        return Again(schedule)
    if plan.minutes is None:
        return BySteps(plan)
    return ByTime(plan, clock, elapsed, Gear() if plan.threads is None else None)


def stale(plan: Plan, progress: Progress) -> bool:
    """Whether the last `patience` measurements brought nothing better."""
    return plan.patience is not None and progress.stale >= plan.patience


def learn(whole: Whole, train: Source, rows: np.ndarray, plan: Plan, pad: int, learning_rate: float, step: int) -> tuple[float, int, float]:
    """One optimizer step on rows (B, 2 or more); returns (summed nats, tokens, gradient norm).

    The gradient is divided by the tokens of the whole step, known once all parts are read, so it does not depend on how the rows are split.
    """
    model, tokens, nats = whole.model, 0, 0.0
    device = model.device.type
    for part in [rows] if together(train) else runs(rows, plan.accumulate, whole.tokens) if plan.pack else parts(rows, plan.accumulate):
        with torch.autocast(device, torch.bfloat16, enabled=plan.dtype == "bfloat16"):
            loss = whole.objective.batch_loss(model, train, part, pad, pack=plan.pack)
        loss.total.backward()
        tokens, nats = tokens + loss.tokens, nats + loss.total.item()
    if not tokens:
        raise InputError(f"step {step + 1:,} has {nothing_in(train, rows)}; leave such texts out")
    for p in model.parameters():
        if p.grad is not None:
            p.grad /= tokens
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip).item()
    if not (math.isfinite(nats) and math.isfinite(norm)):
        raise RunError(f"the loss is not a number any more at step {step + 1:,}; the last good state is kept: try a lower --learning-rate")
    whole.optimizer.step(learning_rate)
    return nats, tokens, norm


def nothing_in(source: Source, rows: np.ndarray) -> str:
    """Which texts teach nothing, and why."""
    if isinstance(source, Laid):
        return f"nothing to learn from: the tokenizer has no token for what {of_examples(rows)} ask for, or no window holds it"
    return f"no token to predict: {named(source, rows)} hold unknown tokens only"


def evaluate(
    whole: Whole,
    valid: Source | None,
    plan: Plan,
    run: RunFolder,
    progress: Progress,
    pad: int,
    keep: Callable[[Progress], None],
    clock: Clock,
    seconds: float,
) -> None:
    """Measure the model (its averaged weights where they are kept) on held-out text; without any, the newest counts as the best.

    The best so far is kept."""
    began, better = time.monotonic(), True
    keep_random = torch.get_rng_state()  # writing samples must not change what comes after
    with whole.average.in_place():
        if valid is not None:
            found = measured(whole.model, valid, pad=pad, batch_size=max(plan.batch_size, 16), most_tokens=plan.eval_tokens)
            clock.a_token = (time.monotonic() - began) / min(valid.targets, plan.eval_tokens)
            progress.valid = found.loss
            metrics = numbers(found, plan, whole.model, valid, pad)
            better = better_of(found, metrics, plan.best, progress)
            line = {"step": progress.step, "valid_loss": found.loss, "valid_tokens": found.tokens}
            line |= {f"valid_{name}": None if math.isnan(value) else value for name, value in metrics.items()}
            write(run, progress, {**line, "seconds": round(seconds, 3)})
        progress.evaluated = progress.step
        progress.stale = 0 if better else progress.stale + 1
        whole.model.eval()
        if better:
            progress.best, progress.best_step = progress.valid, progress.step
            keep(progress)
    whole.model.train()
    torch.set_rng_state(keep_random)
    if better or not clock.measurements:  # the last one will be the best, as a rule, and is then kept
        clock.measurements.append(time.monotonic() - began)


def draw(run: RunFolder, clock: Clock, over: bool) -> None:
    """The picture so far, unless the last one is drawn soon."""
    if not over:
        began = time.monotonic()
        run.draw()
        clock.a_picture = time.monotonic() - began


def foresee(run: RunFolder, progress: Progress, pace: Pace) -> None:
    """Say, once, where the loss will end."""
    share = pace.share(progress)
    if progress.guess is None and share >= SHARE and progress.step >= 40:
        points = [(line["step"], line["loss"]) for line in run.lines() if "loss" in line]
        progress.guess = guess(points, progress.step / share) or 0.0  # nothing to see is not looked for again
        if progress.guess:
            say(f"first guess of the final loss: {progress.guess:.2f}")


def log(run: RunFolder, progress: Progress, norm: float, learning_rate: float, seconds: float, threads: int) -> None:
    """One line on the training since the last one."""
    progress.seconds = seconds
    line = {"step": progress.step, "loss": progress.nats / progress.since, "learning_rate": learning_rate, "grad_norm": norm}
    line["threads"] = threads
    write(run, progress, {**line, "tokens": progress.tokens, "seconds": round(seconds, 3)})
    progress.nats, progress.since = 0.0, 0


def write(run: RunFolder, progress: Progress, line: dict) -> None:
    """Append to the journal, and remember that it was."""
    run.add(line)
    progress.lines += 1


class Saver:
    """When to save the state, and the clock of a run that may have been begun before."""

    def __init__(self, run: RunFolder, plan: Plan, clock: Clock, before: float):
        self.run, self.plan, self.clock, self.before = run, plan, clock, before
        self.start = self.last = time.monotonic()

    def begin(self) -> float:
        """Start counting, at 0: what was there to do once, before the first step (kernels to compile), is no time of learning.

        Returns the seconds it all took."""
        self.start, self.before = time.monotonic(), 0.0
        return self.clock.wall()

    def elapsed(self) -> float:
        """Seconds of learning, earlier parts of the run included."""
        return self.before + time.monotonic() - self.start

    def due(self) -> bool:
        """Every `save_every` seconds; less often when saving is slow, but never at the price of much work."""
        return time.monotonic() - self.last >= max(self.plan.save_every, min(LONGEST_GAP, 20 * self.clock.a_state))

    def save(self, progress: Progress, whole: Whole) -> None:
        """Write the state now."""
        began = time.monotonic()
        progress.seconds = self.elapsed()
        save_state(self.run.state, progress, *whole.parts)
        self.last = time.monotonic()
        self.clock.a_state = self.last - began

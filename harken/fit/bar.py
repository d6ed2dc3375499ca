"""What one sees while a model learns: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from ..base.report import count, is_terminal, say, span
from .plan import Plan
from .state import Progress


class Bar:
    """`with Bar(plan, progress) as bar: ... bar.update(progress, loss, share)`"""

    def __init__(self, plan: Plan, progress: Progress):
        self.plan, self.tokens, self.begun = plan, progress.tokens, 0.0
        self.start = self.said = 0.0
        self.rich = None
        if is_terminal():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as Rich

            columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
            self.rich = Rich(*columns, console=Console(stderr=True))
            self.task = self.rich.add_task("", total=1.0)
        self.loss: float | None = None  # smoothed over about fifty steps, because one batch says little

    def __enter__(self) -> Bar:
        if self.rich is not None:
            self.rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.rich is not None:
            self.rich.stop()

    def update(self, progress: Progress, loss: float, share: float) -> None:
        """After every step, with its loss and the share of the run that is behind; plain lines come every ten seconds."""
        self.loss = loss if self.loss is None else 0.98 * self.loss + 0.02 * loss
        now = time.monotonic()
        if not self.start:  # the first step comes after a measurement and, once, the compilation of kernels: no guide to the rest
            self.start, self.said, self.begun, self.tokens = now, now, share, progress.tokens
        if self.rich is None and now - self.said < 10 and progress.step != self.plan.steps:
            return
        speed = (progress.tokens - self.tokens) / max(now - self.start, 1e-9)
        left = (now - self.start) / max(share - self.begun, 1e-9) * (1 - share) if share > self.begun else 0.0
        held = f" · held out {progress.valid:.3f}" if progress.valid is not None else ""
        words = f"loss {self.loss:.3f}{held} · {count(speed)} tokens/s · {span(left)} left"
        if self.rich is not None:
            self.rich.update(self.task, completed=share, description=words)
            return
        of = f"/{self.plan.steps:,}" if self.plan.steps else ""
        say(f"step {progress.step:,}{of} · {words}")
        self.said = now

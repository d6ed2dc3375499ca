"""What one sees while a model learns: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from ..base.report import count, is_terminal, say, span
from .state import Progress


class Bar:
    """`with Bar(steps, progress) as bar: ... bar.update(progress)`"""

    def __init__(self, steps: int, progress: Progress):
        self.steps, self.first, self.tokens = steps, progress.step, progress.tokens
        self.start = self.said = time.monotonic()
        self.rich = None
        if is_terminal():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Rich

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn(compact=True))
            self.rich = Rich(*columns, console=Console(stderr=True))
            self.task = self.rich.add_task("", total=steps, completed=progress.step)
        self.loss: float | None = None  # smoothed over about fifty steps, because one batch says little

    def __enter__(self) -> Bar:
        if self.rich is not None:
            self.rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.rich is not None:
            self.rich.stop()

    def update(self, progress: Progress, loss: float) -> None:
        """After every step, with its loss; plain lines come every ten seconds."""
        self.loss = loss if self.loss is None else 0.98 * self.loss + 0.02 * loss
        now = time.monotonic()
        if self.rich is None and now - self.said < 10 and progress.step < self.steps:
            return
        speed = (progress.tokens - self.tokens) / max(now - self.start, 1e-9)
        held = f" · held out {progress.valid:.3f}" if progress.valid is not None else ""
        words = f"loss {self.loss:.3f}{held} · {count(speed)} tokens/s"
        if self.rich is not None:
            self.rich.update(self.task, completed=progress.step, description=words)
            return
        left = (now - self.start) / max(progress.step - self.first, 1) * (self.steps - progress.step)
        say(f"step {progress.step:,}/{self.steps:,} · {words} · {span(left)} left")
        self.said = now

"""A bar on a terminal for what takes longer than two seconds; nothing elsewhere."""

from __future__ import annotations

import time
from typing import Any

from ..base.report import is_terminal


class Progress:
    """`more(n)` after each part; `total` None where it is not known how much is to come."""

    def __init__(self, what: str, total: int | None) -> None:
        self.what, self.total, self.done = what, total, 0
        self.begun, self.bar, self.task = time.monotonic(), None, None

    def more(self, n: int) -> None:
        """So many more are done."""
        self.done += n
        if self.bar is None and time.monotonic() - self.begun > 2 and is_terminal():
            self.bar = self._bar()
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done)

    def _bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(self.what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = bar.add_task("", total=self.total)
        bar.start()
        return bar

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

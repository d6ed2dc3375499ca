"""Ctrl-C and SIGTERM ask a run to stop at the next step, so that it can save; a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Stop:
    """`with Stop() as stop:` then look at `stop.asked` between steps. Outside the main thread signals are left alone."""

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number)

"""How many threads a timed run learns with: as many as are faster at the moment.

Where other programs keep the cores busy, threads wait for each other at every product. Names, a width of 64, two cores, beside two busy
programs: 2.4 and 0.8 steps/s on two threads, 9.3 and 6.4 on one; alone, two are up to 1.3 times as fast.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator

import torch

_STEPS = 4
"""Steps whose median says how fast a number of threads is."""
_CLEARLY = 1.1
_PAUSE = 15.0
"""Seconds before more threads are tried again; each time in vain twice as many, because on a busy machine a try is dear."""


@contextlib.contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """While this lasts torch, and the kernels with it, use `count` threads (None: as many as before, unless it is changed inside)."""
    before = torch.get_num_threads()
    use(before if count is None else count)
    try:
        yield
    finally:
        use(before)


def use(count: int) -> None:
    """So many threads from now on."""
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


class Gear:
    """Shifts between one thread and all there are while a run learns. `count` is what the next step is done with."""

    def __init__(self) -> None:
        self.most = self.count = torch.get_num_threads()
        self.known: dict[int, float] = {}  # tokens a second, by number of threads
        self.recent: list[float] = []
        self.pause, self.again = _PAUSE, 0.0
        if self.most > 1:
            self.shift(1)

    def shift(self, count: int) -> None:
        """Go on with so many."""
        if count < self.count and self.known:  # all of them, in vain
            self.again, self.pause = time.monotonic() + self.pause, 2 * self.pause
        self.count, self.recent = count, []
        use(count)

    def after(self, tokens: int, seconds: float) -> None:
        """A step is done: how fast that was decides how the next one is done."""
        if self.most == 1:
            return
        self.recent.append(tokens / max(seconds, 1e-9))
        other = 1 if self.count == self.most else self.most
        slow = other in self.known and len(self.recent) >= 2 and max(self.recent[-2:]) * 1.5 < self.known[other]
        if len(self.recent) < _STEPS and not slow:
            return
        self.known[self.count] = statistics.median(self.recent[-_STEPS:])
        better = other not in self.known or self.known[other] > _CLEARLY * self.known[self.count]
        if other == 1 and better:
            self.shift(1)
        elif other != 1 and time.monotonic() >= self.again:
            self.shift(self.most)

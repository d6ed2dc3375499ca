"""When this process began: what a user's clock on the wall counts from, before Python had read a single import."""

from __future__ import annotations

import os
import time

_FIRST = time.monotonic()


def process_started() -> float:
    """The moment this process started, as `time.monotonic()` has it; where the system does not say, when harken was first imported."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])  # the 22nd field: clock ticks between boot and start
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return _FIRST
    return time.monotonic() - age

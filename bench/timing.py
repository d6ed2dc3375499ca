"""Time alternatives side by side: interleaved, after a warm-up, medians and their ratio, because machines are shared and noisy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def medians(alternatives: dict[str, Callable[[], object]], *, rounds: int = 9, least: float = 0.02) -> dict[str, float]:
    """Seconds a call of each alternative; every round times all of them in turn, each for at least `least` seconds."""
    calls = {}
    for name, call in alternatives.items():
        call()
        start = time.perf_counter()
        call()
        calls[name] = max(1, round(least / max(time.perf_counter() - start, 1e-9)))
    seen: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, call in alternatives.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                call()
            seen[name].append((time.perf_counter() - start) / calls[name])
    return {name: statistics.median(times) for name, times in seen.items()}


def row(what: str, found: dict[str, float], ours: str, peer: str) -> str:
    """One line: both times and how many times faster ours is."""
    return f"{what:<44} {ours} {found[ours] * 1e6:10.1f} µs   {peer} {found[peer] * 1e6:10.1f} µs   ratio {found[peer] / found[ours]:5.2f}"

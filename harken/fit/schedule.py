"""How the learning rate moves over a run: linear warm-up, then down along a half cosine or a line."""

from __future__ import annotations

import math


def rate(step: float, steps: float, warmup: float, kind: str, floor: float = 0.0) -> float:
    """The factor on the peak learning rate at `step` (from 0) of `steps`, or at a second of all seconds.

    kind: "cosine" (https://arxiv.org/abs/1608.03983), "linear" or "constant".
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    if kind == "constant":
        return 1.0
    fall = 0.5 * (1 + math.cos(math.pi * done)) if kind == "cosine" else 1 - done
    return floor + (1 - floor) * fall

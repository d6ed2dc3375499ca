"""How the learning rate moves over a run: linear warm-up, then down, along the curve the user asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

COOLING = 0.2
"""Share of a "wsd" run in which the learning rate falls."""


def rate(step: float, steps: float, warmup: float, kind: str, floor: float = 0.0) -> float:
    """The factor on the peak learning rate at `step` (from 0) of `steps`, or at a second of all seconds.

    kind: "cosine" (https://arxiv.org/abs/1608.03983) · "linear" · "constant" · "wsd", constant and at the end down by 1 - √
    (https://arxiv.org/abs/2404.06395, https://arxiv.org/abs/2405.18392) · "inverse_sqrt", √(warmup / step), which never reaches the
    floor (https://arxiv.org/abs/1706.03762 section 5.3).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    if kind == "constant":
        return 1.0
    if kind == "inverse_sqrt":
        return max(floor, math.sqrt((warmup + 1) / (step + 1)))
    if kind == "wsd":
        begin = 1 - COOLING * steps / max(1, steps - warmup)  # the share is one of the whole run
        fall = 1.0 if done <= begin else 1 - math.sqrt((done - begin) / (1 - begin))
    else:
        fall = 0.5 * (1 + math.cos(math.pi * done)) if kind == "cosine" else 1 - done
    return floor + (1 - floor) * fall


@dataclass(frozen=True)
class Schedule:
    """What a timed run did: the learning rate of every step, and the steps it was measured at."""

    learning_rates: list[float]
    measured: list[int]

"""One side of a benchmark, in a process and an environment of its own: it makes something ready, and times one run of it whenever asked.

Lines of JSON, in and out: {"setting": {...}} makes it, {"run": {...}} runs it; the answer has `seconds` and what the run tells beside
them, or `error`. Whatever a library prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

Run = Callable[..., Mapping[str, Any] | None]


def serve(ways: Mapping[str, Callable[..., Run]]) -> None:
    """Answer until standard input ends. `ways`: what can be made, by the setting's `what`, from the rest of the setting."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run: Run | None = None
    for line in sys.stdin:
        asked, answer = json.loads(line), {}
        try:
            if "setting" in asked:
                run = ways[asked["setting"].pop("what")](**asked["setting"])
            elif run is not None:
                began = time.perf_counter()
                told = run(**asked["run"]) or {}
                answer = {"seconds": time.perf_counter() - began, **told}
        except Exception as error:  # whatever a peer says: the parent leaves it out and goes on
            answer = {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
        print(json.dumps(answer), file=answers, flush=True)


def anonymous() -> int:
    """Bytes of memory that only this process can give back: files that are mapped do not count."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


def pairs(rows: int, most: int) -> list[tuple[int, int]]:
    """Tokens of so many sources and targets, from 4 to `most`, the same every time."""
    rng = random.Random(1)
    return [(rng.randint(4, most), rng.randint(4, most)) for _ in range(rows)]

"""A small text to learn from, and runs on it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harken.fit import fit as fitting


@pytest.fixture
def stopped(monkeypatch) -> Callable[[int, Callable[[], Any]], None]:
    """`stopped(6, train)`: `train()` is killed as its sixth step begins."""

    def run(step: int, train: Callable[[], Any]) -> None:
        learn, begun = fitting.learn, []

        def until(*given: Any) -> Any:
            begun.append(given[-1])
            if len(begun) == step:
                raise KeyboardInterrupt
            return learn(*given)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(fitting, "learn", until)
            train()

    return run


@pytest.fixture(scope="session")
def lines(tmp_path_factory) -> Path:
    """300 short lines with some structure."""
    rng = random.Random(0)
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    starts, ends = ["ma", "le", "ki", "ro", "ta", "an"], ["ra", "lo", "nie", "na", "do", "sse"]
    path.write_text("\n".join("".join([*rng.choices(starts, k=rng.randint(1, 3)), rng.choice(ends)]) for _ in range(300)) + "\n")
    return path

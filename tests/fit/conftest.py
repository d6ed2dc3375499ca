"""A small text to learn from, and runs on it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def lines(tmp_path_factory) -> Path:
    """300 short lines with some structure."""
    rng = random.Random(0)
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    starts, ends = ["ma", "le", "ki", "ro", "ta", "an"], ["ra", "lo", "nie", "na", "do", "sse"]
    path.write_text("\n".join("".join([*rng.choices(starts, k=rng.randint(1, 3)), rng.choice(ends)]) for _ in range(300)) + "\n")
    return path

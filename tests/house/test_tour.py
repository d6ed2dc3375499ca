"""Every file on CONTRIBUTING's reading tour exists."""

from __future__ import annotations

import re
from pathlib import Path


def tour(text: str) -> list[str]:
    """The paths below `harken/` that the numbered list under "A reading tour" names, in order."""
    section = text.split("## A reading tour", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\d+\. \[`([^`]+)`\]\(harken/\1\)", section, re.MULTILINE)


def test_every_stop_exists(root: Path, package: Path) -> None:
    stops = tour((root / "CONTRIBUTING.md").read_text("utf-8"))
    assert len(stops) >= 12
    assert [stop for stop in stops if not (package / stop).is_file()] == []


def test_the_list_is_read() -> None:
    text = "## A reading tour\n1. [`nn/a.py`](harken/nn/a.py): a.\n2. [`b.py`](harken/b.py): b.\n\n## Else\n1. [`c.py`](harken/c.py)"
    assert tour(text) == ["nn/a.py", "b.py"]

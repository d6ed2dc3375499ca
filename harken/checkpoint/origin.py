"""Which folder a model or a tokenizer was read from, so that what it does not hold in memory can follow it to the next folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def remember(thing: Any, folder: Path) -> None:
    """Note on a model or a tokenizer where it is from."""
    vars(thing)["origin"] = folder


def origin(thing: Any) -> Path | None:
    """The folder it was read from, if it was and the folder is still there."""
    folder = vars(thing).get("origin")
    return folder if isinstance(folder, Path) and folder.is_dir() else None

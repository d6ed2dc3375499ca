"""What a page says of a model: its shape, what it can do, what it learned from, and how its loss fell.

Of a run's folder only harken.json, metrics.jsonl and README.md are read, and of the data no more than its name is told.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import read_json
from ..fit.folder import METRICS, RECORD
from ..view.inspect import parameters
from .served import Served

SIZES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers"),
    "width": ("hidden_size", "n_embd", "d_model", "dim"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads"),
}
"""Sizes by the names that families have for them; the first that config.json knows counts."""
LINES = {"loss": "training loss", "valid_loss": "held-out loss"}
"""Numbers of metrics.jsonl that are drawn, and how they are called."""
POINTS = 400
"""Points of a line at most: a screen shows no more."""
FRONT = 4096
"""Characters of README.md that are looked through for a licence."""


def card(served: Served) -> dict[str, Any]:
    """What the page says of a model; None for what nobody knows."""
    config, why = served.model.config, None
    sizes = config.write()
    try:
        dialogue = served.speech.dialogue
    except InputError as error:
        dialogue, why = False, str(error)
    return {
        "name": served.name,
        "family": config.model_type,
        "task": config.task,
        "reads": served.model.reads,
        "writes": served.writes,
        "chat": why is None,
        "why_no_chat": why,
        "persona": dialogue,
        "parameters": parameters(served.model),
        "held": served.model.held or "float32",
        **{size: next((sizes[name] for name in names if sizes.get(name) is not None), None) for size, names in SIZES.items()},
        "context": served.context,
        "vocabulary": config.vocab_size,
        "tokenizer": served.tokenizer.kind,
        "adapter": served.adapter is not None,
        "licence": licence(served.folder),
        "learned": learned(served.folder),
    }


def licence(folder: Path | None) -> str | None:
    """What the front of README.md names, as the Hub has it."""
    path = None if folder is None else folder / "README.md"
    if path is None or not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        front = file.read(FRONT)
    found = re.search(r"^license:[ \t]*[\"']?([\w.+-]+)", front, re.MULTILINE) if front.startswith("---") else None
    return found[1] if found else None


def learned(folder: Path | None) -> dict[str, Any]:
    """What a run's own record tells of it; {} where there is none."""
    if folder is None or not (folder / RECORD).is_file():
        return {}
    record = read_json(folder / RECORD)
    data, result = record.get("data") or {}, record.get("result") or {}
    read = (record.get("ledger") or {}).get("read") or {}
    told = {
        "status": record.get("status"),
        "task": record.get("task"),
        "data": Path(str(data["source"])).name if data.get("source") else None,
        "texts": data.get("texts"),
        "held out": data.get("held_out_texts"),
        "characters": read.get("characters"),
        **{name: result.get(name) for name in ("steps", "tokens", "seconds", "loss", "test_loss", "bits_per_byte")},
    }
    return {name: value for name, value in told.items() if isinstance(value, str | int | float)}


def curves(folder: Path | None) -> list[dict[str, Any]]:
    """The lines of a run's journal, [{name, points: [[step, loss]], of: how many there are}]; [] where there is none. A line that is cut
    short, as that of a run under way may be, is left out."""
    path = None if folder is None else folder / METRICS
    if path is None or not path.is_file():
        return []
    rows = list(_rows(path))
    lines = []
    for key, name in LINES.items():
        points = [[row["step"], row[key]] for row in rows if _drawn(row.get("step")) and _drawn(row.get(key))]
        if points:
            lines.append({"name": name, "points": thinned(points), "of": len(points)})
    return lines


def thinned(points: list[Any], most: int = POINTS) -> list[Any]:
    """At most so many points, evenly chosen, the first and the last among them."""
    if len(points) <= most:
        return points
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def _drawn(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row

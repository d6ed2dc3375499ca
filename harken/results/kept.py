"""What is kept of a step and of a row, as JSON, and how a call looks on a command line."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_json
from ..base.options import flag

STEPS, ROW = "steps", "row.json"


@dataclass(frozen=True)
class Finding:
    """A number of a row. `what`: of which model, by which measure · `low`, `high`: 95 % of samples of the examples, or of seeds ·
    `least`, `most`: what is wanted of it, if anything · `beside`: what others have, in words · `minutes`: of learning."""

    what: str
    value: float | None
    low: float | None = None
    high: float | None = None
    least: float | None = None
    most: float | None = None
    beside: str = ""
    minutes: float | None = None

    @property
    def wanted(self) -> str:
        """ "≥ 40" or "≤ 220"; empty where nothing is."""
        bounds = (("≥", self.least), ("≤", self.most))
        return " and ".join(f"{sign} {number(bound)}" for sign, bound in bounds if bound is not None)

    @property
    def holds(self) -> bool:
        """Whether the value is as wanted."""
        if self.value is None:
            return False
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)


@dataclass(frozen=True)
class Row:
    """A recipe that was run to its end. `commands`: step → the same on a command line · `seconds`: of all steps · `tiny`: on made-up data,
    where the numbers mean nothing."""

    name: str
    title: str
    protocol: str
    findings: list[Finding]
    notes: list[str]
    pictures: list[str]
    commands: dict[str, str]
    seconds: float
    machine: str
    tiny: bool = False


def read_row(folder: Path) -> Row | None:
    """The row whose results lie in `folder`, if it was run."""
    path = folder / ROW
    if not path.is_file():
        return None
    values = read_json(path)
    return Row(**{**values, "findings": [Finding(**each) for each in values["findings"]]})


def plain(value: Any) -> Any:
    """The same as JSON has it: dataclasses as objects, NumPy's numbers as Python's, None for what is not a number."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def command_line(name: str, places: list[Any], options: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """ "harken train DATA/names.txt --steps 100"; `names`: folder → what it is called there."""

    def word(value: Any) -> str:
        text = str(value)
        for folder, called in names.items():
            text = text.replace(folder, called)
        return text

    words = ["harken", *name.split(), *map(word, places)]
    for key, value in options.items():
        if value is True:
            words.append(flag(key))
        elif value is False:
            words.append(flag(f"no_{key}"))
        elif value is not None:
            for each in value if isinstance(value, list | tuple) else [value]:
                words += [flag(key), word(each)]
    return shlex.join(words)


def number(value: float | None) -> str:
    """As many digits as are worth reading: 1.4697, 41.02, 128.4, 1,234; a whole number without any behind the point."""
    if value is None:
        return "–"
    size = abs(value)
    digits = 0 if float(value).is_integer() else next((few for least, few in ((1000, 0), (100, 1), (10, 2)) if size >= least), 4)
    return f"{value:,.{digits}f}"


def machine() -> str:
    """The processor, in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"

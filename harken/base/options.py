"""How a dataclass field becomes a keyword, a flag, a settings key: its help, its bounds. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InputError


@dataclass(frozen=True)
class Hint:
    """What a field says beyond its type and default; the key of a dataclass field's metadata."""

    help: str
    positional: bool = False
    short: str | None = None
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    above: float | None = None

    def check(self, label: str, value: float) -> None:
        """InputError, which calls the field `label`, when a number is out of bounds."""
        for bound, holds, words in (
            (self.min, self.min is None or value >= self.min, "at least"),
            (self.max, self.max is None or value <= self.max, "at most"),
            (self.above, self.above is None or value > self.above, "above"),
        ):
            if not holds:
                raise InputError(f"{label} must be {words} {bound}, not {value}")


def flag(name: str) -> str:
    """ "learning_rate" -> "--learning-rate"."""
    return "--" + name.strip("_").replace("_", "-")


def unusual(options: Any, names: Iterable[str]) -> list[str]:
    """Those of the fields `names` that are not as they are by default, as flags."""
    return [flag(name) for name in names if getattr(options, name) != getattr(type(options), name)]


def check_uses(options: Any, task: str, uses: Mapping[str, Iterable[str]]) -> None:
    """InputError when one of the fields in `uses` is given that is for the tasks named there, and `task` is another."""
    for name, tasks in uses.items():
        if task not in tasks and unusual(options, [name]):
            raise InputError(f"{flag(name)} is for --task {' or '.join(tasks)}, not for {task}: leave it out")


def check_bounds(options: Any) -> None:
    """InputError when a number in an options object, made by hand or read from a file, is out of the bounds of its field."""
    for field in dataclasses.fields(options):
        value, hint = getattr(options, field.name), field.metadata.get(Hint)
        if hint is not None and isinstance(value, int | float) and not isinstance(value, bool):
            hint.check(field.name, value)


def argument(first: Any, help: str | None = None, *, metavar: str | None = None) -> Any:
    """A positional field: `argument(help)` must be given, `argument(default, help)` may be left out."""
    if help is None:
        return dataclasses.field(metadata={Hint: Hint(first, positional=True, metavar=metavar)})
    return dataclasses.field(default=first, metadata={Hint: Hint(help, positional=True, metavar=metavar)})


def option(
    default: Any,
    help: str,
    *,
    short: str | None = None,
    metavar: str | None = None,
    min: float | None = None,
    max: float | None = None,
    above: float | None = None,
) -> Any:
    """A keyword and a flag: `--kebab-case`, with `short` ("-o") beside it. `min` and `max` are allowed values, `above` no longer is."""
    return dataclasses.field(default=default, metadata={Hint: Hint(help, False, short, metavar, min, max, above)})

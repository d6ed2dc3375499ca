"""How a dataclass field becomes a keyword, a flag, a settings key: its help, its bounds. No imports beyond the standard library."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


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

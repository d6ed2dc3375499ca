"""What a cell of a row means: text, a list of texts, a number; and one sentence with file and line where it is none."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from typing import Any

from ..base.errors import InputError
from .read import text_of
from .tables import Row

_MOST = 40  # characters of a value that a message shows


def said(row: Row, role: str, what: str) -> InputError:
    """An error on one cell: "a.csv line 3: the label is empty"."""
    return InputError(f"{row.where}: the {_called(row, role)} {what}")


def text(row: Row, role: str, *, empty: bool = False) -> str:
    """The text of a role; "" for one that is not there. InputError when it is none, or white space only and not allowed to be `empty`."""
    value = row.values.get(role)
    if value is None and (empty or role in row.values):
        value = ""
    if value is None:
        raise InputError(f"{row.where} has no {role}")
    value = text_of(value, row.fields.get(role, role), row.where)
    if not empty and not value.strip():
        raise said(row, role, "is empty")
    return value


def texts(row: Row, role: str, *, split: str | None = None, empty: bool = False) -> tuple[str, ...]:
    """The texts of a role that holds a list: a list, one written as JSON or as Python writes it, or text to be `split` ("" at blanks,
    None not at all). InputError when it holds anything else, or nothing and is not allowed to be `empty`."""
    value = listed(row, role, split)
    found = tuple(text_of(each, row.fields.get(role, role), row.where) for each in value)
    if not found and not empty:
        raise InputError(f"{row.where} has no {_called(row, role)}")
    return found


def listed(row: Row, role: str, split: str | None = None) -> list[Any]:
    """The list that a role holds, as in `texts`, whatever is in it."""
    value = row.values.get(role)
    if value is None:
        return []
    if isinstance(value, str):
        value = structure(value)
    if isinstance(value, str):
        if not value.strip():
            return []
        return [value] if split is None else value.split(split or None)
    if isinstance(value, Mapping):
        return [value]
    return list(value) if isinstance(value, list | tuple) or hasattr(value, "tolist") else [value]


def structure(value: str) -> Any:
    """What JSON or Python writes as a list or an object; the text itself where it is neither."""
    if value.lstrip()[:1] in ("[", "{"):
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(value.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, list | dict | tuple):
                return found
    return value


def number(row: Row, role: str) -> float:
    """The number of a role. InputError when it is none, or not finite."""
    value = row.values.get(role)
    try:
        found = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        shown = "is empty" if value is None or not str(value).strip() else f"is {brief(value)}, which is no number"
        raise said(row, role, shown)
    return found


def brief(value: Any) -> str:
    """A value for a sentence, shortened."""
    shown = repr(value)
    return shown if len(shown) <= _MOST else shown[: _MOST - 1] + "…"


def frozen(value: Any) -> Any:
    """The same with tuples for lists, to any depth of lists."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def _called(row: Row, role: str) -> str:
    field = row.fields.get(role, role)
    return role if field == role else f"{role} (its field {field!r})"

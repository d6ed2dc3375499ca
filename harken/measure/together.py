"""Two sides of equally many, walked together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from ..base.errors import InputError

_OVER = object()


def together(first: Iterable[Any], second: Iterable[Any], names: tuple[str, str]) -> Iterator[tuple[Any, Any]]:
    """Pairs. InputError, in these names, where one side ends before the other."""
    for i, (one, other) in enumerate(zip_longest(first, second, fillvalue=_OVER)):
        if one is _OVER or other is _OVER:
            short, long = names if one is _OVER else names[::-1]
            raise InputError(f"there are {i:,} {short} but more {long}: give one for each")
        yield one, other

"""Words as the baselines see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


def words(text: str) -> list[str]:
    """Words and marks in small letters; "don't" and "well-made" are one each."""
    return _WORD.findall(text.lower())


def grams(text: str) -> Iterator[str]:
    """Words, and pairs of neighbours with a space between."""
    found = words(text)
    yield from found
    for first, second in pairwise(found):
        yield f"{first} {second}"

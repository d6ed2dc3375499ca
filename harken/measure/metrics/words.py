"""Words two texts share, as the answers of SQuAD and the replies of ConvAI2 are measured."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from .metric import f1

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_MARKS = {gap: str.maketrans(dict.fromkeys(string.punctuation, gap)) for gap in ("", " ")}


def plain(text: str, gap: Literal["", " "]) -> list[str]:
    """Small letters, without the 32 marks of ASCII and without a, an, the. `gap`: what a mark leaves, in SQuAD nothing."""
    return _ARTICLES.sub(" ", text.lower().translate(_MARKS[gap])).split()


def shared(first: Sequence[str], second: Sequence[str]) -> float:
    """F1 of two bags of words, in 0–1."""
    return f1((Counter(first) & Counter(second)).total(), len(first), len(second))

"""An answer by matching words: the sentence that shares most with the question, and in it the names and numbers the question does not hold.

The sliding window of Richardson et al. (2013, https://aclanthology.org/D13-1020), by sentences; rare words of the context weigh more.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from math import fsum, log

from ..sentences import spans

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_LONGEST = 5
"""Words of an answer, which are few."""


@dataclass(frozen=True)
class Found:
    """`text` = context[start:end]; "" at 0 for a context without a word."""

    text: str
    start: int
    end: int


def ranked(question: str, context: str) -> list[tuple[int, int]]:
    """Where the sentences of a context begin and end, those first whose words, each counted once and by its rarity in the context, are most
    in the question; equals as they stand."""
    asked, count = set(_lower(question)), Counter(_lower(context))
    total = count.total()

    def worth(span: tuple[int, int]) -> float:  # fsum, because a set has no order to add in
        return fsum(log(1 + total / count[word]) for word in asked & set(_lower(context[slice(*span)])))

    return sorted(spans(context), key=worth, reverse=True)


def best_sentence(question: str, context: str) -> Found:
    """The first of the `ranked`."""
    best = next(iter(ranked(question, context)), (0, 0))
    return Found(context[slice(*best)], *best)


def best_name(question: str, context: str) -> Found:
    """In the best sentence, up to five neighbouring names or numbers (a capital or a digit begins each) that the question does not hold
    and that are rarest in the context; the sentence where there is none. The first word counts half: its capital says little."""
    asked, count = set(_lower(question)), Counter(_lower(context))
    sentence = best_sentence(question, context)
    total, worth = count.total(), []
    words = list(_WORD.finditer(sentence.text))
    for i, word in enumerate(words):
        text = word.group()
        named = text.lower() not in asked and (text[0].isupper() or text[0].isdigit())
        worth.append(named * log(1 + total / count[text.lower()]) * (0.5 if i == 0 and not text[0].isdigit() else 1))
    runs = [(first, last) for first in range(len(words)) for last in range(first, min(first + _LONGEST, len(words)))]
    runs = [run for run in runs if all(worth[run[0] : run[1] + 1])]
    if not runs:
        return sentence
    first, last = max(runs, key=lambda run: sum(worth[run[0] : run[1] + 1]))
    begin, end = sentence.start + words[first].start(), sentence.start + words[last].end()
    return Found(context[begin:end], begin, end)


def _lower(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]

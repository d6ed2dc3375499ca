"""Of each word, the tag it has most often in training; of a word never seen, the most frequent tag of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...base.errors import InputError
from ..together import together


@dataclass(frozen=True)
class TagPerWord:
    """`tags`: word -> its most frequent tag · `other`: that of words which are not there."""

    tags: dict[str, str]
    other: str

    def predict(self, sentences: Iterable[Sequence[str]]) -> list[list[str]]:
        """A tag for each word of each sentence."""
        return [[self.tags.get(word, self.other) for word in sentence] for sentence in sentences]


def tag_per_word(sentences: Iterable[Sequence[str]], tags: Iterable[Sequence[str]]) -> TagPerWord:
    """Count once through sentences (lists of words) and their tags. InputError when they do not match, or there is no word."""
    counts: dict[str, Counter[str]] = {}
    total: Counter[str] = Counter()
    for number, (words, given) in enumerate(together(sentences, tags, ("sentences", "rows of tags")), 1):
        if len(words) != len(given):
            raise InputError(f"sentence {number:,}: {len(words):,} words stand against {len(given):,} tags: there must be one for each")
        total.update(given)
        for word, tag in zip(words, given, strict=True):
            counts.setdefault(word, Counter())[tag] += 1
    if not total:
        raise InputError("the most frequent tags of no training words are unknown: give at least one")
    return TagPerWord({word: some.most_common(1)[0][0] for word, some in counts.items()}, total.most_common(1)[0][0])

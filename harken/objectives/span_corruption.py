"""T5's span corruption: write what stood in the gaps of a text, each behind the name of its gap.

    Thank you for inviting me to your party last week      https://arxiv.org/abs/1910.10683 section 3.1.4
    source  Thank you <extra_id_0> me to your party <extra_id_1> week
    target  <extra_id_0> for inviting <extra_id_1> last

15 % of the tokens are hidden in spans of 3 on average. As in the published code the number of spans is fixed by the length, both the
hidden tokens and the others are parted into so many spans at random, every such parting alike, and the text begins with one that is kept
and ends with one that is hidden. Only a span that is alone may stand anywhere: it would always be the end of a short text, for which the
published code has random_roll. The loss is that of sequence to sequence.   L tokens
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base.errors import InputError
from ..text.tokenizer import Tokenizer

RATE, SPAN = 0.15, 3.0
SENTINELS = 100
"""Names for gaps that a new tokenizer gets: <extra_id_99>, ... <extra_id_0>, which are its last ids."""


@dataclass(frozen=True)
class SpanCorruption:
    """The noise. `sentinel`: id of the first gap's name; those of the others fall from there · `sentinels`: how many there are."""

    sentinel: int
    sentinels: int = SENTINELS
    rate: float = RATE
    span: float = SPAN

    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """ids (L,), L at least 2 -> (source, target), without what stands around them."""
        hidden = noise_mask(len(ids), rng, self.rate, self.span)
        return self._named(ids, hidden), self._named(ids, ~hidden)

    def counts(self, length: int) -> tuple[int, int]:
        """(hidden tokens, spans) of a text of so many tokens."""
        return counts(length, self.rate, self.span)

    def room(self, context: int) -> int:
        """Tokens of the longest text whose source and target have at most `context`. InputError when there are too few names for gaps."""
        length = context
        while self._longer_side(length) > context:
            length -= 1
        while self._longer_side(length + 1) <= context:
            length += 1
        if (spans := self.counts(length)[1]) > self.sentinels:
            raise InputError(
                f"a text of {length:,} tokens has {spans:,} gaps, and the tokenizer names {self.sentinels}: "
                "give a smaller --context or --mask-rate, or a larger --span-length"
            )
        return length

    def restored(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The text before it was broken: the inverse of the noise."""
        kept, hidden = (np.split(side, np.flatnonzero(self._is_name(side))) for side in (source, target))
        # Behind the first, every stretch begins with the name of a gap.
        return np.concatenate([kept[0], *(part[1:] for gap in zip(hidden[1:], kept[1:], strict=False) for part in gap)])

    def _longer_side(self, length: int) -> int:
        hidden, spans = self.counts(length)
        return max(length - hidden, hidden + 1) + spans  # the kept end of a text has a name too

    def _is_name(self, ids: np.ndarray) -> np.ndarray:
        return (ids <= self.sentinel) & (ids > self.sentinel - self.sentinels)

    def _named(self, ids: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """Every stretch that is hidden becomes the name of a gap."""
        first = hidden & ~np.append(False, hidden[:-1])
        return np.where(first, self.sentinel + 1 - np.cumsum(first), ids)[first | ~hidden]


def counts(length: int, rate: float = RATE, span: float = SPAN) -> tuple[int, int]:
    """(hidden tokens, spans) of a text of so many tokens, two or more."""
    hidden = min(max(round(length * rate), 1), length - 1)
    return hidden, min(max(round(hidden / span), 1), length - hidden)


def noise_mask(length: int, rng: np.random.Generator, rate: float = RATE, span: float = SPAN) -> np.ndarray:
    """(L,) bool: which tokens are hidden."""
    hidden, spans = counts(length, rate, span)
    if spans == 1:
        place = np.arange(length) - int(rng.integers(1, length - hidden + 1))
        return (place >= 0) & (place < hidden)
    kept = parted(length - hidden, spans, rng)
    lengths = np.stack([kept, parted(hidden, spans, rng)], 1).ravel()  # a stretch that is kept, then one that is hidden
    return np.repeat(np.arange(2 * spans) % 2 == 1, lengths)


def parted(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """(parts,) whole numbers of 1 or more that add up to `total`; each such list is as likely."""
    cuts = np.sort(rng.permutation(total - 1)[: parts - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def span_corruption(tokenizer: Tokenizer, rate: float = RATE, span: float = SPAN) -> SpanCorruption:
    """The noise for texts of this tokenizer. InputError when it has no names for gaps."""
    first, count = tokenizer.inner.token_to_id(sentinel(0)), 0
    if first is None:
        raise InputError(f"this tokenizer has no names for gaps such as {sentinel(0)}: add them with harken tokenizer extend")
    while tokenizer.inner.token_to_id(sentinel(count)) == first - count:
        count += 1
    return SpanCorruption(first, count, rate, span)


def sentinel(number: int) -> str:
    """The name of a gap."""
    return f"<extra_id_{number}>"

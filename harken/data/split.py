"""Hold out a share for validation, by content: duplicates stay on one side, and no example changes sides when others are added."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from ..base.errors import InputError
from .corpus import Corpus
from .texts import Texts, first_bytes

_BUCKETS = 10_000
_FEWEST_DOCUMENTS = 10  # fewer would make the share a matter of luck, so the text is cut instead
_ENOUGH_BYTES = 1e6  # validation text beyond this sharpens no number that a person reads
_FARTHEST = 500_000  # characters from where the share ends to where the text is cut


def split(corpus: Corpus, share: float | None = None) -> tuple[Corpus, Corpus]:
    """(train, valid), the same for the same texts; `share` (0 to below 1; None: a tenth, at most about a megabyte) goes to valid.

    Examples, and ten or more documents, go by a hash of their text. Fewer documents of running text are cut at a line start near the end.
    Valid has no texts when there is nothing to spare (a single distinct example). Both sides carry one new ledger with the stage "split".
    For a given share an example never moves when data is added; the default share shrinks beyond ten megabytes, which moves examples
    from valid to train only.
    """
    texts = corpus.texts
    if share is None:
        share = min(0.1, _ENOUGH_BYTES / max(corpus.bytes(), 1))
    elif not 0 <= share < 1:
        raise InputError(f"the share for validation is {share:g}, but must be at least 0 and below 1")
    if share == 0:
        train, valid = texts, texts[:0]
    elif corpus.kind == "running" and len(texts) < _FEWEST_DOCUMENTS:
        train, valid = _by_place(texts, share)
    else:
        chosen = held_out(texts, share)
        train, valid = texts.select(~chosen), texts.select(chosen)
    ledger = corpus.ledger.copy()
    for unit, of in (("texts", len), ("characters", lambda each: each.characters)):
        ledger.add("split", f"train {unit}", of(train))
        ledger.add("split", f"valid {unit}", of(valid))
    ledger.add("split", "characters", texts.characters)
    ledger.balance("split", "characters", "train characters", "valid characters")
    return replace(corpus, texts=train, ledger=ledger), replace(corpus, texts=valid, ledger=ledger, notes=[])


def held_out(texts: Texts, share: float | None = None) -> np.ndarray:
    """(n,) bool: which texts are held out, by a hash of each; as in `split`, of which this is the rule for examples."""
    share = min(0.1, _ENOUGH_BYTES / max(texts.size, 1)) if share is None else share
    chosen = np.zeros(len(texts), bool)
    at, least, most = 0, np.uint64(-1 % 2**64), np.uint64(0)
    for hashes in texts.fingerprints():
        chosen[at : at + len(hashes)] = hashes % _BUCKETS < share * _BUCKETS
        at, least, most = at + len(hashes), min(least, hashes.min()), max(most, hashes.max())
    if least >= most:  # one distinct text, or none
        chosen[:] = False
    elif not chosen.any() or chosen.all():
        chosen = np.concatenate([hashes == least for hashes in texts.fingerprints()])
    return chosen


def _by_place(texts: Texts, share: float) -> tuple[Texts, Texts]:
    """The last `share` of all characters, across documents."""
    held = texts.characters * share
    before = 0
    for i, length in enumerate([length for some in texts.lengths() for length in some.tolist()]):
        if before + length > texts.characters - held:
            place = _cut(texts[i : i + 1], length, round(texts.characters - held) - before, min(round(held / 2), _FARTHEST))
            start, end = texts.bounds[i].tolist()
            train = np.concatenate([texts.bounds[:i], [[start, place]]])
            valid = np.concatenate([[[place, end]], texts.bounds[i + 1 :]])
            train, valid = (Texts(texts.blob, each[each[:, 1] > each[:, 0]]) for each in (train, valid))
            # Nothing to learn from, or nothing to measure: better no validation than one of line ends.
            if train.has_text() and valid.has_text():
                return train, valid
            break
        before += length
    return texts, texts[:0]


def _cut(text: Texts, length: int, target: int, slack: int) -> int:
    """The place in the blob of the character nearest to `target`, at most `slack` away, where a line starts; else where a word starts;
    else of `target`. `text` is a single one of `length` characters."""
    low, high = max(target - slack, 0), min(target + slack, length)
    first = max(low - 1, 0)
    begin = _place(text, first)
    window = text.blob.read(begin, _place(text, high)).decode("utf-8")
    for start in (r"(?<=\n)" if first else r"(?<=\n)|\A", r"(?<=\s)(?=\S)"):
        places = [first + match.start() for match in re.compile(start).finditer(window, low - first)]
        if places:
            target = min(places, key=lambda place: abs(place - target))
            break
    return begin + len(window[: target - first].encode("utf-8"))


def _place(text: Texts, character: int) -> int:
    """Where in the blob this character of a single text begins; its end for the number of all of them."""
    start, end = text.bounds[0].tolist()
    for at, block in text.blob.blocks(start, end):
        places = np.flatnonzero(first_bytes(block))
        if character < len(places):
            return at + int(places[character])
        character -= len(places)
    return end

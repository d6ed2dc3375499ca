"""Hold out a share for validation, by content: duplicates stay on one side, and no example changes sides when others are added."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from ..base.errors import InputError
from .corpus import Corpus

_BUCKETS = 10_000
_FEWEST_DOCUMENTS = 10  # fewer would make the share a matter of luck, so the text is cut instead
_ENOUGH_BYTES = 1e6  # validation text beyond this sharpens no number that a person reads


def split(corpus: Corpus, share: float | None = None) -> tuple[Corpus, Corpus]:
    """(train, valid), the same for the same texts; `share` (0 to below 1; None: a tenth, at most about a megabyte) goes to valid.

    Examples, and ten or more documents, go by a hash of their text. Fewer documents of running text are cut at a line start near the end.
    Valid has no texts when there is nothing to spare (a single distinct example). Both sides carry one new ledger with the stage "split".
    For a given share an example never moves when data is added; the default share shrinks beyond ten megabytes, which moves examples
    from valid to train only.
    """
    if share is None:
        share = min(0.1, _ENOUGH_BYTES / max(corpus.bytes(), 1))
    elif not 0 <= share < 1:
        raise InputError(f"the share for validation is {share:g}, but must be at least 0 and below 1")
    if share == 0:
        train, valid = list(corpus.texts), []
    elif corpus.kind == "running" and len(corpus.texts) < _FEWEST_DOCUMENTS:
        train, valid = _by_place(corpus.texts, share)
    else:
        train, valid = _by_hash(corpus.texts, share)
    ledger = corpus.ledger.copy()
    for unit, size in (("texts", len), ("characters", lambda texts: sum(map(len, texts)))):
        ledger.add("split", f"train {unit}", size(train))
        ledger.add("split", f"valid {unit}", size(valid))
    ledger.add("split", "characters", sum(map(len, corpus.texts)))
    ledger.balance("split", "characters", "train characters", "valid characters")
    return replace(corpus, texts=train, ledger=ledger), replace(corpus, texts=valid, ledger=ledger, notes=[])


def fingerprint(text: str) -> int:
    """64 bits of a text's BLAKE2 hash."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _by_hash(texts: list[str], share: float) -> tuple[list[str], list[str]]:
    hashes = [fingerprint(text) for text in texts]
    distinct = set(hashes)
    chosen = {value for value in distinct if value % _BUCKETS < share * _BUCKETS}
    if len(distinct) < 2:
        chosen = set()
    elif not chosen or chosen == distinct:
        chosen = {min(distinct)}
    train = [text for text, value in zip(texts, hashes, strict=True) if value not in chosen]
    valid = [text for text, value in zip(texts, hashes, strict=True) if value in chosen]
    return train, valid


def _by_place(texts: list[str], share: float) -> tuple[list[str], list[str]]:
    """The last `share` of all characters, across documents."""
    total = sum(map(len, texts))
    held = total * share
    before = 0
    for i, text in enumerate(texts):
        if before + len(text) > total - held:
            place = _cut(text, round(total - held) - before, round(held / 2))
            train, valid = [*texts[:i], text[:place]], [text[place:], *texts[i + 1 :]]
            train, valid = [t for t in train if t], [t for t in valid if t]
            # Nothing to learn from, or nothing to measure: better no validation than one of line ends.
            if any(map(str.strip, train)) and any(map(str.strip, valid)):
                return train, valid
            break
        before += len(text)
    return list(texts), []


def _cut(text: str, target: int, slack: int) -> int:
    """The place in `text` nearest to `target`, at most `slack` away, where a line starts; else where a word starts; else `target`."""
    low, high = max(target - slack, 0), min(target + slack, len(text))
    for start in (r"(?<=\n)|\A", r"(?<=\s)(?=\S)"):
        places = [match.start() for match in re.compile(start).finditer(text, low, high)]
        if places:
            return min(places, key=lambda place: abs(place - target))
    return target

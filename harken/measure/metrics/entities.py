"""Names found in a text: precision, recall and F1 of whole entities (first word, last word and type), as conlleval and seqeval count.

As conlleval reads tags (CoNLL 2000 and 2003, https://aclanthology.org/W03-0419), one that cannot follow the tag before begins an entity:
I-PER after O, or after a LOC. The same reading serves BIO, IOB1, BIOES and BILOU. A strict `scheme` instead drops entities that are not
tagged as it demands.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from ...base.errors import InputError, did_you_mean
from .metric import f1, ratio

Scheme = Literal["BIO", "BIOES"]
_SAME = {"L": "E", "U": "S"}  # BILOU's letters
_LETTERS = {None: "BIES", "BIO": "BI", "BIOES": "BIES"}


class EntityF1:
    """A tag a word: precision, recall and F1 of all entities, accuracy of the tags; of each of `types` an F1, and their macro mean.

    `scheme`: None reads as conlleval does and as seqeval does by default, "BIO" and "BIOES" as seqeval's strict mode.
    `types`: as in PER and LOC; the macro mean is over those that occur. All numbers are in 0–1.
    """

    kind = "int32"

    def __init__(self, types: Sequence[str] = (), scheme: Scheme | None = None) -> None:
        if scheme not in _LETTERS:
            raise InputError(f"the scheme {scheme!r} is unknown{did_you_mean(str(scheme), ('BIO', 'BIOES'))}")
        self.types = tuple(types)
        self.scheme: Scheme | None = scheme

    def row(self, prediction: Sequence[str], reference: Sequence[str]) -> list[int]:
        if len(prediction) != len(reference):
            raise InputError(
                f"{len(prediction):,} predicted tags stand against {len(reference):,} right ones: there must be one for each word"
            )
        sides = [set(entities(tags, self.scheme)) for tags in (prediction, reference)]
        both = sides[0] & sides[1]
        found = [sum(a == b for a, b in zip(prediction, reference, strict=True)), len(reference), len(both), *map(len, sides)]
        if self.types:
            if strange := {kind for _, _, kind in sides[0] | sides[1]} - set(self.types):
                raise InputError(f"an entity of type {min(strange)!r} is none of the types{did_you_mean(min(strange), self.types)}")
            found += [sum(entity[2] == kind for entity in some) for kind in self.types for some in (both, *sides)]
        return found

    def value(self, rows: np.ndarray) -> dict[str, float]:
        right, words, both, predicted, wanted, *each = rows.sum(0, dtype=np.int64).tolist()
        found = {
            "precision": ratio(both, predicted),
            "recall": ratio(both, wanted),
            "f1": f1(both, predicted, wanted),
            "accuracy": ratio(right, words),
        }
        counts = [each[i : i + 3] for i in range(0, len(each), 3)]
        own = {kind: f1(*count) if count[1] + count[2] else math.nan for kind, count in zip(self.types, counts, strict=True)}
        if own:
            there = [value for value in own.values() if not math.isnan(value)]
            found["f1_macro"] = sum(there) / len(there) if there else 0.0
        return found | {f"f1_{kind}": value for kind, value in own.items()}

    def signature(self, rows: np.ndarray) -> str:
        return f"entities|mode:{f'strict {self.scheme}' if self.scheme else 'conlleval'}"


def entities(tags: Sequence[str], scheme: Scheme | None = None) -> Iterator[tuple[int, int, str]]:
    """(first word, word after the last, type) of each entity. InputError for a tag that the scheme does not have."""
    start, before, kind = 0, "O", ""
    for i, (letter, own) in enumerate([*(_parts(tag, scheme) for tag in tags), ("O", "")]):
        inside = letter in "IE" and before in "BI" and own == kind
        if before != "O" and not inside and (scheme != "BIOES" or before in "ES"):
            yield start, i, kind
        if not inside:
            start, kind = i, own
            if scheme and letter in "IE":  # nothing that it could belong to
                letter = "O"
        before = letter


def _parts(tag: str, scheme: Scheme | None) -> tuple[str, str]:
    """("B", "PER"), or ("O", ""); a tag without a type has the type "_", as seqeval names it."""
    if tag == "O":
        return "O", ""
    letter, _, kind = tag.partition("-")
    letter = _SAME.get(letter, letter)
    if len(letter) != 1 or letter not in _LETTERS[scheme]:
        raise InputError(
            f"the tag {tag!r} is not one of {scheme or 'BIO, BIOES or BILOU'}: it begins with none of {', '.join(_LETTERS[scheme])}, O"
        )
    return letter, kind or "_"

"""ROUGE of a summary, by Google's rouge-score: F1 of shared words (1), pairs (2), and longest common subsequence (L), in 0–1.

ROUGE-L takes the text as one line; ROUGE-Lsum takes sentences, a line each, and joins what each finds. Lin, 2004
(https://aclanthology.org/W04-1013).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...base.errors import InputError
from ..sentences import sentences
from .library import library, named

_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_LINE = re.compile(r"\n")


class Rouge:
    """A summary against one or more, of which the nearest counts, for each number by itself.

    `stemmer`: Porter's, by which runs and running are one word. `split`: a text without line breaks is cut into sentences for Lsum.
    `unicode`: words in any script; rouge-score by itself reads a–z and 0–9 alone, and a reference in which it finds nothing is an
    InputError. So is a missing rouge-score.
    """

    kind = "float64"

    def __init__(self, stemmer: bool = False, split: bool = False, unicode: bool = False) -> None:
        scorer = library("rouge_score.rouge_scorer", "rouge-score", "ROUGE")
        self._scorer = scorer.RougeScorer(list(_KINDS), use_stemmer=stemmer, tokenizer=_Unicode() if unicode else None)
        if stemmer and unicode:
            raise InputError("ROUGE's stemmer knows English alone: ask for stemmer or for unicode")
        self.stemmer, self.split, self.unicode = stemmer, split, unicode

    def row(self, prediction: str, reference: str | Sequence[str]) -> list[float]:
        references = [reference] if isinstance(reference, str) else list(reference)
        if not references:
            raise InputError("there is no summary to measure against: give at least one")
        if not self.unicode and not any(re.search("[a-z0-9]", each.lower()) for each in references) and any(map(str.strip, references)):
            raise InputError("the right summary holds none of a–z and 0–9, which is all that ROUGE reads: measure with unicode")
        scores = self._scorer.score_multi([self._lines(each) for each in references], self._lines(prediction))
        return [scores[kind].fmeasure for kind in _KINDS]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        return dict(zip(_KINDS, rows.mean(0).tolist(), strict=True))

    def signature(self, rows: np.ndarray) -> str:
        facts = {"stemmer": self.stemmer, "split": self.split, "unicode": self.unicode}
        return "|".join([named("rouge-score"), "fmeasure", *(f"{name}:{'yes' if on else 'no'}" for name, on in facts.items())])

    def _lines(self, text: str) -> str:
        return "\n".join(sentences(text)) if self.split and not _LINE.search(text.strip()) else text


class _Unicode:
    """rouge-score's protocol for a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())

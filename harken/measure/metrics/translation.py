"""BLEU and chrF of a translation, by sacrebleu, in 0–100, with its signature (Post 2018, https://aclanthology.org/W18-6319).

What is kept of a sentence is what sacrebleu itself counts in it, and a value is sacrebleu's own formula over the sums: BLEU (Papineni et
al., 2002, https://aclanthology.org/P02-1040) is that of the corpus, not a mean over sentences; so is chrF (Popović 2015,
https://aclanthology.org/W15-3049).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...base.errors import InputError, did_you_mean
from .library import library


class Bleu:
    """A translation against one or more: BLEU. InputError when sacrebleu, or its tokenizer, is missing.

    `tokenize`: sacrebleu's 13a (for words between spaces), intl, zh, char, none, … · `lowercase`: capital letters do not count.
    """

    kind = "int64"

    def __init__(self, tokenize: str = "13a", lowercase: bool = False) -> None:
        bleu = library("sacrebleu.metrics.bleu", "sacrebleu", "BLEU").BLEU
        if tokenize not in bleu.TOKENIZERS:
            raise InputError(f"sacrebleu has no tokenizer {tokenize!r}{did_you_mean(tokenize, bleu.TOKENIZERS)}")
        try:
            self._scorer = bleu(tokenize=tokenize, lowercase=lowercase, force=True)
        except (ImportError, RuntimeError, OSError) as error:
            raise InputError(f"sacrebleu cannot use its tokenizer {tokenize!r}: {' '.join(str(error).split())}") from None

    def row(self, prediction: str, reference: str | Sequence[str]) -> list[int]:
        return _row(self._scorer, prediction, reference)

    def value(self, rows: np.ndarray) -> dict[str, float]:
        return {"bleu": _value(self._scorer, rows)}

    def signature(self, rows: np.ndarray) -> str:
        return _signature(self._scorer, rows)


class Chrf:
    """A translation against one or more: chrF2 of runs of up to 6 characters; chrF2++ with `word_order` 2."""

    kind = "int64"

    def __init__(self, word_order: int = 0, lowercase: bool = False) -> None:
        self._scorer = library("sacrebleu.metrics.chrf", "sacrebleu", "chrF").CHRF(word_order=word_order, lowercase=lowercase)
        self.name = "chrf" + "+" * word_order

    def row(self, prediction: str, reference: str | Sequence[str]) -> list[int]:
        return _row(self._scorer, prediction, reference)

    def value(self, rows: np.ndarray) -> dict[str, float]:
        return {self.name: _value(self._scorer, rows)}

    def signature(self, rows: np.ndarray) -> str:
        return _signature(self._scorer, rows)


# sacrebleu's tests of significance work on the same methods, which its own metrics have to provide; a test here watches that they stay.
def _row(scorer: Any, prediction: str, reference: str | Sequence[str]) -> list[int]:
    """How many references there are, then sacrebleu's counts."""
    references = [reference] if isinstance(reference, str) else list(reference)
    if not references:
        raise InputError("there is no reference to measure against: give at least one")
    counts = scorer._extract_corpus_statistics([prediction], [[each] for each in references])[0]
    return [len(references), *counts]


def _value(scorer: Any, rows: np.ndarray) -> float:
    return float(scorer._compute_score_from_stats(rows[:, 1:].sum(0).tolist()).score)


def _signature(scorer: Any, rows: np.ndarray) -> str:
    """ "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0" """
    counts = np.unique(rows[:, 0])
    scorer.num_refs = int(counts[0]) if len(counts) == 1 else -1  # sacrebleu's word for: not equally many
    return scorer.get_signature().format()

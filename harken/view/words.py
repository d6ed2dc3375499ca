"""Which words a model holds for alike, and where its analogies lead: its token vectors, compared by their angle.

    Words(model, tokenizer).similar("king", 10)               Words(model, tokenizer).analogy("king", "man", "woman", 10)

Mikolov et al. 2013, https://arxiv.org/abs/1301.3781 · V vocabulary · D width
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..base.errors import InputError
from ..base.report import say
from ..nn.models import Model
from ..nn.vectors import Method, analogy_scores, normed, token_vectors
from ..text.tokenizer import Tokenizer

SHOWN = 12
"""Pieces of a word that are named before the rest is only counted."""


@dataclass(frozen=True)
class Neighbour:
    """A token that reads as `word`. `score`: the cosine with what was asked for, -1 to 1; of 3CosMul the ratio, from 0."""

    word: str
    id: int
    score: float


class Words:
    """The vectors of a model's tokens, of length one, and the tokenizer that finds them. InputError for a model that has none."""

    def __init__(self, model: Model, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.vectors = token_vectors(model, tokenizer.vocab_size)  # (V, D)
        self.units = normed(self.vectors)
        self.empty = np.all(self.vectors == 0, axis=1)  # no word, or one that was never seen near another

    def similar(self, word: str, top: int = 10) -> list[Neighbour]:
        """The `top` words with the largest cosine, largest first; of equals the one with the smaller id. Not the word itself.

        InputError when the model does not know the word.
        """
        return self._best(self.units @ self.vector(word), top, (word,))

    def analogy(self, a: str, b: str, c: str, top: int = 10, method: Method = "add") -> list[Neighbour]:
        """What stands to c as a to b: a - b + c, king - man + woman. The three words themselves do not count. InputError as above."""
        one, two, three = (self.vector(word) for word in (a, b, c))
        return self._best(analogy_scores(self.units, one, two, three, method), top, (a, b, c))

    def vector(self, word: str) -> np.ndarray:
        """(D,) of length one: that of the word's token, or the mean of those of its pieces, which is then said."""
        ids = self.pieces(word)
        if len(ids) > 1:
            names = ", ".join(repr(self.tokenizer.token(i).strip()) for i in ids[:SHOWN]) + (", …" if len(ids) > SHOWN else "")
            say(f"{word!r} is not one token of this model: the mean of the vectors of its {len(ids)} pieces stands for it: {names}")
        mean = self.vectors[ids].mean(0)
        if not mean.any():
            raise InputError(f"{word!r} has no direction: it was never seen near another word more often than by chance")
        return normed(mean)

    def pieces(self, word: str) -> list[int]:
        """The ids of a word. InputError, with what may have been meant, when there are none or one is unknown."""
        if ids := self.find(word):
            return ids
        if not self.tokenizer.encode(word.strip(), special=False):
            raise InputError(f"{word!r} is no word: give one with a letter in it")
        known = f"the {np.count_nonzero(~self.empty):,} words" if self.tokenizer.kind == "word" else "the pieces"
        raise InputError(f"{word!r} is not among {known} this model has vectors for{self._close(word.strip())}")

    def find(self, word: str) -> list[int]:
        """The ids of a word as it stands inside a text, behind a blank, or at its start where it has fewer there; nothing where the
        tokenizer does not know all of it."""
        ways = [self.tokenizer.encode(text, special=False) for text in (f" {word.strip()}", word.strip())]
        ids = min((way for way in ways if way), key=len, default=[])
        return [] if self.tokenizer.unk_id in ids else ids

    def _best(self, scores: np.ndarray, top: int, asked: tuple[str, ...]) -> list[Neighbour]:
        """The tokens with the largest scores that read as words of their own, without those that were asked about and their pieces."""
        special = [i for i in self.tokenizer.special_ids if i < len(scores)]
        scores = np.where(self.empty, -np.inf, scores)
        scores[special] = -np.inf
        scores[[i for word in asked for i in self.pieces(word)]] = -np.inf
        seen, found = {word.strip() for word in asked}, []
        for i in np.argsort(-scores, kind="stable").tolist():
            if len(found) == top or scores[i] == -np.inf:
                break
            word = self.tokenizer.token(i).strip()
            if word and "\ufffd" not in word and word not in seen:
                seen.add(word)  # " king" and "king" read alike: the nearer one stands for both
                found.append(Neighbour(word, i, float(scores[i])))
        return found

    def _close(self, word: str) -> str:
        """` (did you mean 'king'?)` where a word that is known is close."""
        known = difflib.get_close_matches(word.lower(), self._alike(len(word)), n=2, cutoff=0.7) if self.tokenizer.kind == "word" else []
        return f" (did you mean {' or '.join(map(repr, known))}?)" if known else ""

    def _alike(self, length: int) -> Iterator[str]:
        """The words of about that length: comparing letters takes long."""
        words = (word.strip() for word, i in self.tokenizer.inner.get_vocab().items() if not self.empty[i])
        return (word for word in words if abs(len(word) - length) <= 2)

"""BART's denoising: write a text as it was before it was broken.      https://arxiv.org/abs/1910.13461 section 2.2

    loss = - Σ_t log p(x_t | x_<t, broken x)

The noises, in this order where several are asked for:
permutation   the sentences in any order; one ends at a full stop, ! or ?, or a line end
rotation      the text begins at any token, and what stood in front of it comes last
infilling     spans of Poisson(3) tokens, 30 % of the text together, each become one <mask>; so does now and then nothing at all
masking       30 % of the tokens each become <mask>
deletion      30 % of the tokens are left out, and their places are to be found too
The paper's model learned from infilling and permutation. The loss is that of sequence to sequence.   L tokens · V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..base.errors import InputError, did_you_mean
from ..text.tokenizer import Tokenizer

RATE, SPAN = 0.3, 3.0
USUAL = ("infilling", "permutation")
_STOPS = tuple(".!?…。！？")
_CLOSING = "\"'”’»)] "


@dataclass(frozen=True)
class Denoising:
    """The noise. `mask`: id of <mask> · `ends` (V,) bool: tokens that end a sentence · `noises`: what is done to a text."""

    mask: int
    ends: np.ndarray
    noises: Sequence[str] = USUAL
    rate: float = RATE
    span: float = SPAN

    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """ids (L,) -> (source, target), without what stands around them; the target is the text itself."""
        source = ids
        for name, noise in NOISES.items():
            if name in self.noises:
                source = noise(self, source, rng)
        return source, ids

    def permutation(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The sentences in any order."""
        sentences = np.split(ids, np.flatnonzero(self.ends[ids[:-1]]) + 1)
        return np.concatenate([sentences[i] for i in rng.permutation(len(sentences))])

    def rotation(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The text from any token on, then what stood in front of it."""
        return np.roll(ids, -int(rng.integers(len(ids))))

    def infilling(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Every span becomes one <mask>. Tokens that are kept and spans stand in any order, so that all places are alike."""
        spans = self.lengths(len(ids), rng)
        places = len(ids) - int(spans.sum()) + len(spans)
        lengths = np.ones(places, np.int64)  # of what each place of the source stands for
        hidden = rng.permutation(places)[: len(spans)]
        lengths[hidden] = spans
        source = ids[np.minimum(np.cumsum(lengths) - lengths, len(ids) - 1)].copy()
        source[hidden] = self.mask
        return source

    def lengths(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """(spans,) tokens of each span: Poisson numbers up to a share of the text, the last one as long as is left.

        Spans of nothing make a source longer; of these there are no more than others make it shorter."""
        left, spans = max(1, round(self.rate * length)), []
        while left > 0:
            spans.append(min(int(rng.poisson(self.span)), left))
            left -= spans[-1]
        found = np.array(spans)
        spare = int((found - 1).clip(0).sum())
        return np.concatenate([found[found > 0], found[found == 0][:spare]])

    def masking(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Tokens become <mask>."""
        source = ids.copy()
        source[self._some(len(ids), rng)] = self.mask
        return source

    def deletion(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Tokens are left out, never all of them."""
        return np.delete(ids, self._some(len(ids), rng)[: len(ids) - 1])

    def _some(self, length: int, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(length)[: max(1, round(self.rate * length))]


NOISES: dict[str, Callable[[Denoising, np.ndarray, np.random.Generator], np.ndarray]] = {
    "permutation": Denoising.permutation,
    "rotation": Denoising.rotation,
    "infilling": Denoising.infilling,
    "masking": Denoising.masking,
    "deletion": Denoising.deletion,
}


def denoising(tokenizer: Tokenizer, noises: Sequence[str] = USUAL, rate: float = RATE, span: float = SPAN) -> Denoising:
    """The noise for texts of this tokenizer. InputError when it has no <mask>, or a noise is not known."""
    check(noises)
    if tokenizer.mask_id is None:
        raise InputError("this tokenizer has no token for what is hidden, such as <mask>: add one with harken tokenizer extend")
    return Denoising(tokenizer.mask_id, sentence_ends(tokenizer), tuple(noises), rate, span)


def check(noises: Sequence[str]) -> None:
    """InputError when a noise is not known."""
    for name in noises:
        if name not in NOISES:
            raise InputError(f"--noise {name} is not known{did_you_mean(name, NOISES)}: it is one or more of {', '.join(NOISES)}")


def sentence_ends(tokenizer: Tokenizer) -> np.ndarray:
    """(V,) bool: the tokens that end a sentence."""
    texts = ("" if i in tokenizer.special_ids else tokenizer.token(i) for i in range(tokenizer.vocab_size))
    return np.array(["\n" in text or text.rstrip(_CLOSING).endswith(_STOPS) for text in texts])

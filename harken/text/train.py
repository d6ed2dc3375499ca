"""Train a tokenizer: characters for small data, byte-level BPE for more, or the kind that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from ..base.errors import InputError, did_you_mean
from .frames import BERT, PLAIN, Frame
from .kinds import train_bpe, train_characters, train_unigram, train_wordpiece, train_words, usual_size
from .tokenizer import Tokenizer

__all__ = [
    "KINDS",
    "choose_kind",
    "train_bpe",
    "train_characters",
    "train_tokenizer",
    "train_unigram",
    "train_wordpiece",
    "train_words",
]

_TRAINERS = {"word": train_words, "bpe": train_bpe, "wordpiece": train_wordpiece, "unigram": train_unigram}
KINDS = ("char", *_TRAINERS)


def train_tokenizer(
    kind: str, texts: Iterable[str], vocab_size: int | None = None, *, specials: Sequence[str] = (), frame: Frame | None = None
) -> Tokenizer:
    """A tokenizer of one of KINDS with at most `vocab_size` tokens (None: what suits the amount of text; characters take no size).

    `specials`: further special tokens; "<mask>", "<sep>" and "<cls>" take these roles where the kind has none for them. `frame`: what
    stands around a text (None: what is usual for the kind). `texts` are read once, except for a BPE without a size: twice, so they must
    not be an iterator then. The same texts give the same file.
    InputError on an unknown kind, when there is no text, and when the size is too small: it names the least.
    """
    frame = frame or (BERT if kind == "wordpiece" else PLAIN)
    if kind == "char":
        if vocab_size is not None:
            raise InputError("a vocab_size is not for characters: they have as many tokens as the text has")
        return train_characters(texts, specials=specials, frame=frame)
    if kind not in _TRAINERS:
        raise InputError(f"no tokenizer of kind {kind!r}{did_you_mean(kind, KINDS)}")
    return _TRAINERS[kind](texts, vocab_size, specials=specials, frame=frame)


def choose_kind(total_characters: int, mean_length: float) -> tuple[Literal["char", "bpe"], int | None]:
    """What suits a corpus of `total_characters` in examples of `mean_length` characters: ("char", None) or ("bpe", vocabulary size).

    Small data and short examples (names, single words) learn best letter by letter; else the vocabulary grows as the root of the data.
    """
    if total_characters < 300_000 or mean_length < 40:
        return "char", None
    return "bpe", usual_size(total_characters)

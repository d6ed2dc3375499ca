"""What a tokenizer makes of a text, in numbers: one count per token of the vocabulary, however long the text is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .pieces import slices
from .tokenizer import Tokenizer

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class Stats:
    """Counts over some texts, special tokens left out.

    `bytes`: of the UTF-8 · `words`: what white space separates · `unknown`: unknown tokens · `unknown_characters`: what these stand for ·
    `unused`: tokens of the vocabulary that do not occur · `longest`: tokens of the vocabulary and their characters · `rarest`: tokens that
    do occur and how often, rarest first.
    """

    kind: str
    vocab_size: int
    characters: int
    bytes: int
    words: int
    tokens: int
    unknown: int
    unknown_characters: int
    unused: int
    longest: list[tuple[str, int]]
    rarest: list[tuple[str, int]]

    @property
    def bytes_per_token(self) -> float:
        """How much text a token stands for: the more, the fewer steps for a model."""
        return self.bytes / max(self.tokens, 1)

    @property
    def tokens_per_word(self) -> float:
        """How finely words are cut; the tokens of white space and signs count too."""
        return self.tokens / max(self.words, 1)

    @property
    def unknown_share(self) -> float:
        """Of the characters, because one unknown token stands for a character in one kind and for a word in another."""
        return self.unknown_characters / max(self.characters, 1)


def stats(tokenizer: Tokenizer, texts: Iterable[str], top: int = 5) -> Stats:
    """Encode every text, once, and count. `longest` and `rarest` hold `top` tokens each, of equals those with the smaller ids."""
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    characters = size = words = unknown_characters = 0

    def cut() -> Iterator[str]:
        nonlocal characters, size
        for text in texts:
            characters += len(text)
            size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
            yield from tokenizer.cut(text)

    for batch in slices(cut()):
        words += sum(len(piece.split()) for piece in batch)
        arrays = tokenizer.encode_many(batch)
        counts += np.bincount(np.concatenate(arrays), minlength=len(counts))
        for piece, ids in zip(batch, arrays, strict=True):
            unknown_characters += tokenizer.unknown_characters(piece) if tokenizer.unknown(ids) else 0
    ordinary = [i for i in sorted(tokenizer.inner.get_vocab(with_added_tokens=True).values()) if i not in tokenizer.special_ids]
    used = [i for i in ordinary if counts[i]]
    return Stats(
        kind=tokenizer.kind,
        vocab_size=tokenizer.vocab_size,
        characters=characters,
        bytes=size,
        words=words,
        tokens=int(counts.sum()),
        unknown=int(counts[tokenizer.unk_id]) if tokenizer.unk_id is not None else 0,
        unknown_characters=unknown_characters,
        unused=len(ordinary) - len(used),
        longest=_longest(tokenizer, ordinary, top),
        rarest=[(tokenizer.token(i), int(counts[i])) for i in sorted(used, key=lambda i: counts[i])[:top]],
    )


@dataclass(frozen=True)
class Row:
    """A line of the table. `tokenizer`: what to call it · `seconds`: how long it was trained, None where it was there before."""

    tokenizer: str
    seconds: float | None
    stats: Stats

    def to_json(self) -> dict[str, Any]:
        """One flat object, ratios included."""
        ratios = {name: getattr(self.stats, name) for name in ("bytes_per_token", "tokens_per_word", "unknown_share")}
        return {"tokenizer": self.tokenizer, "seconds": self.seconds, **dataclasses.asdict(self.stats), **ratios}


def _longest(tokenizer: Tokenizer, ids: list[int], top: int) -> list[tuple[str, int]]:
    tokens = [token for token in map(tokenizer.token, ids) if not (tokenizer.byte_fallback and _BYTE.fullmatch(token))]
    return [(token, len(token)) for token in sorted(tokens, key=len, reverse=True)[:top]]

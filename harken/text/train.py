"""Train a tokenizer: characters for small data, byte-level BPE for more.

BPE: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909; over bytes as in GPT-2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, processors, trainers

from ..base.errors import InputError
from .pieces import pieces, without_long_runs
from .tokenizer import EVERY_CHARACTER, Tokenizer

NAMES = {"pad": "<pad>", "bos": "<bos>", "eos": "<eos>", "unk": "<unk>"}

LONGEST_WORD = 2_000  # characters; the time to train grows with the length of the words that share a pair
FEWEST = 256 + 3  # every byte, and pad, bos, eos


def train_characters(texts: Iterable[str], *, specials: Sequence[str] = ()) -> Tokenizer:
    """One token per distinct Unicode code point, in order, behind <pad> <bos> <eos> <unk> (ids 0 to 3) and the further `specials`.

    Text over the alphabet comes back exactly; every other character becomes <unk>. InputError when there is no text.
    """
    alphabet: set[str] = set()
    for text in texts:
        alphabet.update(text)
    if not alphabet:
        raise InputError("there is no text to take characters from: give at least one example that is not empty")
    lone = sorted(character for character in alphabet if "\ud800" <= character <= "\udfff")
    if lone:
        raise InputError(f"the text holds half a character (the lone surrogate U+{ord(lone[0]):04X}): repair it where it was cut")
    words = _distinct([*NAMES.values(), *specials]) + sorted(alphabet)
    inner = tokenizers.Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=NAMES["unk"]))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(EVERY_CHARACTER), "isolated")
    inner.decoder = decoders.Fuse()
    return _finished(inner, NAMES, specials)


def train_bpe(texts: Iterable[str], vocab_size: int, *, specials: Sequence[str] = ()) -> Tokenizer:
    """Byte-level BPE with at most `vocab_size` tokens: <pad> <bos> <eos> (ids 0 to 2), the further `specials`, the 256 bytes, then merges.

    Every Unicode text comes back exactly. The same texts give the same file. InputError when `vocab_size` has no room for all bytes.
    """
    names = {role: name for role, name in NAMES.items() if role != "unk"}
    fewest = FEWEST + len(specials)
    if vocab_size < fewest:
        raise InputError(f"vocab_size is {vocab_size}, but the 256 bytes and {fewest - 256} special tokens need at least {fewest}")
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=_distinct([*names.values(), *specials]),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(_portions(texts), trainer)
    return _finished(inner, names, specials)


def choose_kind(total_characters: int, mean_length: float) -> tuple[Literal["char", "bpe"], int | None]:
    """What suits a corpus of `total_characters` in examples of `mean_length` characters: ("char", None) or ("bpe", vocabulary size).

    Small data and short examples (names, single words) learn best letter by letter; else the vocabulary grows as the root of the data.
    """
    if total_characters < 300_000 or mean_length < 40:
        return "char", None
    return "bpe", min(max(2 ** round(math.log2(math.sqrt(total_characters))), 512), 16_384)


def _portions(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for piece in pieces(text):
            yield from without_long_runs(piece, LONGEST_WORD)


def _distinct(specials: list[str]) -> list[str]:
    wrong = sorted({name for name in specials if specials.count(name) > 1 or len(name) < 2})
    if wrong:
        raise InputError(f"special tokens must differ and be longer than one character: {', '.join(map(repr, wrong))}")
    return specials


def _finished(inner: tokenizers.Tokenizer, names: dict[str, str], specials: Sequence[str]) -> Tokenizer:
    inner.add_special_tokens([*names.values(), *specials])
    bos = names["bos"]
    inner.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, inner.token_to_id(bos))]
    )
    extra: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # "<eos>" in a text is text for transformers too
    }
    tokenizer = Tokenizer(inner, names, extra)
    for special in specials:
        if inner.token_to_id(special) in tokenizer.encode(special, special=False):
            raise InputError(f"the special token {special!r} is also an ordinary piece of text: choose one with signs, as in '<|user|>'")
    return tokenizer

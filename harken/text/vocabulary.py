"""Vocabulary files on the `tokenizers` library: vocab.txt (WordPiece), vocab.json with merges.txt (BPE over bytes, or over characters)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from ..base.errors import InputError
from ..base.files import read_json
from .tiktoken import QWEN

WORD_END = "</w>"  # closes the last piece of a word in the first GPT's vocabulary


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file; only "\\n" ends one, since a vocabulary may hold every other character that ends lines elsewhere."""
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path} line {line} is not UTF-8: copy the file again") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def read_ids(path: Path) -> dict[str, int]:
    """Token to id, from a JSON object."""
    ids = read_json(path)
    seen: dict[int, str] = {}
    for token, id in ids.items():
        if type(id) is not int or id < 0:
            raise InputError(f"{path} gives {token!r} the id {id!r}, which is no whole number: copy the file again")
        if id in seen:
            raise InputError(f"{path} gives {token!r} and {seen[id]!r} the same id {id}: copy the file again")
        seen[id] = token
    return ids


def read_merges(path: Path, ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """The pairs to join, the first ones first; what they make must be in the vocabulary `ids`, which stands in vocab.json."""
    merges = []
    for number, line in enumerate(read_lines(path), 1):
        if line.startswith("#version"):
            continue
        pair = line.split(" ")
        if len(pair) != 2:
            raise InputError(f"{path} line {number} is not two tokens with a blank between them: copy the file again")
        left, right = pair
        lacking = [token for token in (left, right, left + right) if token not in ids]
        if lacking:
            raise InputError(f"{path} line {number} speaks of {lacking[0]!r}, which vocab.json lacks: copy both files from the same place")
        merges.append((left, right))
    return merges


def wordpiece(path: Path, config: Mapping[str, Any], unk: str) -> tokenizers.Tokenizer:
    """BERT's: `config` may say do_lower_case, strip_accents (as do_lower_case where it says nothing) and tokenize_chinese_chars."""
    ids = {token: i for i, token in enumerate(read_lines(path))}
    if unk not in ids:
        raise InputError(f"{path} lacks {unk!r}, the token of words that it cannot spell: is it a WordPiece vocabulary?")
    inner = tokenizers.Tokenizer(models.WordPiece(ids, unk_token=unk, max_input_chars_per_word=100))
    accents = config.get("strip_accents")
    inner.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
        strip_accents=None if accents is None else bool(accents),
        lowercase=bool(config.get("do_lower_case", True)),
    )
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece(prefix="##")
    return inner


def byte_level(folder: Path, config: Mapping[str, Any], qwen: bool = False) -> tokenizers.Tokenizer:
    """GPT-2's, RoBERTa's, and with other words and composed characters Qwen's; `config` may say add_prefix_space."""
    ids = read_ids(folder / "vocab.json")
    inner = tokenizers.Tokenizer(_bpe(folder, ids))
    prefix = bool(config.get("add_prefix_space", False))
    if qwen:
        inner.normalizer = normalizers.NFC()
        words = pre_tokenizers.Split(Regex(QWEN), "isolated")
        inner.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)])
    else:
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    inner.decoder = decoders.ByteLevel()
    return inner


def lowercase_bpe(folder: Path, unk: str) -> tokenizers.Tokenizer:
    """The first GPT's: words as BERT has them, in small letters and without accents, the last piece of each with "</w>"."""
    ids = read_ids(folder / "vocab.json")
    if unk not in ids:
        raise InputError(f"{folder / 'vocab.json'} lacks {unk!r}, the token of characters that it cannot spell: copy it again")
    inner = tokenizers.Tokenizer(_bpe(folder, ids, unk))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.BPEDecoder(suffix=WORD_END)
    return inner


def _bpe(folder: Path, ids: dict[str, int], unk: str = "") -> models.BPE:
    """`unk`: the unknown token of a vocabulary of characters, whose words end with WORD_END."""
    merges = read_merges(folder / "merges.txt", ids)
    try:
        return models.BPE(ids, merges, unk_token=unk, end_of_word_suffix=WORD_END) if unk else models.BPE(ids, merges)
    except Exception as error:  # the library raises the bare class
        raise InputError(f"{folder / 'vocab.json'} and merges.txt make no vocabulary: copy both files again") from error

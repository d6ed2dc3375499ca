"""tiktoken's rank files on the `tokenizers` library: one line a token, its bytes in base64 and its rank.

What has the lowest rank is merged first, https://github.com/openai/tiktoken. A file does not say how text is cut into words before: that
is known for a few, and otherwise tokenizer_config.json must say it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers

from ..base.errors import InputError
from .stream import BYTE_OF

_ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
QWEN = LLAMA3.replace("{1,3}", "")
CL100K = LLAMA3.replace(_SPACES, r"\s+\z|\s*[\r\n]|\s+(?!\S)|\s")
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDINGS}?|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDINGS}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)
OF_FILE = {"gpt2": GPT2, "r50k_base": GPT2, "p50k_base": GPT2, "cl100k_base": CL100K, "o200k_base": O200K, "qwen": QWEN}
OF_FAMILY = {"GPT2": GPT2, "Llama": LLAMA3, "Qwen2": QWEN, "qwen": QWEN, "QWen": QWEN}

_LINE = re.compile(rb"([A-Za-z0-9+/]+={0,2}) ([0-9]+)")
_CHARACTER_OF = {byte: character for character, byte in BYTE_OF.items()}


def is_rank_file(path: Path) -> bool:
    """Whether the first line looks like a token and its rank; LLaMA 3 calls such a file tokenizer.model, as others do theirs."""
    try:
        with path.open("rb") as file:
            return _LINE.fullmatch(file.readline(4096).rstrip()) is not None
    except OSError:
        return False  # whoever reads it will say why it cannot be read


def read_ranks(path: Path) -> dict[bytes, int]:
    """Token to rank; InputError names the line that is broken."""
    ranks: dict[bytes, int] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        try:
            token, rank = base64.b64decode(match[1], validate=True), int(match[2])  # type: ignore[index]
        except (TypeError, ValueError):
            raise InputError(f"{path} line {number} is not a token in base64 and its rank: copy the file again") from None
        if token in ranks:
            raise InputError(f"{path} line {number} has a token that an earlier line has: copy the file again")
        ranks[token] = rank
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise InputError(f"{path} has no rank for the byte 0x{missing[0]:02X}, so not every text could be encoded: copy the file again")
    return ranks


def from_ranks(path: Path, pattern: str) -> tokenizers.Tokenizer:
    """`pattern`: the regular expression whose matches are the words."""
    ranks = read_ranks(path)
    spelled = {token: "".join(_CHARACTER_OF[byte] for byte in token) for token in ranks}
    merges = []
    for token, rank in ranks.items():
        # Every way to make the token of two is a merge: which of them happens first is decided by the ranks of what they join.
        cuts = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        known = [(ranks[left], ranks[right], left, right) for left, right in cuts if left in ranks and right in ranks]
        merges.extend((rank, *each) for each in sorted(known))
    merges.sort(key=lambda each: each[0])
    vocab = {spelled[token]: rank for token, rank in ranks.items()}
    try:
        words = pre_tokenizers.Split(Regex(pattern), "isolated")
    except Exception as error:  # the library raises the bare class
        raise InputError(f"the pattern for {path} is no regular expression ({error}): correct it in tokenizer_config.json") from error
    model = models.BPE(vocab, [(spelled[left], spelled[right]) for *_, left, right in merges], ignore_merges=True)
    inner = tokenizers.Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    inner.decoder = decoders.ByteLevel()
    return inner


def pattern_of(path: Path, config: Mapping[str, Any], family: str | None) -> str:
    """What `config` calls "pattern" or "pat_str", else what `family`, or the name of the file, is known for."""
    said = config.get("pattern") or config.get("pat_str")
    if isinstance(said, str):
        return said
    if known := OF_FAMILY.get(family or "") or OF_FILE.get(path.stem):
        return known
    if family is None and path.suffix == ".model":  # LLaMA 3 came with nothing beside it
        return LLAMA3
    raise InputError(f'{path} does not say how text is cut into words: add its "pattern" to tokenizer_config.json')

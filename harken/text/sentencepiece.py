"""SentencePiece models on the `tokenizers` library: what `spiece.model` or `tokenizer.model` says, as unigram pieces or BPE with bytes.

The file is one protobuf message, https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto. It is read here because
the module that the `sentencepiece` package generated for it only runs beside one of the newest protobuf packages.
Unigram: Kudo 2018, https://arxiv.org/abs/1804.10959.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from ..base.errors import InputError

Scheme = Literal["always", "first", "never"]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # kinds of pieces
MARK = "▁"  # stands for a blank

_UNIGRAM, _BPE = 1, 2


@dataclass(frozen=True)
class Model:
    """A SentencePiece file: `pieces` with their log-probabilities, and `kinds`, by id · `unk`: the id of the unknown piece · `charsmap`:
    its normalisation rules · `prefix`: whether a text gets a blank in front · `squeeze`: whether all other blanks but one between two words
    go."""

    path: Path
    pieces: list[tuple[str, float]]
    kinds: list[int]
    bpe: bool
    unk: int
    charsmap: bytes
    prefix: bool
    squeeze: bool

    def of(self, *kinds: int) -> list[str]:
        """The pieces of these kinds."""
        return [piece for (piece, _), kind in zip(self.pieces, self.kinds, strict=True) if kind in kinds]

    def extended(self, front: Sequence[str] = (), skip: int = 0, end: Sequence[str] = (), unk: int | None = None) -> Model:
        """With control pieces in place of the first `skip`, and more at the end; then the unknown piece has the id `unk`."""
        pieces = [*((piece, 0.0) for piece in front), *self.pieces[skip:], *((piece, 0.0) for piece in end)]
        kinds = [*[CONTROL] * len(front), *self.kinds[skip:], *[CONTROL] * len(end)]
        return replace(self, pieces=pieces, kinds=kinds, unk=self.unk if unk is None else unk)


def read_model(path: Path) -> Model:
    """InputError when the file is broken, or holds a model of words or characters."""
    try:
        fields = list(_fields(path.read_bytes()))
        pieces, kinds = [], []
        for number, value in fields:
            if number == 1:
                entry = dict(_fields(value))
                pieces.append((entry[1].decode("utf-8"), entry.get(2, 0.0)))
                kinds.append(entry.get(3, NORMAL))
        trainer, rules = (dict(_fields(b"".join(value for number, value in fields if number == part))) for part in (2, 3))
        unk = kinds.index(UNKNOWN)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except (ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise InputError(f"{path} is not a whole SentencePiece model: copy it again from where the tokenizer was trained") from error
    kind = trainer.get(3, _UNIGRAM)
    if kind not in (_UNIGRAM, _BPE):
        raise InputError(f"{path} holds a SentencePiece model of whole words or of characters: only unigram and bpe can be read")
    return Model(path, pieces, kinds, kind == _BPE, unk, rules.get(2, b""), bool(rules.get(3, 1)), bool(rules.get(4, 1)))


def unigram(model: Model, first: Sequence[normalizers.Normalizer] = (), *, prefix: bool = True) -> tokenizers.Tokenizer:
    """As transformers has it: words are cut at every white space, each gets a blank in front (`prefix`), and none is spelled in bytes, even
    where the file has them (mT5). `first`: what is done to a text in front of the file's own rules."""
    inner = tokenizers.Tokenizer(_made(model, byte_fallback=False))
    steps = [*first, *_rules(model)]
    if steps:
        inner.normalizer = normalizers.Sequence(steps) if len(steps) > 1 else steps[0]
    scheme: Scheme = "always" if prefix else "never"
    blanks = pre_tokenizers.Metaspace(MARK, prepend_scheme=scheme)
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), blanks])
    inner.decoder = decoders.Metaspace(MARK, prepend_scheme=scheme)
    only_text(inner, model.of(UNKNOWN, CONTROL, UNUSED, BYTE))
    return inner


def bpe(model: Model, scheme: Scheme) -> tokenizers.Tokenizer:
    """As transformers has LLaMA: a text gets a blank in front, unless it begins with one, which SentencePiece would not care about.

    `scheme`: "first" does not give one to what stands behind an added token, "always" does.
    """
    inner = tokenizers.Tokenizer(_made(model))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme=scheme, split=False)
    inner.decoder = _decoder(prefix=scheme != "never")
    return inner


def as_written(model: Model) -> tokenizers.Tokenizer:
    """As the file says, and SentencePiece does: its rules, one more blank in front, no blanks in a row; bytes for what has no piece.

    Not the same: some stacks of combining marks, which the library normalises differently, and a BPE with user-defined pieces where a text
    begins with one (it gets no blank in front) or with a blank (which is then taken for the one in front).
    """
    inner = tokenizers.Tokenizer(_made(model))
    cut = model.bpe and USER_DEFINED in model.kinds  # a text is then normalised in parts, with these pieces between them
    steps = _rules(model)
    if model.squeeze:
        ends = [] if cut else [normalizers.Replace(Regex(r"\A +| +\z"), "")]
        steps += [*ends, normalizers.Replace(Regex(" {2,}"), " ")]
    if model.prefix and not cut:
        steps.append(normalizers.Prepend(MARK))
    inner.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", MARK)])
    if model.prefix and cut:
        inner.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme="first", split=False)
    inner.decoder = _decoder(model.prefix)
    if not model.bpe:
        only_text(inner, model.of(UNKNOWN, CONTROL, UNUSED, BYTE))
    return inner


def only_text(inner: tokenizers.Tokenizer, hidden: Sequence[str]) -> None:
    """Make a unigram tokenizer blind to the pieces `hidden`: "</s>" in a text is then its characters, as it is for SentencePiece.

    The library finds every piece of its vocabulary in a text. So a name that it finds is cut where it would be cut if it were no piece;
    one of a single character cannot be.
    """
    inner.encode_special_tokens = True
    found = [name for name in hidden if len(name) > 1 and _finds(inner, name)]
    if not found:
        return
    scores = dict(json.loads(inner.model.__getstate__())["vocab"])
    unknown = min(scores.values()) - 10
    for name in hidden:
        scores.pop(name, None)
    tails: dict[str, list[str]] = {}
    for name in found:
        cut = _first_cut(name, scores, unknown)
        tails.setdefault(re.escape(name[:cut]), []).append(re.escape(name[cut:]))
    pattern = "|".join(f"{head}(?={'|'.join(rest)})" for head, rest in tails.items())
    cuts = pre_tokenizers.Split(Regex(pattern), "merged_with_previous")
    inner.pre_tokenizer = pre_tokenizers.Sequence([inner.pre_tokenizer, cuts] if inner.pre_tokenizer else [cuts])


def _finds(inner: tokenizers.Tokenizer, name: str) -> bool:
    return any(inner.token_to_id(name) in inner.encode(text, add_special_tokens=False).ids for text in (name, f"a{name}"))


def _first_cut(name: str, scores: dict[str, float], unknown: float) -> int:
    """Where the first piece of `name` ends on its likeliest path; a character without a piece costs `unknown`."""
    ends, best = [0] * len(name), [0.0] * (len(name) + 1)
    for start in reversed(range(len(name))):
        paths = [(scores[name[start:end]] + best[end], end) for end in range(start + 1, len(name) + 1) if name[start:end] in scores]
        best[start], ends[start] = max(paths, default=(unknown + best[start + 1], start + 1))
    return ends[0]


def _made(model: Model, byte_fallback: bool = True) -> models.Model:
    """The model alone; `byte_fallback`: whether bytes spell what has no piece, if the file has them."""
    byte_fallback = byte_fallback and BYTE in model.kinds
    try:
        if not model.bpe:
            return models.Unigram(model.pieces, unk_id=model.unk, byte_fallback=byte_fallback)
        ids = {piece: i for i, (piece, _) in enumerate(model.pieces)}
        return models.BPE(ids, _merges(model, ids), unk_token=model.pieces[model.unk][0], fuse_unk=True, byte_fallback=byte_fallback)
    except Exception as error:  # the library raises the bare class
        raise InputError(f"{model.path} holds pieces that make no model: copy it again") from error


def _merges(model: Model, ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """Every way to make a piece of two, the pieces in order; those that SentencePiece never looks for in a text are not made."""
    made = set(model.of(NORMAL, USER_DEFINED))
    splits = ((piece[:cut], piece[cut:]) for piece in ids if piece in made for cut in range(1, len(piece)))
    return [(left, right) for left, right in splits if left in made and right in made]


def _rules(model: Model) -> list[normalizers.Normalizer]:
    try:
        return [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    except Exception as error:
        raise InputError(f"{model.path} holds rules for characters that cannot be read: copy it again") from error


def _decoder(prefix: bool) -> decoders.Decoder:
    strip = [decoders.Strip(" ", 1, 0)] if prefix else []
    return decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), *strip])


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a protobuf message: an int, bytes, or a float where it takes four. ValueError when it is cut off."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 5:
            (value,), at = struct.unpack_from("<f", data, at), at + 4
        elif kind in (1, 2):
            size, at = _varint(data, at) if kind == 2 else (8, at)
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"unknown wire type {kind}")
        yield key >> 3, value
    if at != len(data):
        raise ValueError("cut off")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1

"""Marian's tokenizer: one SentencePiece model for each language, and one vocabulary for both, in which their pieces have their ids.

A piece that the vocabulary lacks is unknown; a run of characters that has no piece is looked up as a whole. ">>fra<<" in front of a text
names the language to translate to, and is one token. https://marian-nmt.github.io
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tokenizers import AddedToken, models

from ..base.errors import InputError
from ..base.files import replacing
from .vocabulary import read_ids

Side = Literal["source", "target"]


class Encoded(NamedTuple):
    """`tokens` and `ids`, and the [start, end) characters of the text that each stands for (only from `encode`)."""

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]


class Marian:
    """Stands in for a `tokenizers.Tokenizer`, which cannot give pieces the ids of another file.

    Texts are cut by the `sentencepiece` library itself, as transformers does for this family. Moses' rules for punctuation are not applied:
    nor does transformers apply them, although it asks for the package that has them (sacremoses).
    """

    normalizer = pre_tokenizer = decoder = truncation = padding = None
    encode_special_tokens = True

    def __init__(self, folder: Path, side: Side, names: Mapping[str, str], separate: bool = False) -> None:
        """`names`: role to special token · `separate`: whether the target has a vocabulary of its own, target_vocab.json.

        InputError when the package sentencepiece or a file is missing, or a file is broken.
        """
        vocabularies = ["vocab.json", "target_vocab.json"] if separate else ["vocab.json"]
        path = folder / vocabularies[-1 if side == "target" else 0]
        self._ids = read_ids(path)
        for role in ("unk", "eos"):
            if names.get(role) not in self._ids:
                raise InputError(f"{path} lacks {names.get(role)!r}, the {role} token: copy it again from where the model was trained")
        self._tokens = {i: token for token, i in self._ids.items()}
        self._special = frozenset(names.values()) & self._ids.keys()
        self._unk, self._eos = self._ids[names["unk"]], names["eos"]
        self._files = {name: _read(folder / name) for name in ("source.spm", "target.spm", *vocabularies)}
        self._splitter = _splitter(folder / f"{side}.spm", self._files[f"{side}.spm"])
        self.model = models.Unigram()  # only says what kind it is

    # ---- text to ids

    def encode(self, text: str, add_special_tokens: bool = True) -> Encoded:
        """TypeError when `text` is not text, or holds half a character."""
        code, rest = _language(text)
        found = _asked(self._splitter.encode_as_offset_mapping, rest)
        start = len(code)
        offsets = [(first + start, last + start) for first, last in found["offsets"]]
        return self._encoded(code, found["pieces"], [(0, start)] * bool(code) + offsets, add_special_tokens, len(text))

    def encode_batch_fast(self, texts: Sequence[str], add_special_tokens: bool = True) -> list[Encoded]:
        """The same without `offsets`."""
        parts = [_language(text) for text in texts]
        found = _asked(self._splitter.encode, [rest for _, rest in parts], out_type=str)
        return [self._encoded(code, pieces, [], add_special_tokens, 0) for (code, _), pieces in zip(parts, found, strict=True)]

    # ---- ids to text

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """As transformers does: no blank in front or at the end, and one behind each special token that is not skipped."""
        text, run = "", []
        for id in ids:
            token = self._tokens.get(id, "")
            if token not in self._special:
                run.append(token)
            elif not skip_special_tokens:
                text, run = f"{text}{self._joined(run)}{token} ", []
        return f"{text}{self._joined(run)}".strip()

    # ---- files

    def write(self, folder: Path) -> None:
        """Write the files it was read from as they were, each whole or not at all: no tokenizer.json can say the same."""
        for name, content in self._files.items():
            with replacing(folder / name) as temporary:
                temporary.write_bytes(content)

    # ---- what it is

    def token_to_id(self, token: str) -> int | None:
        return self._ids.get(token)

    def id_to_token(self, id: int) -> str | None:
        return self._tokens.get(id)

    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]:
        return dict(self._ids)

    def get_added_tokens_decoder(self) -> dict[int, AddedToken]:
        return {self._ids[token]: AddedToken(token, special=True, normalized=False) for token in self._special}

    def no_truncation(self) -> None:
        """Nothing is ever cut."""

    def no_padding(self) -> None:
        """Nothing is ever padded."""

    # ---- the parts

    def _encoded(self, code: str, pieces: list[str], offsets: list[tuple[int, int]], special: bool, end: int) -> Encoded:
        tokens = [code, *pieces] if code else list(pieces)
        ids = [self._unk if token in self._special else self._ids.get(token, self._unk) for token in tokens]
        if special:
            tokens, ids = [*tokens, self._eos], [*ids, self._ids[self._eos]]
            offsets = [*offsets, (end, end)]
        return Encoded(ids, tokens, offsets)

    def _joined(self, pieces: list[str]) -> str:
        return self._splitter.decode_pieces(pieces).replace("▁", " ")


def _language(text: str) -> tuple[str, str]:
    """(">>fra<<", the rest) where a text begins so, else ("", text)."""
    if not isinstance(text, str):
        raise TypeError(f"not text but {type(text).__name__}")
    end = text.find("<<") + 2 if text.startswith(">>") else 0
    return (text[:end], text[end:]) if end > 1 else ("", text)


def _asked(method: Any, text: Any, **options: Any) -> Any:
    try:
        return method(text, **options)
    except (RuntimeError, TypeError) as error:  # half a character
        raise TypeError(str(error)) from error


def _splitter(path: Path, data: bytes) -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise InputError(f"{path} needs the package sentencepiece: pip install 'harken[sentencepiece]'") from error
    try:
        if not data:
            raise RuntimeError("the file is empty")  # which the package takes for no file at all
        return sentencepiece.SentencePieceProcessor(model_proto=data)
    except RuntimeError as error:
        raise InputError(f"{path} is not a whole SentencePiece model: copy it again from where the model was trained") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error

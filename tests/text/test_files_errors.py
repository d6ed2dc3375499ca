"""What is missing or broken in a tokenizer's folder is said in one sentence, which names the file and the line or field."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import pre_tokenizers

from harken.base.errors import InputError
from harken.text.files import read_tokenizer
from harken.text.sentencepiece import _fields, read_model
from harken.text.stream import token_bytes
from harken.text.tokenizer import Tokenizer

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "\u2028", "c"]
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
RANKS = b"".join(base64.b64encode(token_bytes(byte)) + b" %d\n" % rank for rank, byte in enumerate(BYTES))


def put(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        data = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content)).encode("utf-8")
        (folder / name).write_bytes(data)
    return folder


def field(number: int, value: bytes | int) -> bytes:
    """One short field of a protobuf message."""
    return bytes([number << 3, value]) if isinstance(value, int) else bytes([number << 3 | 2, len(value)]) + value


def model(*pieces: tuple[str, int], kind: int = 1) -> bytes:
    """A SentencePiece file: each piece with its kind."""
    entries = (field(1, text.encode("utf-8")) + b"\x15\x00\x00\x80\xbf" + field(3, of) for text, of in pieces)
    return b"".join(field(1, entry) for entry in entries) + field(2, field(3, kind))


SPIECE = model(("<pad>", 3), ("</s>", 3), ("<unk>", 2), ("▁", 1), ("a", 1), ("▁a", 1), ("ab", 1), ("b", 1))
WORDS = {"vocab.txt": "\n".join([*BERT, ""])}
BPE = {"vocab.json": {token: i for i, token in enumerate([*BYTES, "th", "<|endoftext|>"])}, "merges.txt": "#version: 0.2\nt h\n"}
PIECES = {"spiece.model": SPIECE, "tokenizer_config.json": {"tokenizer_class": "T5Tokenizer"}}
SPM = model(("<unk>", 2), ("▁", 1), ("a", 1), ("▁a", 1))
MARIAN = {"source.spm": SPM, "target.spm": SPM, "vocab.json": {"</s>": 0, "<unk>": 1, "▁a": 2, "<pad>": 3}}


def load(folder: Path, files: dict[str, Any], **options: Any) -> Tokenizer:
    return Tokenizer(*read_tokenizer(put(folder, files), **options))  # type: ignore[arg-type]


def test_the_files_are_good_as_they_are(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abcde"]
    for folder in folders:
        folder.mkdir()
    words, bpe, pieces, ranks, marian = (
        load(folder, files) for folder, files in zip(folders, (WORDS, BPE, PIECES, {"tokenizer.model": RANKS}, MARIAN), strict=True)
    )
    assert words.encode("a ab") == [2, 5, 5, 6, 3] and words.inner.token_to_id("c") == 8
    assert bpe.decode(bpe.encode("the end")) == "the end" and bpe.eos_id == 257 and bpe.unk_id is None
    assert pieces.encode("a ab") == [5, 3, 6, 1] and pieces.vocab_size == 108
    assert ranks.decode(ranks.encode("naïve")) == "naïve" and ranks.vocab_size == 256
    pytest.importorskip("sentencepiece")
    assert marian.encode("a b") == [2, 1, 1, 0]


def changed(files: dict[str, Any], **change: Any) -> dict[str, Any]:
    return {**files, **{name.replace("__", "."): content for name, content in change.items()}}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": (
        {"config.json": {"model_type": "bert"}},
        r"tokenizer\.json does not exist, nor does vocab\.txt, vocab\.json with merges\.txt, .*spiece\.model.*source\.spm.*tiktoken file:",
    ),
    "not UTF-8": (changed(WORDS, vocab__txt=b"a\nb\n\xff\n"), r"vocab\.txt line 3 is not UTF-8"),
    "no [UNK]": (changed(WORDS, vocab__txt="a\nb\n"), r"vocab\.txt lacks '\[UNK\]'"),
    "no [SEP]": (
        changed(WORDS, vocab__txt="[UNK]\n[CLS]\na\n"),
        r"vocab\.txt lacks '\[SEP\]', the sep token, which belongs around every text",
    ),
    "no merges": ({"vocab.json": BPE["vocab.json"]}, r"merges\.txt cannot be read \(No such file"),
    "merge of three": (
        changed(BPE, merges__txt="#version: 0.2\nt h\nt h e\n"),
        r"merges\.txt line 3 is not two tokens with a blank between",
    ),
    "merge of what": (changed(BPE, merges__txt="t h\nth e\n"), r"merges\.txt line 2 speaks of 'the', which vocab\.json lacks"),
    "id no number": (changed(BPE, vocab__json={"a": "0"}), r"vocab\.json gives 'a' the id '0', which is no whole number"),
    "id twice": (changed(BPE, vocab__json={"a": 0, "b": 0}), r"vocab\.json gives 'b' and 'a' the same id 0"),
    "no object": (changed(BPE, vocab__json=["a"]), r"vocab\.json holds a JSON list, not an object"),
    "model cut off": (changed(PIECES, spiece__model=SPIECE[:-3]), r"spiece\.model is not a whole SentencePiece model: copy it again"),
    "model empty": (changed(PIECES, spiece__model=b""), r"spiece\.model is not a whole SentencePiece model"),
    "model elsewhere": (changed(PIECES, spiece__model=b"version https://git-lfs.github.com/spec/v1\n"), r"spiece\.model is not a whole"),
    "model of words": (
        changed(PIECES, spiece__model=model(("<unk>", 2), kind=3)),
        r"spiece\.model holds a SentencePiece model of whole words",
    ),
    "model with other rules": (
        changed(PIECES, spiece__model=SPIECE + field(3, field(2, b"x"))),
        r"spiece\.model holds rules for characters that cannot be read",
    ),
    "extra_ids": (
        changed(PIECES, tokenizer_config__json={"tokenizer_class": "T5Tokenizer", "extra_ids": "100"}),
        r"tokenizer_config\.json: extra_ids is '100', which is no number of tokens",
    ),
    "rank line": (
        {"x.tiktoken": RANKS + b"!! 256\n", "config.json": {"model_type": "llama"}},
        r"x\.tiktoken line 257 is not a token in base64",
    ),
    "rank bytes": ({"tokenizer.model": RANKS[RANKS.index(b"\n") + 1 :]}, r"tokenizer\.model has no rank for the byte 0x21"),
    "rank twice": ({"tokenizer.model": RANKS + RANKS[:7]}, r"tokenizer\.model line 257 has a token that an earlier line has"),
    "no pattern": (
        {"x.tiktoken": RANKS},
        r'x\.tiktoken does not say how text is cut into words: add its "pattern" to tokenizer_config\.json',
    ),
    "bad pattern": (
        {"x.tiktoken": RANKS, "tokenizer_config.json": {"pattern": "("}},
        r"the pattern for .*x\.tiktoken is no regular expression",
    ),
    "class unknown": (
        {**WORDS, "tokenizer_config.json": {"tokenizer_class": "BertJapaneseTokenizer"}},
        r"names the tokenizer of BertJapanese, and vocab\.txt cannot be read as that: open the folder with transformers\.AutoTokenizer",
    ),
    "model unknown": (
        {"sentencepiece.bpe.model": SPIECE, "config.json": {"model_type": "camembert"}},
        r"the tokenizer of camembert, and sent",
    ),
    "class elsewhere": (
        {**PIECES, "tokenizer_config.json": {"tokenizer_class": "BertTokenizerFast"}},
        r"of Bert, and spiece\.model cannot be",
    ),
    "added elsewhere": (
        {**WORDS, "added_tokens.json": {"[MASK]": 9}},
        r"gives the added token '\[MASK\]' the id 9, but by vocab\.txt it has 4",
    ),
    "added far away": (
        {**WORDS, "added_tokens.json": {"<x>": 9_999}},
        r"gives the added token '<x>' the id 9999, but by vocab\.txt it has 9",
    ),
    "added without id": (
        {**WORDS, "added_tokens.json": {"<x>": "a"}},
        r"added_tokens\.json gives '<x>' the id 'a', which is no whole number",
    ),
    "added nothing": (
        {**WORDS, "tokenizer_config.json": {"added_tokens_decoder": {"9": {"special": True}}}},
        r"tokenizer_config\.json: the added token 9 is no token \(\{'special': True\}\)",
    ),
    "a colon": (
        {**WORDS, "vocab.txt": "[UNK]\n[SEP]\n<:>\n", "tokenizer_config.json": {"cls_token": "<:>"}},
        r"tokenizer_config\.json names a special token that cannot stand around a text .*<:>",
    ),
    "special tokens": (
        {**WORDS, "tokenizer_config.json": {"additional_special_tokens": "<x>"}},
        r"special tokens are '<x>', but should be a list",
    ),
    "half a character": (
        changed(BPE, vocab__json='{"a": 0, "\\ud800": 1}', merges__txt=""),
        r"vocab\.json and merges\.txt make no vocabulary",
    ),
    "bos asked for": (
        {**BPE, "tokenizer_config.json": {"add_bos_token": True, "bos_token": None}},
        r"vocab\.json lacks None, the bos token",
    ),
    "Marian's other side": (
        {name: content for name, content in MARIAN.items() if name != "target.spm"},
        r"target\.spm cannot be read \(No such",
    ),
    "Marian's model": (changed(MARIAN, source__spm=b"x"), r"source\.spm is not a whole SentencePiece model"),
    "Marian's empty model": (changed(MARIAN, source__spm=b""), r"source\.spm is not a whole SentencePiece model"),
    "Marian's vocabulary": (changed(MARIAN, vocab__json={"<unk>": 0}), r"vocab\.json lacks '</s>', the eos token"),
    "json": ({"tokenizer.json": "{}"}, r"tokenizer\.json is not a tokenizer file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_sentence(case: str, tmp_path: Path) -> None:
    files, sentence = WRONG[case]
    if case.startswith("Marian"):
        pytest.importorskip("sentencepiece")
    with pytest.raises(InputError, match=sentence) as raised:
        load(tmp_path, files)
    assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)


def test_a_broken_model_is_never_a_traceback(tmp_path: Path) -> None:
    for end in range(len(SPIECE)):
        for damaged in (SPIECE[:end], SPIECE[:end] + bytes([SPIECE[end] ^ 0x55]) + SPIECE[end + 1 :]):
            try:
                load(tmp_path, changed(PIECES, spiece__model=damaged))
            except InputError:
                continue
    with pytest.raises(ValueError):
        list(_fields(b"\x0a\x05abc"))


def test_marian_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputError, match=r"source\.spm needs the package sentencepiece: pip install 'harken\[sentencepiece\]'"):
        load(tmp_path, MARIAN)
    assert read_model(put(tmp_path, PIECES) / "spiece.model").of(2) == ["<unk>"]  # which the other families can do without


def test_marian_refuses_what_is_no_text(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    tokenizer = load(tmp_path, MARIAN)
    for call in (tokenizer.encode, tokenizer.encode_array, lambda text: tokenizer.encode_many(["a", text])):
        with pytest.raises(InputError, match=r"lone surrogate U\+D800"):
            call("a\ud800")
    with pytest.raises(InputError, match="not int"):
        tokenizer.encode(5)  # type: ignore[arg-type]


# ---- what is read


def test_the_order_of_the_files(tmp_path: Path) -> None:
    """The family's own, then vocab.txt before vocab.json before a model; tokenizer.json before all."""
    both = {**WORDS, **BPE, "spiece.model": SPIECE}
    assert load(tmp_path, both).kind == "wordpiece"
    assert load(tmp_path, {"config.json": {"model_type": "t5"}}).kind == "unigram"
    tokenizer = load(
        tmp_path, {"tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", **dict.fromkeys(("cls_token", "sep_token"), "th")}}
    )
    assert tokenizer.kind == "bpe" and tokenizer.encode("x")[0] == tokenizer.cls_id == 256
    tokenizer.save(tmp_path)
    assert load(tmp_path, {"config.json": {"model_type": "bert"}}).kind == "bpe"


def test_one_vocabulary_for_all_is_the_same_for_both_sides(tmp_path: Path) -> None:
    put(tmp_path, WORDS)
    source, target = (Tokenizer(*read_tokenizer(tmp_path, side=side)) for side in ("source", "target"))  # type: ignore[arg-type]
    assert source.inner.to_str() == target.inner.to_str()
    one = Tokenizer.load(tmp_path)
    assert one.target is one


def test_added_tokens_have_the_ids_they_are_given(tmp_path: Path) -> None:
    flags = {"lstrip": True, "special": False}
    config = {
        "added_tokens_decoder": {"12": {"content": "<b>", **flags}, "9": {"content": "<a>", "special": True}},
        "extra_special_tokens": ["<c>"],
    }
    tokenizer = load(tmp_path, {**WORDS, "tokenizer_config.json": config, "added_tokens.json": {"<never>": 9}})
    assert [tokenizer.inner.id_to_token(id) for id in range(9, 14)] == [
        "<a>",
        "<|reserved_token_10|>",
        "<|reserved_token_11|>",
        "<b>",
        "<c>",
    ]
    assert tokenizer.special_ids == {*range(5), 9, 10, 11, 13}
    assert tokenizer.encode("a <b>", special=False) == [5, 12]  # not special: found in a text
    assert tokenizer.extra == config


def test_the_newer_file_has_the_last_word(tmp_path: Path) -> None:
    files = {
        **WORDS,
        "special_tokens_map.json": {"mask_token": "a", "pad_token": "c", "sep_token": {"content": "[SEP]", "lstrip": False}},
        "tokenizer_config.json": {
            "mask_token": "[MASK]",
            "pad_token": None,
            "do_lower_case": False,
            "model_max_length": 512,
            "chat_template": "x",
        },
    }
    tokenizer = load(tmp_path, files)
    assert tokenizer.names == {"pad": "c", "unk": "[UNK]", "sep": "[SEP]", "cls": "[CLS]", "mask": "[MASK]"}
    assert tokenizer.extra == {"do_lower_case": False, "model_max_length": 512, "chat_template": "x"}
    assert tokenizer.encode("A a", special=False) == [1, 5]
    nothing = load(tmp_path, {"special_tokens_map.json": {}})
    assert nothing.pad_id is None  # said to have none, and so it stays
    nothing.save(tmp_path)
    assert load(tmp_path, {"config.json": {"model_type": "bert"}}).names == nothing.names and "pad" not in nothing.names


def test_a_family_names_its_tokens_for_a_tokenizer_json_too(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, {**BPE, "config.json": {"model_type": "gpt2"}})
    put(tmp_path, {"tokenizer.json": tokenizer.inner.to_str()})
    again = load(tmp_path, {"tokenizer_config.json": {"model_max_length": 1024}})
    assert again.names == tokenizer.names == {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}
    assert load(tmp_path, {"tokenizer_config.json": {"bos_token": None}}).bos_id is None

"""Tokenizers: every text comes back, twins agree, and transformers reads the same folder to the same ids."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from harken.base.errors import InputError
from harken.text import pieces as pieces_module
from harken.text.pieces import pieces, without_long_runs
from harken.text.tokenizer import Tokenizer
from harken.text.train import choose_kind, train_bpe, train_characters, train_unigram, train_words

CORPUS = [
    "To be, or not to be:\r\nthat is the question.\n\n  'Tis nobler",
    "naïve 👩‍👩‍👧 日本語 <eos> é e\u0301 \t\0",
    "don't we'll 1234 ...!?",
] * 3
MARKS = ["<eos>", "<bos>", "<pad>", "<unk>", "<|endoftext|>"]

unicode = st.text(st.characters(exclude_categories=["Cs"]))
words = st.lists(st.sampled_from([*MARKS, " ", "\n", "\r\n", "  ", "the", "'s", "é", "日", "👩‍👧", "a", "!", "\0", "1"]), max_size=12).map(
    "".join
)
anything = unicode | words
fuzz = settings(deadline=None, max_examples=150)


@pytest.fixture(scope="module")
def char():
    return train_characters(CORPUS + MARKS)


@pytest.fixture(scope="module")
def bpe():
    return train_bpe(CORPUS * 4, 320)


def wordpiece():
    vocab = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "dog", "##s", "a", "##b", ".", "un", "##the"])}
    inner = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return Tokenizer(inner, {"pad": "[PAD]", "unk": "[UNK]"})


@fuzz
@given(text=anything)
def test_bpe_round_trip(bpe, text):
    ids = bpe.encode(text)
    assert ids[0] == bpe.bos_id and bpe.decode(ids) == text
    assert bpe.encode(text, special=False) == ids[1:]
    assert not bpe.special_ids.intersection(ids[1:])
    assert len(bpe.offsets(text)) == len(ids) - 1


@fuzz
@given(data=st.data())
def test_char_round_trip(char, data):
    alphabet = sorted({c for text in CORPUS + MARKS for c in text})
    text = data.draw(st.text(st.sampled_from(alphabet)) | st.lists(st.sampled_from(MARKS)).map("".join))
    ids = char.encode(text)
    assert ids[0] == char.bos_id and len(ids) == len(text) + 1 and char.decode(ids) == text
    assert char.unknown(ids) == 0 and not char.special_ids.intersection(ids[1:])
    assert char.offsets(text) == [(i, i + 1) for i in range(len(text))]


@fuzz
@given(texts=st.lists(anything, max_size=6))
def test_char_twins_agree(char, texts):
    """The table of code points against the library, unknown characters included."""
    for ours, slow in zip(char._batch_by_table(texts) if texts else [], char._batch_by_inner(texts), strict=True):
        np.testing.assert_array_equal(ours, slow)
        assert ours.dtype == slow.dtype == np.int32
    for array, text in zip(char.encode_many(texts), texts, strict=True):
        assert array.tolist() == char.encode(text, special=False)


def test_unknown_characters(char):
    ids = char.encode("Ж be Ж", special=False)
    assert char.unknown(ids) == 2 and char.unknown(np.array(ids)) == 2
    assert ids[0] == char.unk_id == 3
    assert char.decode(ids) == " be "
    assert char.decode(ids, skip_special=False) == "<unk> be <unk>"


@pytest.mark.parametrize(
    "make",
    [
        lambda: train_characters(CORPUS),
        lambda: train_bpe(CORPUS, 320),
        lambda: train_words(CORPUS),
        lambda: train_unigram(CORPUS),
        wordpiece,
    ],
)
def test_long_texts_go_in_pieces(monkeypatch, make):
    """The same ids in pieces of 200 characters as at once."""
    tokenizer = make()
    monkeypatch.setattr(pieces_module, "PIECE", 200)
    monkeypatch.setattr(pieces_module, "_SLICE_CHARACTERS", 500)
    monkeypatch.setattr(pieces_module, "_SLICE_TEXTS", 3)
    for cut in (pieces_module.pieces, pieces_module.line_pieces):
        monkeypatch.setattr(cut, "__defaults__", (200,))
    text = "the dogs, don't ab.\n  undogs a  b!\n" * 40
    assert len(list(tokenizer.cut(text))) > 5
    whole = tokenizer.encode(text, special=False)
    assert tokenizer.encode_array(text).tolist() == whole
    texts = ["", "a b", text, "the", "the " * 51, *["dog"] * 7, text[:199], text.replace("\n", " ")]
    assert [a.tolist() for a in tokenizer.encode_many(texts)] == [tokenizer.encode(t, special=False) for t in texts]
    assert tokenizer.encode_array("").shape == (0,) and tokenizer.encode_array("").dtype == np.int32
    assert tokenizer.encode_many([]) == []


@fuzz
@given(text=anything, size=st.integers(10, 40))
def test_pieces_add_up(bpe, text, size):
    cut = list(pieces(text, size))
    assert "".join(cut) == text and all(0 < len(piece) <= size for piece in cut)
    parts = list(without_long_runs(text, 5))
    assert "".join(parts) == text
    assert not any(len(run) > 5 for part in parts for run in part.split())


def test_cut_keeps_tokens_whole(bpe):
    text = "one two, three!  four\n\nfive's\tsix " * 30
    for size in range(12, 60):
        cut = [bpe.encode(piece, special=False) for piece in pieces(text, size * 10)]
        assert list(itertools.chain(*cut)) == bpe.encode(text, special=False)


def test_training_is_deterministic():
    a, b = train_bpe(CORPUS, 320), train_bpe(iter(CORPUS), 320)
    assert a.inner.to_str() == b.inner.to_str()
    code = f"from harken.text.train import train_bpe; import sys; sys.stdout.write(train_bpe({CORPUS!r}, 320).inner.to_str())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, encoding="utf-8")
    assert other.stdout == a.inner.to_str() and other.stderr == ""
    assert train_characters(CORPUS).inner.to_str() == train_characters(reversed(CORPUS)).inner.to_str()


def test_vocabularies(char, bpe):
    assert (char.kind, char.pad_id, char.bos_id, char.eos_id, char.unk_id) == ("char", 0, 1, 2, 3)
    assert (bpe.kind, bpe.pad_id, bpe.bos_id, bpe.eos_id, bpe.unk_id) == ("bpe", 0, 1, 2, None)
    assert bpe.vocab_size == 320 and train_bpe(["x"], 259).vocab_size == 259
    alphabet = [char.token(i) for i in range(4, char.vocab_size)]
    assert alphabet == sorted(set(alphabet)) == sorted({c for text in CORPUS + MARKS for c in text})
    assert bpe.unknown([0, 1]) == 0
    assert char.prefix == bpe.prefix == [1] and char.suffix == bpe.suffix == []
    assert wordpiece().prefix == [2] and wordpiece().suffix == [3] and wordpiece().kind == "wordpiece"


def test_tokens_read_well(bpe):
    assert bpe.token(1) == "<bos>"
    assert bpe.token(bpe.encode(" be", special=False)[0]).startswith(" ")
    assert bpe.token(bpe.inner.token_to_id("Ã")) == "Ã"  # half a character: as it stands in the vocabulary
    assert [wordpiece().token(i) for i in (2, 5, 6)] == ["[CLS]", " dog", "s"]


def test_further_specials():
    for tokenizer in (train_bpe(CORPUS, 320, specials=["<|user|>"]), train_characters(CORPUS, specials=["<|user|>"])):
        special = tokenizer.inner.token_to_id("<|user|>")
        assert special in tokenizer.special_ids and special not in tokenizer.encode("<|user|>")
        assert tokenizer.decode([special], skip_special=False) == "<|user|>" and tokenizer.decode([special]) == ""
    with pytest.raises(InputError, match="ordinary piece"):
        train_bpe(["aab " * 50], 400, specials=["aab"])
    with pytest.raises(InputError, match="longer than one character: '<eos>'"):
        train_characters(["a"], specials=["<eos>"])


def test_choose_kind():
    assert choose_kind(200_000, 500) == ("char", None) == choose_kind(10**7, 6)
    assert choose_kind(1_115_394, 1e6) == ("bpe", 1024)
    assert choose_kind(300_000, 40) == ("bpe", 512)
    assert choose_kind(10**12, 40) == ("bpe", 16_384)


def test_errors(char, bpe, tmp_path):
    with pytest.raises(InputError, match=r"vocab_size is 258.*at least 259"):
        train_bpe(["x"], 258)
    with pytest.raises(InputError, match="no text"):
        train_characters(["", ""])
    with pytest.raises(InputError, match="U\\+D83D"):
        train_characters(["a\ud83d"])
    with pytest.raises(InputError, match=r"token id 320 is outside the vocabulary of 320 tokens \(0 to 319\)"):
        bpe.decode([1, 320])
    with pytest.raises(InputError, match="token id -1"):
        bpe.decode(np.array([-1]))
    with pytest.raises(InputError, match="whole numbers"):
        bpe.decode([0.5])  # type: ignore[list-item]
    with pytest.raises(InputError, match="one sequence"):
        bpe.decode(np.zeros((2, 2), int))
    for tokenizer in (char, bpe):
        for encode in (tokenizer.encode, tokenizer.encode_array, tokenizer.offsets, lambda t, k=tokenizer: k.encode_many(["a", t])):
            with pytest.raises(InputError, match=r"character 2 of the text is half a character \(the lone surrogate U\+DC00\)"):
                encode("ab\udc00")
        with pytest.raises(InputError, match="not int"):
            tokenizer.encode(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"tokenizer\.json does not exist"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": 1')
    with pytest.raises(InputError, match=r"tokenizer\.json is not a tokenizer file"):
        Tokenizer.load(tmp_path)


def test_decode_takes_any_integers(bpe):
    ids = bpe.encode("To be")
    assert bpe.decode(np.array(ids, np.int32)) == bpe.decode(tuple(ids)) == bpe.decode(np.array(ids, np.uint16)) == "To be"
    assert bpe.decode([]) == "" == bpe.decode(np.zeros(0))
    assert bpe.decode(bpe.encode("é", special=False)[:1]) in ("é", "\ufffd")
    assert bpe.decode([bpe.inner.token_to_id("Ã")]) == "\ufffd"


def test_save_and_load(char, bpe, tmp_path):
    for tokenizer in (char, bpe):
        tokenizer.extra["chat_template"] = "{{ messages }}"
        tokenizer.save(tmp_path)
        again = Tokenizer.load(tmp_path)
        del tokenizer.extra["chat_template"]
        assert again.extra.pop("chat_template") == "{{ messages }}"
        assert (again.kind, again.names, again.extra) == (tokenizer.kind, tokenizer.names, tokenizer.extra)
        assert again.encode("<eos> To be") == tokenizer.encode("<eos> To be")
        first = (tmp_path / "tokenizer.json").read_bytes()
        again.save(tmp_path)
        assert (tmp_path / "tokenizer.json").read_bytes() == first


def test_foreign_files(tmp_path):
    """Names from the old special_tokens_map.json, limits that must not cut a text but survive, keys that we do not know."""
    foreign = wordpiece()
    foreign.inner.enable_truncation(2)
    foreign.inner.enable_padding(length=9, pad_token="[PAD]")
    (tmp_path / "tokenizer.json").write_text(foreign.inner.to_str())
    (tmp_path / "special_tokens_map.json").write_text(
        json.dumps({"pad_token": {"content": "[PAD]"}, "mask_token": "[MASK]", "unk_token": "[UNK]"})
    )
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"unk_token": "[UNK]", "eos_token": None, "do_lower_case": True}))
    tokenizer = Tokenizer.load(tmp_path)
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.eos_id) == (0, 1, None)
    assert tokenizer.extra == {"do_lower_case": True} and tokenizer.names == {"pad": "[PAD]", "mask": "[MASK]", "unk": "[UNK]"}
    assert tokenizer.mask_id is None, "its vocabulary has no such token"
    assert len(tokenizer.encode("the dog the dog")) == 6
    tokenizer.save(tmp_path / "copy")
    written = json.loads((tmp_path / "copy/tokenizer.json").read_text("utf-8"))
    assert written == json.loads(foreign.inner.to_str())
    again = Tokenizer.load(tmp_path / "copy")
    assert (again.names, again.extra) == (tokenizer.names, tokenizer.extra)


@pytest.fixture(scope="module")
def theirs(char, bpe, tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    pairs = []
    for tokenizer, model_type in ((char, None), (bpe, None), (bpe, "llama"), (bpe, "gpt2"), (char, "mistral")):
        folder = tmp_path_factory.mktemp("tokenizer")
        tokenizer.extra["model_max_length"] = 77
        tokenizer.save(folder)
        if model_type:
            (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        pairs.append((tokenizer, transformers.AutoTokenizer.from_pretrained(folder)))
    return pairs


@settings(deadline=None, max_examples=60)
@given(text=anything)
def test_transformers_agrees(theirs, text):
    for ours, hf in theirs:
        ids = ours.encode(text)
        assert hf(text)["input_ids"] == ids
        assert hf(text, add_special_tokens=False)["input_ids"] == ids[1:] == ours.encode(text, special=False)
        assert hf.decode(ids, skip_special_tokens=True) == ours.decode(ids)
        assert hf.decode(ids, skip_special_tokens=False) == ours.decode(ids, skip_special=False)


def test_transformers_knows_the_specials(theirs):
    for ours, hf in theirs:
        assert (hf.pad_token_id, hf.bos_token_id, hf.eos_token_id, hf.unk_token_id) == (ours.pad_id, ours.bos_id, ours.eos_id, ours.unk_id)
        assert hf.pad_token_id != hf.eos_token_id and len(hf) == ours.vocab_size and hf.model_max_length == 77
        assert hf(["a", "a b"], padding=True)["input_ids"][0][-1] == ours.pad_id

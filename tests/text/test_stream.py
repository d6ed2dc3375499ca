"""Streams: the pieces add up to `decode(ids)` for every kind of decoder, and no piece ends inside a character."""

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

from harken.base.errors import InputError
from harken.text.stream import BYTE_OF, Stream, token_bytes
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_bpe, train_characters

WORDS = ["▁the", "▁", "▁▁", "s", "é", "日", "</s>", "<s>", "▁a", "."]
BYTES = [f"<0x{byte:02X}>" for byte in (0x0A, 0x20, 0x41, 0x80, 0x82, 0x9F, 0xAC, 0xC3, 0xE2, 0xF0, 0xFF)]


def llama():
    """SentencePiece BPE with byte fallback, as LLaMA 2 has it."""
    inner = tokenizers.Tokenizer(models.BPE({w: i for i, w in enumerate([*WORDS, *BYTES])}, [], byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    inner.add_special_tokens(["<s>", "</s>"])
    return Tokenizer(inner, {"bos": "<s>", "eos": "</s>"})


def unigram():
    inner = tokenizers.Tokenizer(models.Unigram([(w, -1.0) for w in WORDS], 6, False))
    inner.decoder = decoders.Metaspace()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.add_special_tokens(["<s>", "</s>"])
    return Tokenizer(inner, {"bos": "<s>", "eos": "</s>"})


def wordpiece():
    vocab = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "the", "dog", "##s", "a", "##b", ".", "n't", "'s", "do"])}
    inner = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    inner.decoder = decoders.WordPiece()
    inner.add_special_tokens(["[PAD]", "[UNK]"])
    return Tokenizer(inner, {"pad": "[PAD]", "unk": "[UNK]"})


def suffixed():
    """Words that end in </w>, as the first GPT has them; and no decoder at all for the other one."""
    inner = tokenizers.Tokenizer(models.BPE({w: i for i, w in enumerate(["a", "b</w>", "the</w>", "d"])}, []))
    inner.decoder = decoders.BPEDecoder(suffix="</w>")
    return Tokenizer(inner)


def bare():
    return Tokenizer(tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 1, "\ufffd": 2}, unk_token="a")))


def extended():
    """A byte-level tokenizer with an added token that is plain text."""
    tokenizer = train_bpe(["naïve 日本 👩‍👧 the then"] * 5, 300)
    tokenizer.inner.add_tokens(["日本 foo", "é"])
    return Tokenizer(tokenizer.inner, tokenizer.names)


MAKERS = [llama, unigram, wordpiece, suffixed, bare, extended, lambda: train_characters(["abc é日👩\u200d👧 \n\ufffd"])]
TOKENIZERS = [make() for make in MAKERS]
SMALL = train_bpe(["naïve 日本 👩‍👧 the then"] * 5, 300)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: type(t.inner.model).__name__)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_pieces_add_up(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=30))
    skip = data.draw(st.booleans())
    stream = Stream(tokenizer, skip_special=skip)
    for _ in range(2):  # a flushed stream is as new
        said = [*map(stream.push, ids), stream.flush()]
        assert "".join(said) == tokenizer.decode(ids, skip_special=skip)


@settings(deadline=None, max_examples=100)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_piece_ends_inside_a_character(text):
    stream, so_far = Stream(SMALL), ""
    for id in SMALL.encode(text):
        so_far += stream.push(id)
        assert text.startswith(so_far)
    assert so_far == text and stream.flush() == ""


def test_bytes_wait_for_their_character():
    tokenizer = train_bpe(["x"], 259)
    stream = Stream(tokenizer)
    assert [stream.push(id) for id in tokenizer.encode("a€", special=False)] == ["a", "", "", "€"]
    assert [stream.push(id) for id in tokenizer.encode("€", special=False)[:2]] + [stream.flush()] == ["", "", "\ufffd"]


def test_byte_tokens_wait_for_the_end_of_their_run():
    tokenizer = llama()
    ids = [tokenizer.inner.token_to_id(w) for w in ("▁the", "<0xE2>", "<0x82>", "<0xAC>", "▁a", "▁the")]
    stream = Stream(tokenizer)
    assert [stream.push(id) for id in ids] == ["the", "", "", "", "€ a", " the"]


def test_push_reports_a_wrong_id():
    stream = Stream(train_bpe(["x"], 259))
    for wrong in (259, -1):
        with pytest.raises(InputError, match=f"token id {wrong} is outside the vocabulary of 259"):
            stream.push(wrong)


def test_time_per_token_does_not_grow():
    """The window that is decoded again stays small, even for bytes that never make a character."""
    for tokenizer, id in ((llama(), 0), (llama(), 1), (train_bpe(["x"], 259), 200)):
        stream = Stream(tokenizer)
        for _ in range(3_000):
            stream.push(id)
        assert len(stream._context) + len(stream._pending) <= 4


def test_byte_alphabet_is_the_library_s():
    from tokenizers.pre_tokenizers import ByteLevel

    assert set(BYTE_OF) == set(ByteLevel.alphabet()) and sorted(BYTE_OF.values()) == list(range(256))
    assert token_bytes("Ġthe") == b" the" and token_bytes("日") == "日".encode()

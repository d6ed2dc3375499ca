"""Words of a field get tokens of their own, and a tokenizer knows whether another one is itself with more tokens."""

from __future__ import annotations

import pytest

from harken.base.errors import InputError
from harken.text.extend import added, with_words
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_tokenizer

TEXT = ["The heart beats and the lungs breathe.", "A fast heart; naïve lungs do not know it.", "12 beats, (fast) beats."] * 9


def of(kind: str, size: int | None = 300) -> Tokenizer:
    return train_tokenizer(kind, TEXT, size)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_a_word_is_one_token_wherever_it_stands_alone(kind: str, tmp_path) -> None:
    old = of(kind, {"bpe": 280, "wordpiece": 120}[kind])
    new = with_words(old, ["tachycardia", "bradypnoea"])
    assert new.vocab_size == old.vocab_size + 2
    for text in ("a tachycardia, (bradypnoea)", "tachycardia\nbradypnoea!", *TEXT[:1]):
        read = new.decode(new.encode(text, special=False))
        assert read.split() == text.split() if kind == "bpe" else "".join(read.split()).startswith("".join(text.split())[:12])
    ids = new.encode("a tachycardia here", special=False)
    assert old.vocab_size in ids
    assert old.vocab_size not in new.encode("tachycardiac", special=False)  # part of another word
    pieces = added(old, new)
    for n, word in enumerate(["tachycardia", "bradypnoea"]):  # what was unknown had no pieces
        assert pieces[old.vocab_size + n] == [i for i in old.encode(word, special=False) if i != old.unk_id]
    assert len(pieces) == 2
    new.save(tmp_path / "new")
    assert added(old, Tokenizer.load(tmp_path / "new")) == pieces


def test_a_special_token_has_no_pieces() -> None:
    old = of("bpe", 280)
    assert added(old, old.extended(["<|user|>"])) == {280: []}
    assert added(old, old) == {}


def test_what_cannot_be_a_word_is_one_sentence() -> None:
    bpe = of("bpe", 280)
    for words, match in (
        (["two words"], "is not one word"),
        ([""], "is not one word"),
        (["heart", "heart"], "already"),
        (["a"], "is a token of this tokenizer already"),
    ):
        with pytest.raises(InputError, match=match):
            with_words(bpe, words)
    with pytest.raises(InputError, match="leaves no place for 'tachycardia'"):
        with_words(of("unigram", 400), ["tachycardia"])
    with pytest.raises(InputError, match="would not come back"):
        with_words(bpe, ["naïf"])
    with pytest.raises(InputError, match="reads characters"):
        with_words(of("char", None), ["heart"])


def test_a_stranger_is_no_extension() -> None:
    old = of("bpe", 280)
    for other in (of("bpe", 270), of("wordpiece", 60), of("char", None), train_tokenizer("bpe", ["other words altogether"] * 9, 280)):
        with pytest.raises(InputError, match="is no extension of the model's"):
            added(old, other)

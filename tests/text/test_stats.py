"""The numbers of `stats` against a recount, one text after the other."""

from __future__ import annotations

from collections import Counter

import pytest

from harken.text import pieces as pieces_module
from harken.text.stats import Row, stats
from harken.text.train import KINDS, train_tokenizer

LEARNED = ["the king and the queen, don't they go?\n\nthe house of naïve kings\n" * 4, "a queen's house (and a king's) 12"]
TEXTS = ["the king and Žofka\n  the queen's naïve house", "日本 the  end", "", "of the\tking!", "12 of them"]
SIZES = {"char": None, "word": 40, "bpe": 300, "wordpiece": 120, "unigram": 400}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("piece", [1_000_000, 120])
def test_a_recount(kind, piece, monkeypatch):
    tokenizer = train_tokenizer(kind, LEARNED, SIZES[kind], specials=["<|user|>"])
    monkeypatch.setattr(pieces_module, "PIECE", piece)
    monkeypatch.setattr(pieces_module, "_SLICE_TEXTS", 2)
    for cut in (pieces_module.pieces, pieces_module.line_pieces):
        monkeypatch.setattr(cut, "__defaults__", (piece,))
    texts = TEXTS if piece > 1_000 else ["the king and Žofka, of 12 queen's " * 20, *TEXTS, "of the\nking 日本 and\n" * 15]
    found = stats(tokenizer, iter(texts), top=3)
    counts = Counter(i for text in texts for i in tokenizer.encode(text, special=False))
    ordinary = [i for i in range(tokenizer.vocab_size) if i not in tokenizer.special_ids]
    assert (found.kind, found.vocab_size) == (kind, tokenizer.vocab_size)
    assert found.characters == sum(map(len, texts)) and found.bytes == sum(len(text.encode()) for text in texts)
    assert found.words == sum(len(text.split()) for text in texts)
    assert found.tokens == counts.total() and found.bytes_per_token == found.bytes / counts.total()
    assert found.tokens_per_word == counts.total() / found.words
    assert found.unknown == counts[tokenizer.unk_id] == sum(tokenizer.unknown(tokenizer.encode(text)) for text in texts)
    assert found.unknown_characters == sum(map(tokenizer.unknown_characters, texts))
    assert found.unknown_share == found.unknown_characters / found.characters
    assert found.unused == sum(counts[i] == 0 for i in ordinary)
    rarest = sorted((counts[i], i) for i in ordinary if counts[i])[:3]
    assert found.rarest == [(tokenizer.token(i), n) for n, i in rarest]
    longest = sorted((len(tokenizer.token(i)) for i in ordinary if not tokenizer.token(i).startswith("<0x")), reverse=True)[:3]
    assert [n for _, n in found.longest] == longest and all(len(token) == n for token, n in found.longest)


def test_unknown_characters_are_those_of_the_text():
    text = "the Žofka king"
    for kind, tokens, characters in (("char", 1, 1), ("word", 1, 5), ("wordpiece", 1, 5), ("bpe", 0, 0), ("unigram", 0, 0)):
        found = stats(train_tokenizer(kind, LEARNED, SIZES[kind]), [text])
        assert (found.unknown, found.unknown_characters) == (tokens, characters), kind


def test_no_text():
    found = stats(train_tokenizer("bpe", LEARNED, 300), [])
    assert (found.tokens, found.bytes_per_token, found.tokens_per_word, found.unknown_share, found.rarest) == (0, 0, 0, 0, [])


def test_a_row_as_one_object():
    row = Row("mine", 1.0, stats(train_tokenizer("word", LEARNED, 40), TEXTS, top=2))
    facts = row.to_json()
    assert (facts["tokenizer"], facts["kind"], facts["seconds"], facts["tokens"]) == ("mine", "word", 1.0, row.stats.tokens)
    assert all(facts[name] == getattr(row.stats, name) for name in ("bytes_per_token", "tokens_per_word", "unknown_share"))

"""Texts in bytes that may be larger than memory: the same as a list of str, whatever the blocks and wherever the bytes lie."""

import hashlib
import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.base.errors import InputError, RunError
from harken.data import blob as blobs
from harken.data.blob import Blob, Spill, scratch
from harken.data.numbers import Numbers, room
from harken.data.texts import Texts, TextsBuilder, digest
from harken.text.pieces import PIECE, pieces

words = st.text(st.sampled_from("ab é\n日🙂"), max_size=12)
many = st.lists(words, max_size=30)
sizes = st.sampled_from([4, 16, 1 << 22])


@settings(max_examples=150)
@given(texts=many, more=many, block=sizes, held=sizes, data=st.data())
def test_like_a_list(texts, more, block, held, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blob, "BLOCK", block)
        patch.setattr(Blob, "HELD", held)
        builder = TextsBuilder("x")
        builder.extend(Texts.of(texts[:3]))
        for text in texts[3:]:
            builder.add(text)
        found = builder.texts()
        assert found == texts and list(found) == texts and len(found) == len(texts)
        assert [found[i] for i in range(-len(texts), len(texts))] == texts + texts
        assert list(found[1::2]) == texts[1::2]
        assert found.characters == sum(map(len, texts)) and found.size == len("".join(texts).encode())
        assert [n for some in found.lengths() for n in some.tolist()] == list(map(len, texts))
        assert found.has_text() == any(text.strip() for text in texts)
        wanted = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") for text in texts]
        assert [n for some in found.fingerprints() for n in some.tolist()] == wanted
        assert digest(found, Texts.of(more)) == hashlib.sha256("\n".join(texts + more).encode()).hexdigest()
        for parts in (found.parts(), itertools.chain.from_iterable(found.batches())):
            assert ["".join(p for _, p in some) for _, some in itertools.groupby(parts, lambda part: part[0])] == texts
        which = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), bool)
        assert found.select(which) == [text for text, keep in zip(texts, which, strict=True) if keep]
    assert found not in ([*texts, "more"], "abc")


@pytest.mark.parametrize("unit", ["word é\n", "x", "日本"])
def test_a_long_text_comes_in_the_pieces_of_the_tokenizer(unit):
    text = unit * (3 * PIECE // len(unit)) + "end"
    found = Texts.of(["before", text, "behind"])
    assert list(found.parts()) == [(0, "before"), *((1, piece) for piece in pieces(text)), (2, "behind")]
    assert max(sum(len(piece) for _, piece in batch) for batch in found.batches()) <= 4 * PIECE


def test_half_a_character_is_no_text():
    with pytest.raises(InputError, match=r"data.csv holds half a character \(U\+D83D\)"):
        TextsBuilder("data.csv").add("a\ud83d")


# ---- files that change, disks that are full


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(Blob, "HELD", 10)
    monkeypatch.setattr(Blob, "BLOCK", 8)


def test_a_file_that_shrinks_is_an_error_in_words(tmp_path, small):
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789" * 10)
    blob = Blob.open(path, "a.txt")
    assert b"".join(block for _, block in blob.tail(3).blocks(1)) == path.read_bytes()[4:]
    os.truncate(path, 50)
    with pytest.raises(InputError, match=r"a.txt became shorter while it was read: let it be finished"):
        list(blob.blocks())


def test_a_file_that_is_rewritten_is_an_error_in_words(tmp_path, small):
    path = tmp_path / "a.txt"
    path.write_bytes(b"0123456789\n" * 10)
    found = Texts(Blob.open(path, "a.txt"), np.array([[0, 4], [4, 60]]))
    path.write_bytes(b"\xff" * 110)
    for use in (list, lambda each: list(each.parts()), lambda each: each[0]):
        with pytest.raises(InputError, match=r"a.txt was changed while it was read"):
            use(found)


def test_a_full_disk_is_an_error_in_words(small, monkeypatch):
    def full(name):
        return open("/dev/full", "wb", buffering=0)

    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no device that is always full")
    monkeypatch.setattr(blobs, "scratch", full)
    monkeypatch.setattr("harken.data.numbers.scratch", full)
    with pytest.raises(RunError, match=r"a.txt is held in a temporary file, for which no space is left: make room, or name another folder"):
        Spill("a.txt").write(b"0123456789" * 3)
    with pytest.raises(RunError, match="no space is left"):
        room(100, np.int64)


def test_temporary_files_lie_with_the_caches_and_leave_nothing(tmp_path, monkeypatch, small):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    spill = Spill("x")
    spill.write(b"0123456789" * 3)
    spill.write(b"end")
    blob = spill.blob()
    assert (tmp_path / "caches" / "harken").is_dir() and not list((tmp_path / "caches" / "harken").iterdir())
    assert blob.read(25, 33) == b"56789end" and bytes(blob.buffer())[-3:] == b"end"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    scratch("x").close()  # elsewhere


@pytest.mark.parametrize("held", [10, 1 << 20])
def test_numbers(held, monkeypatch):
    monkeypatch.setattr(Blob, "HELD", held)
    pairs, flat = Numbers(np.int64, 2), Numbers(np.uint16)
    assert pairs.array().shape == (0, 2) and flat.array().shape == (0,)
    for i in range(5):
        pairs.add([[i, 10 * i]])
        flat.add(np.arange(i))
    assert pairs.array().tolist() == [[i, 10 * i] for i in range(5)]
    found = flat.array()
    assert found.dtype == np.uint16 and found.tolist() == [0, 0, 1, 0, 1, 2, 0, 1, 2, 3]
    order = room(1_000, np.int32)
    order[:] = np.arange(1_000)
    assert order.sum() == 499_500

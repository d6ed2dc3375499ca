"""Any bytes at all: a file either gives one sentence, or texts in which every byte, line, text and token is accounted for."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.data.blob import Blob
from harken.data.ledger import Ledger
from harken.data.lines import SEPARATOR
from harken.data.overlap import overlap
from harken.data.read import read
from harken.data.sample import alphabet, sample
from harken.data.split import split
from harken.objectives.causal import spans
from harken.text.train import train_bpe, train_characters

BPE = train_bpe(["any bytes at all: a file either gives one sentence, or texts " * 3], 300)

pieces = st.one_of(
    st.sampled_from(["\n", "\r\n", "\r", " ", "\t", "a", "word ", "é", "日本", "🙂", "\u3000", "\x85", "\u2028", "\ufeff"]).map(str.encode),
    st.sampled_from([f"\n{SEPARATOR}\n", f" {SEPARATOR}", "x" * 300, "a line of some words that break\n" * 9]).map(str.encode),
    st.sampled_from([b'{"text": "a"}\n', b'{"text": "\\ud83d"}', b'"a,b"\n', b"a,b\n", b"text\tlabel\n"]),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
)
rarely = st.sampled_from([b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xff\xfe", b"\x1f\x8b", b"\x01\x02\x03\x04"])
said = st.text(st.characters(categories=["L", "N", "P", "Z"]), min_size=1, max_size=8).map(str.encode)
tame = st.lists(st.one_of(said, pieces), min_size=3, max_size=40).map(b"".join)
wild = st.lists(st.one_of(said, pieces, rarely, st.binary(max_size=30)), max_size=40).map(b"".join)
files = st.tuples(st.one_of(tame, tame, tame, wild, st.binary(max_size=300)), st.integers(0, 3)).map(
    lambda given: b"\xef\xbb\xbf" * (given[1] == 1) + given[0]
)

everything = given(
    raw=files,
    suffix=st.sampled_from([".txt", ".txt", ".txt", ".txt.gz", ".jsonl", ".csv", ".tsv"]),
    examples=st.sampled_from([None, "lines", "running"]),
    overflow=st.sampled_from([None, "window", "truncate", "drop"]),
    context=st.sampled_from([2, 8, 1_000]),
    share=st.sampled_from([None, 0.5]),
    characters=st.booleans(),
    memory=st.sampled_from([(3, 4), (64, 50), (1 << 22, 1 << 26)]),
)


def test_any_file(any_file, tmp_path):
    any_file(everything(lambda **asked: check(tmp_path, **asked)))


def check(folder, raw, suffix, examples, overflow, context, share, characters, memory):
    """Read, split, sample and tokenise one file."""
    path = folder / f"data{suffix}"
    path.write_bytes(gzip.compress(raw, 1) if suffix.endswith(".gz") else raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blob, "BLOCK", memory[0])
        patch.setattr(Blob, "HELD", memory[1])
        try:
            corpus = read(path, examples=examples)
        except InputError as error:
            return told(error, path)
        assert all("\n" not in note for note in corpus.notes)
        was_read(corpus, raw, suffix)
        train, valid = split(corpus, share)
        for unit, size in (("texts", len), ("characters", lambda texts: sum(map(len, texts)))):
            assert [train.ledger.get("split", f"{side} {unit}") for side in ("train", "valid")] == [size(train.texts), size(valid.texts)]
        whole = "".join(train.texts) + "".join(valid.texts)
        assert sorted(whole) == sorted("".join(corpus.texts)) if corpus.kind == "lines" else len(whole) == corpus.texts.characters
        if corpus.kind == "lines" and memory[0] > 1_000:  # a text longer than a block is known by its beginning
            known = {text.strip() for text in train.texts}
            assert overlap(train, valid).shared == sum(text.strip() in known for text in valid.texts)
        assert sample(train.texts, 50).size <= train.texts.size
        tokenizer = train_characters([alphabet(train.texts)]) if characters else BPE
        for side in (train, valid):
            if side.texts:
                were_tokenised(side, tokenizer, context, overflow, path)


def told(error, path):
    """One sentence that names the file and what is wrong inside it."""
    assert "cannot be read" not in str(error) and "while it was read" not in str(error)
    assert "\n" not in str(error) and "\r" not in str(error) and path.name in str(error), error


def was_read(corpus, raw, suffix):
    """Against what Python itself makes of the bytes."""
    texts, counts = list(corpus.texts), corpus.ledger.to_json()["read"]
    assert texts and not any(text.isspace() or not text for text in texts)
    assert counts["characters"] == sum(map(len, texts)) and counts["examples"] == len(texts)
    assert counts["bytes"] == corpus.bytes() == sum(len(text.encode()) + (corpus.kind == "lines") for text in texts)
    if suffix in (".csv", ".tsv"):
        assert counts["rows"] == counts["empty texts"] + counts["examples"]
        return
    text = raw.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.removesuffix("\n").split("\n")
    blank, between = sum(not line.strip() for line in lines), sum(line.strip() == SEPARATOR for line in lines)
    assert counts["lines"] == len(lines) and counts["blank lines"] == blank
    if suffix == ".jsonl":
        found = [json.loads(line) for line in lines if line.strip()]
        assert counts["lines"] == blank + counts["empty texts"] + counts["examples"] and counts["empty texts"] + len(texts) == len(found)
    elif corpus.kind == "lines":
        assert texts == [line for line in lines if line.strip() and line.strip() != SEPARATOR]
        assert counts["lines"] == blank + between + len(texts) and counts.get("separator lines", 0) == between
    else:
        parts, part = [], ""
        for i, line in enumerate(lines):
            if line.strip() == SEPARATOR:
                parts, part = [*parts, part], ""
            else:
                part += line + ("\n" if i + 1 < len(lines) or text.endswith("\n") else "")
        assert texts == [part for part in [*parts, part] if part.strip()]
        assert counts.get("separator lines", 0) == between == max(0, len(texts) + counts.get("empty documents", 0) - 1)


def were_tokenised(side, tokenizer, context, overflow, path):
    """Every token is a target, only read, truncated or dropped; with nothing left out, the targets are the texts."""
    ledger = Ledger()
    try:
        found = spans(side, tokenizer, context, ledger, overflow=overflow)
    except InputError as error:
        long = [text for text in side.texts if len(tokenizer.encode(text, special=False)) + 1 > context]
        assert long and side.kind == "lines" and overflow in (None, "drop")
        if overflow is None:
            assert f"{len(long):,} of {len(side.texts):,} examples are longer than the context" in str(error)
        return told(error, path)
    counts = ledger.to_json()["tokens"]
    encoded = [tokenizer.encode(text, special=False) for text in side.texts]
    assert counts["tokens"] == sum(map(len, encoded)) and counts["ends"] == counts["texts"] == len(encoded)
    assert counts["tokens"] + counts["ends"] == counts["targets"] + counts.get("tokens truncated", 0) + counts.get("tokens dropped", 0)
    assert counts["unknown"] == sum(map(tokenizer.unknown, encoded))
    past = overflow if side.kind == "lines" else "window"
    wanted = [[*ids, tokenizer.eos_id] for ids in encoded]
    wanted = [ids[:context] if past == "truncate" else ids for ids in wanted if past != "drop" or len(ids) <= context]
    assert [found.ids[begin:end].tolist() for begin, end in found.spans] == wanted
    rows = found.rows(np.random.default_rng(0))
    assert (rows[:, 1] - rows[:, 0]).max() <= context and (rows[:, 1] - rows[:, 0]).sum() == found.targets == counts["targets"]
    return None

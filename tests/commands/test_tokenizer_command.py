"""`harken tokenizer` as a user types it, and from Python: results on stdout, words on stderr, one sentence and exit 2 for wrong input."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import harken
from harken.base.errors import InputError
from harken.base.options import argument
from harken.cli import main
from harken.commands.command import command
from harken.text.train import KINDS

LINES = ["The king and the queen don't go.", "A house of the king's, in 1984!", "naïve kings (and queens) stay", "they went on and on"]


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("data") / "lines.txt"
    path.write_text("\n".join(f"{line} {i} {other}" for i, line in enumerate(LINES * 6) for other in LINES) + "\n", "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def folder(text, tmp_path_factory) -> str:
    out = str(tmp_path_factory.mktemp("tokenizers") / "wordpiece")
    assert main(["tokenizer", "train", text, "--kind", "wordpiece", "--vocab-size", "115", "-o", out]) == 0
    return out


@pytest.fixture
def run(capsys):
    """`run("tokenizer", "stats", …)` -> (exit code, lines of stdout, lines of stderr)."""

    def call(*words: str) -> tuple[int, list[str], list[str]]:
        capsys.readouterr()
        code = main(list(words))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out.splitlines(), err.splitlines()

    return call


@pytest.mark.parametrize("kind", KINDS)
def test_train(run, text, tmp_path, kind):
    size = [] if kind == "char" else ["--vocab-size", "400"]
    words = ["tokenizer", "train", text, "--kind", kind, *size, "-o", str(tmp_path / "one"), "--specials", "<|user|>", "--specials", "<x>"]
    code, out, err = run(*words, "--json")
    made = harken.Tokenizer.load(tmp_path / "one")
    assert code == 0 and len(out) == 1
    facts = {"folder": str(tmp_path / "one"), "kind": kind, "vocab_size": made.vocab_size, "specials": len(made.special_ids)}
    assert json.loads(out[0]) == facts
    assert any("one example a line (96 lines)" in line for line in err) and any("characters in" in line for line in err)
    assert any("no more than" in line for line in err) == (kind != "char" and made.vocab_size < 400)
    assert {made.inner.token_to_id("<|user|>"), made.inner.token_to_id("<x>")} < made.special_ids
    code, out, _ = run(*words)
    assert code == 2 and not out
    code, out, _ = run(*words, "--overwrite")
    assert code == 0 and out == [f"{tmp_path / 'one'}: {kind}, {made.vocab_size} tokens, {facts['specials']} of them special"]


def test_train_chooses(run, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("tokenizer", "train", text)[1] == [f"{Path('runs/lines-char')}: char, 41 tokens, 4 of them special"]
    assert run("tokenizer", "train", text, "--vocab-size", "300")[1][0].startswith(f"{Path('runs/lines-bpe')}: bpe, 300 tokens")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert run("tokenizer", "train", "-")[1][0].startswith(f"{Path('runs/stdin-char')}: char, 9 tokens")


def test_train_on_several_sources(run, text, tmp_path):
    (tmp_path / "b.jsonl").write_text('{"body": "Ω"}\n')
    assert (
        run("tokenizer", "train", text, str(tmp_path / "b.jsonl"), "--columns", "body", "--kind", "char", "-o", str(tmp_path / "t"))[0] == 0
    )
    tokenizer = harken.Tokenizer.load(tmp_path / "t")
    assert tokenizer.unknown(tokenizer.encode("Ωking")) == 0


def test_encode(run, folder):
    code, out, err = run("tokenizer", "encode", folder, "the kings (Ж)", "on", "--json")
    found = [json.loads(line) for line in out]
    assert code == 0 and not err and [one["text"] for one in found] == ["the kings (Ж)", "on"]
    tokenizer = harken.Tokenizer.load(folder)
    for one in found:
        assert one.keys() == {"text", "ids", "tokens", "offsets", "unknown"}
        assert one["ids"] == tokenizer.encode(one["text"], special=False)
        assert one["tokens"] == [tokenizer.inner.id_to_token(i) for i in one["ids"]]
        assert one["offsets"] == [list(pair) for pair in tokenizer.offsets(one["text"])]
        assert one["unknown"] == one["tokens"].count("[UNK]")
    assert found[0]["unknown"] == 1
    _, out, _ = run("tokenizer", "encode", folder, "the kings (Ж)", "on")
    assert out[0].split() == ["id", "token", "characters", "text"] and "'the'" in out[1] and "0–3" in out[1]
    assert "1 of " in out[-4] and out[-3] == "" and "'on'" in out[-1]
    _, out, _ = run("tokenizer", "encode", folder, "on", "--special", "--json")
    one = json.loads(out[0])
    assert one["tokens"][0] == "[CLS]" and one["tokens"][-1] == "[SEP]" and one["offsets"] == [[0, 0], [0, 2], [2, 2]]


def test_encode_a_file(run, folder, text):
    code, out, err = run("tokenizer", "encode", folder, "first", "--file", text, "--json")
    assert code == 0 and len(out) == 1 + 96 and any("96 lines" in line for line in err)
    assert json.loads(out[0])["text"] == "first" and json.loads(out[1])["text"].startswith("The king and the queen don't go. 0")


def test_stats_of_folders(run, folder, text):
    code, out, err = run("tokenizer", "stats", folder, folder, text, "--json", "--top", "2")
    found = [json.loads(line) for line in out]
    assert code == 0 and len(found) == 2 and found[0] == found[1] and err[-1].startswith("measured on ")
    raw, tokenizer = Path(text).read_text("utf-8").splitlines(), harken.Tokenizer.load(folder)
    tokens = sum(len(tokenizer.encode(line, special=False)) for line in raw)
    expected = {
        "tokenizer": folder,
        "kind": "wordpiece",
        "vocab_size": 115,
        "seconds": None,
        "tokens": tokens,
        "bytes": sum(len(line.encode()) for line in raw),
        "words": sum(len(line.split()) for line in raw),
        "unknown": 0,
        "unknown_share": 0,
    }
    assert {name: found[0][name] for name in expected} == expected
    assert found[0]["bytes_per_token"] == pytest.approx(expected["bytes"] / tokens)
    assert found[0]["tokens_per_word"] == pytest.approx(tokens / expected["words"])
    assert len(found[0]["longest"]) == len(found[0]["rarest"]) == 2


def test_stats_compares_kinds(run, folder, text):
    code, out, err = run("tokenizer", "stats", folder, text, "--compare", "char, word,bpe,wordpiece,unigram", "--vocab-size", "400")
    assert code == 0 and "learned from" in err[-1]
    assert [line.split()[0] for line in out[1:7]] == [folder, *KINDS] and out[7] == ""
    assert sum("longest: " in line for line in out) == 6
    assert len({len(line) for line in out[:7]}) == 1, "columns are aligned"
    code, out, _ = run("tokenizer", "stats", text, "--compare", "char,bpe", "--json")
    char, bpe = map(json.loads, out)
    assert char["bytes"] == bpe["bytes"] < 0.3 * len(Path(text).read_bytes()), "on the part that is held out"
    assert char["kind"] == "char" and bpe["bytes_per_token"] > char["bytes_per_token"] >= 1 and char["seconds"] is not None


def test_extend(run, folder, tmp_path):
    out = str(tmp_path / "more")
    words = ["tokenizer", "extend", folder, "--tokens", "<|user|>", "--tokens", "<|bot|>"]
    assert run(*words, "-o", out)[1] == [f"{out}: wordpiece, 117 tokens, 7 of them special"]
    more = harken.Tokenizer.load(out)
    assert more.inner.token_to_id("<|bot|>") == 116 and more.encode("a <|bot|>") == harken.Tokenizer.load(folder).encode("a <|bot|>")
    assert run(*words)[2] == ["harken: --out is missing: name a folder for the new tokenizer"]
    assert run("tokenizer", "extend", folder, "-o", out)[2] == ["harken: name the tokens to add with --tokens or --words"]
    assert (
        "'[MASK]' is in this tokenizer already" in run("tokenizer", "extend", folder, "--tokens", "[MASK]", "-o", str(tmp_path / "x"))[2][0]
    )
    assert not (tmp_path / "x").exists()


def test_wrong_input_is_one_sentence(run, folder, text, tmp_path):
    def refused(words: list[str], *parts: str) -> None:
        code, out, err = run("tokenizer", *words)
        assert code == 2 and not out and all(part in err[-1] for part in parts), (out, err)

    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "one.txt").write_text("a single line\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    out = ["-o", str(tmp_path / "out")]
    refused(["train", *out], "DATA is missing")
    refused(["train", text.replace("lines", "line"), *out], "lines.txt")
    refused(["train", str(tmp_path / "empty.txt"), *out], "is empty")
    refused(["train", text, "--kind", "wordpeice", *out], "--kind must be one of", "did you mean 'wordpiece'")
    refused(["train", text, "--kind", "bpe", "--vocab-size", "100", *out], "vocab_size is 100", "at least 259")
    refused(["train", text, "--kind", "char", "--vocab-size", "100", *out], "not for characters")
    refused(["train", text, "--vocab-size", "0", *out], "--vocab-size must be at least 1")
    refused(["train", text, "--kind", "word", "--specials", "king", *out], "'king' is also an ordinary piece of text")
    refused(["train", text, "-o", str(tmp_path / "model")], "holds a model")
    refused(["train", text, "-o", folder], "holds a tokenizer already", "--overwrite")
    refused(["encode", folder], "TEXT is missing", "--file")
    refused(["encode", str(tmp_path), "a"], "tokenizer.json does not exist")
    refused(["encode", folder, "--file", str(tmp_path / "empty.txt")], "is empty")
    refused(["stats"], "DATA is missing")
    refused(["stats", folder], "DATA is missing", "behind the tokenizers")
    refused(["stats", text], "name a tokenizer folder", "--compare")
    refused(["stats", text, "--compare", "bpe,chars"], "--compare has no kind 'chars'", "did you mean 'char'")
    refused(["stats", str(tmp_path / "one.txt"), "--compare", "char"], "one example only")
    refused(["stats", folder, str(tmp_path / "empty.txt")], "is empty")
    assert not (tmp_path / "out").exists()


def test_python_has_the_same_words(text, tmp_path, capsys):
    assert harken.tokenizer is harken.tokenizer and "tokenizer" in dir(harken)
    made = harken.tokenizer.train(text, kind="unigram", vocab_size=430, out=tmp_path / "u")
    assert isinstance(made, harken.Tokenizer) and made.vocab_size == 430
    (one,) = harken.tokenizer.encode(made, "a king")
    (two,) = harken.tokenizer.encode(tmp_path / "u", "a king")
    assert one == two and one.ids == made.encode("a king", special=False) and one.offsets[-1] == (1, 6)
    (row,) = harken.tokenizer.stats(made, text)
    assert row.tokenizer == "unigram" and row.stats.unknown == 0
    more = harken.tokenizer.extend(made, tokens="<|user|>", out=tmp_path / "v")
    assert more.vocab_size == 431
    with pytest.raises(InputError, match="not int"):
        harken.tokenizer.encode(7, "a")
    with pytest.raises(InputError, match="DATA is missing"):
        harken.tokenizer.stats(text, made)


def test_no_torch_is_needed(text, tmp_path):
    out = str(tmp_path / "t")
    code = (
        "import sys; from harken.cli import main;"
        f"assert main(['tokenizer', 'train', {text!r}, '--kind', 'unigram', '-o', {out!r}]) == 0;"
        f"assert main(['tokenizer', 'stats', {out!r}, {text!r}, '--compare', 'bpe']) == 0;"
        "sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path, check=False).returncode == 0


# ---- groups of commands


@dataclass(frozen=True)
class ToyOptions:
    """Repeat a word. And nothing else."""

    word: str = argument("what to repeat")


@command("toy", ToyOptions, show=lambda result, options: print(result))
def toy(options: ToyOptions) -> str:
    return options.word


@command("toys up", ToyOptions, show=lambda result, options: print(result))
def toys_up(options: ToyOptions) -> str:
    return options.word.upper()


@command("toys down", ToyOptions, show=lambda result, options: print(result))
def toys_down(options: ToyOptions) -> str:
    return options.word.lower()


TABLE = dict.fromkeys(("toy", "toys up", "toys down"), __name__)


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (["toy", "aB"], 0, "aB\n", ""),
        (["toys", "up", "aB"], 0, "AB\n", ""),
        (["toys", "down", "aB"], 0, "ab\n", ""),
        (["toys", "dwon", "a"], 2, "", "harken toys: no such command: dwon (did you mean down?)\n"),
        (["toys", "toys", "a"], 2, "", "harken toys: no such command: toys (known: down, up)\n"),
        (["toy", "up", "a"], 2, "", "harken toy: got unexpected extra argument (a)\n"),
        (["toys", "up"], 2, "", "harken: WORD is missing: what to repeat\n"),
        (["toys", "up", "a", "--loud"], 2, "", "harken toys up: no such option --loud (harken toys up --help lists them)\n"),
        (["toys", "--loud"], 2, "", "harken toys: no such option --loud (harken toys --help lists them)\n"),
        (["tos"], 2, "", "harken: no such command: tos (did you mean toys or toy?)\n"),
    ],
)
def test_groups(words, code, out, err, capsys):
    found = main(words, TABLE)
    captured = capsys.readouterr()
    assert (found, captured.out) == (code, out)
    assert captured.err.replace("argument(s)", "argument") == err


def test_help_of_groups(capsys):
    for words in (["toys"], ["toys", "--help"], ["toys", "-h"]):
        assert main(words, TABLE) == 0
        out = capsys.readouterr().out
        assert "up    Repeat a word\n" in out and "down  Repeat a word\n" in out and "toy  " not in out
    assert main(["toys", "down", "--help"], TABLE) == 0
    assert "Usage: harken toys down WORD" in capsys.readouterr().out
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n  tokenizer ") == 1 and "tokenizer train" not in out
    assert main(["tokenizer"]) == 0
    assert all(f"\n  {name} " in capsys_out for capsys_out in [capsys.readouterr().out] for name in ("train", "encode", "stats", "extend"))

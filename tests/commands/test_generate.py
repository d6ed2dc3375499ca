"""`generate` with a model that reads a source: its prompt is no part of what is printed, and takes no room from it."""

from __future__ import annotations

import json

import pytest

from harken.checkpoint.save import save
from harken.cli import main
from harken.families.bart import BartConfig
from harken.families.table import build
from harken.text.train import train_characters

COMMANDS = {"generate": "harken.commands.generate"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny BART that was never trained, with a context of 12 tokens."""
    tokenizer, folder = train_characters(["abcdefgh"]), tmp_path_factory.mktemp("bart")
    save(build(BartConfig.sized(16, 1, 2, 12, tokenizer.vocab_size, 0.0), seed=0), tokenizer, folder)
    return str(folder)


def test_a_source_is_not_printed(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*words: str) -> str:
        assert main(["generate", folder, "abcabc", "--seed", "3", "--temperature", "1.5", *words], COMMANDS) == 0
        return capsys.readouterr().out

    whole = printed()
    assert whole.strip() and not whole.startswith("abcabc") and printed("--stream") == whole
    assert json.loads(printed("--stream", "--json")) == {"prompt": "abcabc", "text": whole.removesuffix("\n")}
    assert json.loads(printed("--json"))["text"] == whole.removesuffix("\n")


def test_a_source_takes_no_room(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    for asked, said in ((11, ""), (12, "1 of 1 texts ended before 12 new tokens: the context of 12 is full\n")):
        assert main(["generate", folder, "abcabc", "--min-new-tokens", "11", "--max-new-tokens", str(asked)], COMMANDS) == 0
        assert capsys.readouterr().err == said

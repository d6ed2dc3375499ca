"""`harken chat` as people use it: in a pipe, on a terminal, with Ctrl-C in the middle of a reply."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harken
from harken.checkpoint.save import save
from harken.cli import main
from harken.commands.terminal import printed


@pytest.fixture(scope="module")
def folders(talker: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Models of both kinds, and one with room for a long reply."""
    made = {"messages": talker("messages"), "dialogue": talker("dialogue"), "long": talker("messages", context=4096)}
    for name, pair in made.items():
        save(*pair, tmp_path_factory.mktemp("chat") / name)
    return {name: str(tmp_path_factory.getbasetemp() / f"chat{i}" / name) for i, name in enumerate(made)}


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[list[str], str]]:
    """`piped(lines, *words)`: (lines on stdout, stderr) of a chat whose standard input are these bytes."""

    def run(given: bytes, *words: str) -> tuple[list[str], str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert main(["chat", *words]) == 0
        found = capsys.readouterr()
        return found.out.splitlines(), found.err

    return run


SHORT = ("--max-new-tokens", "8")


def test_a_line_is_a_turn(folders: dict[str, str], piped: Callable[..., Any]) -> None:
    for kind in ("messages", "dialogue"):
        given = "\ufeffhello\r\n\n  \nand you? 🙂\n".encode() + b"bad \xff byte\nlast"
        out, err = piped(given, folders[kind], "--json", *SHORT)
        found = [json.loads(line) for line in out]
        assert [one["message"] for one in found] == ["hello", "and you? 🙂", "bad \ufffd byte", "last"]
        talk = harken.chat(folders[kind], max_new_tokens=8)
        replies = [talk.say(one["message"]) for one in found]
        assert [(one["text"], one["ids"]) for one in found] == [(one.text, list(one.ids)) for one in replies]
        assert "(the reply was cut at 8 tokens" in err and err.count("was cut") == 1
        assert found[0].keys() >= {"message", "text", "ids", "logprobs", "finish_reason", "dropped_turns"}
        plain, _ = piped(given, folders[kind], *SHORT)
        assert "\n".join(plain) + "\n" == printed("".join(f"{one.text}\n" for one in replies))


def test_one_reply_and_no_more(folders: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", folders["messages"], "hello", "--json", *SHORT]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["text"] == harken.chat(folders["messages"], "hello", max_new_tokens=8).text
    for words, said in (
        ([folders["messages"], "word " * 200], "too long"),
        ([folders["messages"], "hi", "--candidates", "3"], "choice head"),
        ([folders["messages"], "hi", "--overflow", "window"], "leave overflow out"),
        ([folders["dialogue"], "hi", "--persona", "a", "--persona-from", "x"], "give one of them"),
    ):
        assert main(["chat", *words]) == 2
        caught = capsys.readouterr()
        assert said in caught.err and caught.err.count("\n") == 1 and not caught.out


def test_what_else_can_be_asked(folders: dict[str, str], piped: Callable[..., Any]) -> None:
    given = b"/why\n/retry\nhello\n/retry\n/why 2\n/why x\n/perosna\n//bin is a folder\n/usr/bin too\n/reset\n/retry\n/help\n/quit\nnever\n"
    out, err = piped(given, folders["dialogue"], "--json", *SHORT)
    found = [json.loads(line) for line in out]
    assert [one["message"] for one in found] == ["/retry", "hello", "/retry", "/bin is a folder", "/usr/bin too", "/retry"]
    assert found[1]["ids"] != found[2]["ids"] and "say something first" in found[-1]["error"]
    for said in (
        "there is no reply to explain",
        "probability  rank",
        "/why takes the number",
        "did you mean '/persona'?",
        "what was said is forgotten",
        "/persona SENTENCE",
    ):
        assert said in err
    lines = err[err.index("probability") :].splitlines()
    assert len(lines[1 : 1 + len(found[2]["ids"])]) == len(found[2]["ids"]) and "%" in lines[len(found[2]["ids"])]


def test_personas(folders: dict[str, str], piped: Callable[..., Any], tmp_path: Path) -> None:
    given = b"/persona\n/persona i ski.\nhello\n/persona clear\nhello\n/persona " + b"word " * 200 + b"\nhello\n"
    out, err = piped(given, folders["dialogue"], "--persona", "i love dogs.", "--json", *SHORT)
    assert err.startswith("who it is: i love dogs.\ni love dogs.\ni love dogs.\ni ski.\n")
    assert "nothing is said about who the model is" in err and "the persona is too long" in err
    talk = harken.chat(folders["dialogue"], persona=["i love dogs.", "i ski."], max_new_tokens=8)
    first, second = talk.say("hello"), (talk.persona(""), talk.say("hello"))[1]
    assert [json.loads(line)["text"] for line in out[:2]] == [first.text, second.text] and len(out) == 3
    rows = [{"persona": [f"i am number {n}."], "dialogue": ["hi", "hello"]} for n in range(5)]
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [{"dialogue": ["a", "b"]}, *rows]))
    drawn = {piped(b"", folders["dialogue"], "--persona-from", str(path), "--seed", str(seed))[1] for seed in range(6)}
    assert len(drawn) > 1 and all(re.fullmatch(r"who it is: i am number \d\.\n", one) for one in drawn)
    path.write_text('{"dialogue": ["a", "b"]}\n')
    assert main(["chat", folders["dialogue"], "--persona-from", str(path)]) == 2


def test_candidates(folders: dict[str, str], piped: Callable[..., Any]) -> None:
    (line,) = piped(b"hello\n", folders["dialogue"], "--candidates", "4", "--json")[0]
    found = json.loads(line)
    assert found["text"] == found["candidates"][0][0] and len(found["candidates"]) > 1


def test_a_terminal_shows_and_does_not_obey() -> None:
    assert printed("a\x1b[2Jb\x00\tc\nd\x9b\x7f🙂") == "a␛[2Jb␀\tc\nd\ufffd\ufffd🙂"


class Screen:
    """A program on a terminal of its own: `wait(text)` until it says so, `type(bytes)`, `seen` so far."""

    def __init__(self, *words: str) -> None:
        self.ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(harken.__file__).parents[1])}
        self.process = subprocess.Popen(
            [sys.executable, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)
        self.seen, self.at = "", 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        held = b""
        while True:
            try:
                held += os.read(self.ours, 65536)
            except OSError:
                return
            self.seen = held.decode("utf-8", "replace")

    def wait(self, text: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while text not in self.seen[self.at :]:
            assert time.monotonic() < end and self.process.poll() is None, (text, self.seen[-2000:])
            time.sleep(0.01)
        self.at = self.seen.index(text, self.at) + len(text)

    def type(self, given: bytes) -> None:
        for at in range(0, len(given), 1024):
            os.write(self.ours, given[at : at + 1024])

    def say(self, text: str) -> None:
        """Type a message, and wait until the reply is well under way."""
        begun = len(self.seen)
        self.type(f"{text}\r".encode())
        end = time.monotonic() + 60
        while len(self.seen) < begun + 150:
            assert time.monotonic() < end and self.process.poll() is None, self.seen[-2000:]
            time.sleep(0.01)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


def test_on_a_terminal(folders: dict[str, str]) -> None:
    screen = Screen("-m", "harken", "chat", folders["long"], "--max-new-tokens", "3500", "--min-new-tokens", "3500")
    try:
        screen.wait("/help lists")
        screen.wait("> ")
        screen.say("hello")
        screen.process.send_signal(signal.SIGINT)
        screen.wait("(stopped; what was said stays)", 10)
        screen.wait("> ")
        screen.type(b"\x1b[200~" + b"pasted line\n" * 8_500 + b"\x1b[201~\r")  # 100 kB
        screen.wait("the message is too long")
        screen.wait("> ")
        screen.say("\r\x00🙂 é")
        screen.process.send_signal(signal.SIGINT)
        screen.wait("(stopped", 10)
        screen.wait("> ")
        screen.type(b"/why 1\r")
        screen.wait("rank")
        screen.wait("> ")
        screen.type(b"\x04")
        assert screen.process.wait(20) == 0
        assert "Traceback" not in screen.seen
    finally:
        screen.close()


LINES = (  # a shell's background jobs, and what they start, ignore this signal
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from harken.commands.terminal import typed; [print('line', repr(line[:40]), len(line)) for line in typed()]; print('over')"
)


@pytest.mark.parametrize("end", [b"\x03", b"\x04"])
def test_lines_that_are_typed(end: bytes) -> None:
    screen = Screen("-c", LINES)
    try:
        screen.wait("> ")
        screen.type("one 🙂\r".encode())
        screen.wait("line 'one 🙂' 5")
        screen.type(b"two \\\rlines\r")
        screen.wait(r"line 'two \nlines' 10")
        screen.type(b"\x1b[200~a\rb\x1b[201~\r")
        screen.wait(r"line 'a\nb' 3")
        screen.type(b"\x1b[A\x1b[A\r")
        screen.wait("line 'lines' 5")  # earlier lines come back
        screen.wait("> ")
        if end == b"\x03":
            screen.process.send_signal(signal.SIGINT)
        else:
            screen.type(end)
        screen.wait("over")
        assert screen.process.wait(20) == 0 and "Traceback" not in screen.seen
    finally:
        screen.close()

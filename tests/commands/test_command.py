"""One options class through both doors, Python and the command line: types, bounds, choices, suggestions, exit codes, one line an error."""

from __future__ import annotations

import errno
import inspect
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from harken.base.errors import InputError, RunError
from harken.base.options import argument, option
from harken.cli import main
from harken.commands.command import command


@dataclass(frozen=True)
class ToyOptions:
    """Repeat what it is told. And nothing else."""

    model: str = argument("folder of the model")
    prompts: tuple[str, ...] = argument((), "texts to continue", metavar="PROMPT...")
    steps: int = option(10, "how many", min=1, max=100, short="-s")
    rate: float | None = option(None, "how fast", above=0)
    temperature: float = option(1.0, "how wild", min=0)
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where")
    bits: Literal[8, 4] | None = option(None, "how fine")
    stop: tuple[str, ...] = option((), "where to stop; may be given more than once")
    max_new_tokens: int | None = option(None, "how long")
    json: bool = option(False, "print one JSON object")
    shuffle: bool = option(True, "in any order")
    log: Callable[[str], None] | None = None  # for Python only

    def __post_init__(self) -> None:
        if self.steps == 13:
            raise InputError("--steps 13 brings bad luck: take 12")


@command("toy", ToyOptions)
def toy(options: ToyOptions) -> ToyOptions:
    """Returns the options themselves."""
    if options.log:
        options.log("ran")
    return options


@toy.show
def _show(result: ToyOptions, options: ToyOptions) -> None:
    print(json.dumps({name: value for name, value in vars(result).items() if value != ToyOptions.__dataclass_fields__[name].default}))


@dataclass(frozen=True)
class TroubleOptions:
    """Go wrong in a chosen way."""

    how: str = argument("in which way")


TROUBLE = {
    "input": InputError("names.txt, line 3: no column 'text'\n(columns: a, b)"),
    "run": RunError("the loss is not a number"),
    "key": KeyError("x"),
    "memory": MemoryError(),
    "allocator": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
    "full": OSError(errno.ENOSPC, "No space left on device", "runs/a"),
    "missing": FileNotFoundError(errno.ENOENT, "No such file or directory", "a.txt"),
    "interrupt": KeyboardInterrupt(),
}


@command("trouble", TroubleOptions, show=lambda result, options: print(result))
def trouble(options: TroubleOptions) -> str:
    """Returns how."""
    if options.how == "warn":
        warnings.warn("a plain warning", UserWarning, stacklevel=1)
    if options.how in TROUBLE:
        raise TROUBLE[options.how]
    return options.how


COMMANDS = {"toy": __name__, "trouble": __name__}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`run("toy", "M")` -> (exit code, stdout, stderr)."""

    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words), COMMANDS)
        return code, *capsys.readouterr()

    return call


# ---- both doors


@pytest.mark.parametrize(
    ("words", "keywords"),
    [
        ((), {}),
        (("--steps", "7"), {"steps": 7}),
        (("-s", "7"), {"steps": 7}),
        (("--rate=1e-3",), {"rate": 1e-3}),
        (("--temperature", "0"), {"temperature": 0}),
        (("--device", "cpu"), {"device": "cpu"}),
        (("--bits", "4"), {"bits": 4}),
        (("--stop", "a", "--stop", "b"), {"stop": ["a", "b"]}),
        (("--stop", "a"), {"stop": "a"}),
        (("--max-new-tokens", "5"), {"max_new_tokens": 5}),
        (("--json",), {"json": True}),
        (("--no-shuffle",), {"shuffle": False}),
        (("one", "two"), {"prompts": ("one", "two")}),
        (("one",), {"prompts": "one"}),
        (("--", "--debug", "-x"), {"prompts": ["--debug", "-x"]}),
        (("",), {"prompts": ""}),
    ],
)
def test_words_and_keywords_mean_the_same(run: Any, words: tuple[str, ...], keywords: dict[str, Any]) -> None:
    code, out, err = run("toy", "M", *words)
    assert (code, err) == (0, "")
    by_python = toy("M", **keywords)
    given = {name: value for name, value in vars(by_python).items() if name in keywords or name == "model"}
    assert json.loads(out) == json.loads(json.dumps(given))


@pytest.mark.parametrize(
    ("words", "keywords", "sentence"),
    [
        (("--steps", "0"), {"steps": 0}, "--steps must be at least 1, not 0"),
        (("--steps", "101"), {"steps": 101}, "--steps must be at most 100, not 101"),
        (("--rate", "0"), {"rate": 0}, "--rate must be above 0, not 0.0"),
        (("--temperature", "-1"), {"temperature": -1}, "--temperature must be at least 0, not -1.0"),
        (("--steps", "13"), {"steps": 13}, "--steps 13 brings bad luck: take 12"),
        (("--steps", "x"), {"steps": "x"}, "--steps must be a whole number, not 'x'"),
        (("--rate", "nan"), {"rate": "nan"}, "--rate must be a number, not 'nan'"),
        (("--device", "cdua"), {"device": "cdua"}, "--device must be one of auto, cpu, cuda, not 'cdua' (did you mean 'cuda'?)"),
        (("--bits", "5"), {"bits": "5"}, "--bits must be one of 8, 4, not '5'"),
    ],
)
def test_both_refuse_in_the_same_sentence(run: Any, words: tuple[str, ...], keywords: dict[str, Any], sentence: str) -> None:
    assert run("toy", "M", *words) == (2, "", f"harken: {sentence}\n")
    with pytest.raises(InputError) as error:
        toy("M", **keywords)
    assert str(error.value) == sentence


# ---- Python


@pytest.mark.parametrize(
    "keywords",
    [
        {"steps": True},
        {"steps": 1.0},
        {"steps": "1"},
        {"steps": None},
        {"temperature": True},
        {"temperature": float("inf")},
        {"temperature": 10**400},
        {"rate": float("nan")},
        {"json": 1},
        {"json": "yes"},
        {"stop": 3},
        {"stop": ("a", 3)},
        {"stop": None},
        {"device": None},
        {"bits": "4"},
        {"model": 3},
        {"model": b"M"},
    ],
)
def test_python_types_are_checked(keywords: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        toy(**{"model": "M", **keywords})


def test_python_types_that_are_fine() -> None:
    found = toy(Path("a") / "b", temperature=2, steps=np.int64(3), rate=np.float32(0.5), log=None)
    assert (found.model, found.temperature, found.steps, found.rate) == (os.path.join("a", "b"), 2.0, 3, 0.5)
    assert type(found.temperature) is float and type(found.steps) is int


def test_variadic_prompts_in_python() -> None:
    assert toy("M", "a", "b").prompts == toy("M", ["a", "b"]).prompts == toy("M", prompts=iter("ab")).prompts == ("a", "b")
    assert toy("M").prompts == toy("M", []).prompts == ()


@pytest.mark.parametrize(
    ("args", "keywords", "words"),
    [
        (("M",), {"stpes": 3}, "did you mean 'steps' or 'stop'?"),
        ((), {}, "'model'"),
        (("M",), {"model": "N"}, "multiple values for argument 'model'"),
        (("M", "a"), {"prompts": "b"}, "multiple values for argument 'prompts'"),
    ],
)
def test_a_wrong_call_is_a_type_error(args: tuple[str, ...], keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=r"^toy\(\)") as error:
        toy(*args, **keywords)
    assert words in str(error.value)


def test_it_looks_and_travels_like_a_function() -> None:
    assert str(inspect.signature(toy)).startswith("(model: str, *prompts: str, steps: int = 10, rate: float | None = None")
    assert list(inspect.signature(toy).parameters)[2:] == [
        name for name in ToyOptions.__dataclass_fields__ if name not in ("model", "prompts")
    ]
    doc = inspect.getdoc(toy) or ""
    assert doc.startswith("Repeat what it is told.") and "Args:" in doc and "steps: how many (default 10)" in doc
    assert doc.endswith("Returns the options themselves.")
    assert toy.__name__ == "toy" and toy.__module__ == __name__
    assert pickle.loads(pickle.dumps(toy)) is toy


def test_fields_for_python_only() -> None:
    heard: list[str] = []
    toy("M", log=heard.append)
    assert heard == ["ran"]


def test_named_values_from_elsewhere() -> None:
    assert toy.read({"model": "M", "steps": 4}).steps == 4
    with pytest.raises(InputError, match="MODEL is missing: folder of the model"):
        toy.read({"steps": 4})
    with pytest.raises(InputError, match=r"toy has no option 'stpes' \(did you mean 'steps' or 'stop'\?\)"):
        toy.read({"model": "M", "stpes": 4})


def test_a_type_that_cannot_be_a_flag_is_found_at_once() -> None:
    with pytest.raises(TypeError, match=r"WrongOptions\.table"):

        @dataclass(frozen=True)
        class WrongOptions:
            """Wrong."""

            table: bytes = option(b"", "no flag can say this")

        command("wrong", WrongOptions)(lambda options: None)


# ---- the command line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("toy",), "harken: MODEL is missing: folder of the model"),
        (("toy", "M", "--stpes", "3"), "harken toy: no such option --stpes (did you mean --steps or --stop?)"),
        (("toy", "M", "--steps"), "harken toy: option '--steps' requires an argument"),
        (("toy", "M", "--zzz"), "harken toy: no such option --zzz (harken toy --help lists them)"),
        (("trouble", "a", "b"), "harken trouble: got unexpected extra argument(s) (b)"),
        (("tyo",), "harken: no such command: tyo (did you mean toy?)"),
        (("zzz",), "harken: no such command: zzz (known: toy, trouble)"),
        (("--zzz",), "harken: no such option --zzz (harken --help lists them)"),
        (("trouble", "input"), "harken: names.txt, line 3: no column 'text' (columns: a, b)"),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(run: Any, words: tuple[str, ...], line: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.replace("argument (b)", "argument(s) (b)") == line + "\n"


@pytest.mark.parametrize(
    ("how", "code", "words"),
    [
        ("run", 1, ["harken: the loss is not a number"]),
        ("key", 1, ["harken: unexpected KeyError: 'x'", "--debug", "report it"]),
        ("memory", 1, ["not enough memory"]),
        ("allocator", 1, ["not enough memory"]),
        ("full", 1, ["No space left on device: runs/a", "free some space"]),
        ("missing", 1, ["No such file or directory: a.txt"]),
        ("interrupt", 130, ["harken: interrupted"]),
    ],
)
def test_trouble_is_one_line(run: Any, how: str, code: int, words: list[str]) -> None:
    found, out, err = run("trouble", how)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert all(word in err for word in words)


@pytest.mark.parametrize("words", [("--debug", "trouble", "key"), ("trouble", "key", "--debug"), ("trouble", "--debug", "input")])
def test_debug_shows_where(run: Any, words: tuple[str, ...]) -> None:
    code, _, err = run(*words)
    assert code == (2 if "input" in words else 1)
    assert "Traceback" in err and "in trouble" in err and err.splitlines()[-1].startswith("harken: ")


def test_a_warning_is_one_line_too(run: Any) -> None:
    assert run("trouble", "warn") == (0, "warn\n", "harken: a plain warning\n")


def test_version(run: Any) -> None:
    code, out, err = run("--version")
    assert (code, err) == (0, "") and out.startswith("harken ")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands(run: Any, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert "Repeat what it is told" in out and "Go wrong in a chosen way" in out and "--debug" in out


def test_help_of_a_command(run: Any) -> None:
    code, out, err = run("toy", "--help")
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    assert "Usage: harken toy MODEL [PROMPT...] [OPTIONS]" in flat
    assert "-s, --steps N how many (default: 10)" in flat
    assert "--rate X how fast --temperature" in flat, "a default of None is not shown"
    assert "--device auto|cpu|cuda where (default: auto)" in flat
    assert "--shuffle, --no-shuffle in any order (default: on)" in flat
    assert "--no-json" not in flat and "--log" not in flat


def python(code: str, **changes: Any) -> subprocess.Popen[bytes]:
    """A fresh interpreter running `code`, from the repository's root."""
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **changes)


SHOUT = """
import sys, types
from dataclasses import dataclass
from harken.base.options import argument
from harken.commands.command import command
from harken.cli import main
@dataclass(frozen=True)
class ShoutOptions:
    '''Print a word many times.'''
    word: str = argument("what")
@command("shout", ShoutOptions, show=lambda result, options: print((result + "\\n") * 100_000))
def shout(options): return options.word
sys.modules["shout"] = module = types.ModuleType("shout")
module.shout = shout
sys.exit(main({words!a}, {{"shout": "shout"}}))
"""


def test_a_reader_that_leaves_is_no_error() -> None:
    process = python(SHOUT.format(words=["shout", "hello"]))
    assert process.stdout and process.stderr
    assert process.stdout.readline() == b"hello\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0


def test_results_are_utf8_in_a_c_locale() -> None:
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    out, err = python(SHOUT.format(words=["shout", "naïve 你好"]), env=env).communicate(timeout=60)
    assert err == b"" and out.startswith("naïve 你好\n".encode())


def test_no_room_for_the_results() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-c", SHOUT.format(words=["shout", "a"])], cwd=Path(__file__).parents[2], stdout=full, stderr=subprocess.PIPE
        )
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.count(b"\n")) == (1, 1) and b"No space left" in err


# ---- the public face


def test_the_public_face() -> None:
    import harken

    assert {"train", "generate", "stream", "next", "score", "evaluate", "info", "demo", "load", "save", "Mask", "Generated"} < set(
        dir(harken)
    )
    assert harken.__version__ and harken.info is harken.info
    with pytest.raises(AttributeError, match="did you mean 'generate'"):
        harken.generat  # noqa: B018
    assert not hasattr(harken, "no_such_thing")

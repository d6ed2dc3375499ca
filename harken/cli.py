"""The command line: finds the command, reads its options, runs it, prints the result; whatever goes wrong is one line on stderr."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import inspect
import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from functools import partial
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from .base.clock import process_started
from .base.errors import HarkenError, did_you_mean
from .base.report import say
from .commands.command import Command, Field
from .commands.table import COMMANDS, GROUPS

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
METAVARS = {int: "N", float: "X", str: "TEXT", Any: "TEXT"}

SELDOM = 1_000
"""Collections of garbage among young objects for one among all, in place of 10: torch alone brings a million that stay, and to look through
them ten times on the way to the first token takes longer than to load the model."""

# typer 0.29 carries its own copy of click, older ones import click; what both export is a child of the error we are after.
UsageError: Any = typer.BadParameter.__base__


def main(argv: Sequence[str] | None = None, commands: Mapping[str, str] = COMMANDS) -> int:
    """Run one command line (default: this process's) and return its exit code; `commands` maps names to modules that hold them."""
    gc.set_threshold(*gc.get_threshold()[:2], SELDOM)
    try:
        return _main(argv, commands)
    finally:
        if argv is None:
            gc.freeze()  # the process ends: nothing is to be looked through once more


def _main(argv: Sequence[str] | None, commands: Mapping[str, str]) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]  # taken out here, so that it may stand before or behind the command
    words = [word for word in words[:end] if word != "--debug"] + words[end:]
    _speak_utf8()
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"harken: {_line(message)}")
        try:
            code = _perform(words, commands)
            _flush()
            return code
        except BrokenPipeError:
            _let_go_of_stdout()
            return 0
        except (Exception, KeyboardInterrupt) as error:
            with contextlib.suppress(OSError):
                _flush()  # what was printed comes before what went wrong
            if debug:
                say(traceback.format_exc().rstrip())
            code, sentence = explain(error)
            say(sentence)
            return code


def explain(error: BaseException) -> tuple[int, str]:
    """(exit code, one line) for anything that can go wrong: 2 the input, 130 interrupted, 1 the rest."""
    if isinstance(error, HarkenError):
        return error.exit_code, f"harken: {_line(error)}"
    if isinstance(error, UsageError):
        return 2, _line(_usage(error))
    if isinstance(error, KeyboardInterrupt):
        return 130, "harken: interrupted"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return 1, "harken: there is not enough memory: take a smaller model, a smaller batch or a shorter context"
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        mend = "; free some space and run it again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return 1, f"harken: {_line(error.strerror or error)}{place}{mend}"
    words = f"unexpected {type(error).__name__}: {_line(error)}"
    return 1, f"harken: {words}; run it again with --debug to see where, and please report it"


class Parser(typer.core.TyperCommand):
    """One command's parser; its help is written from the fields, the same with every version of typer."""

    fields: Sequence[Field]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            error.ctx = error.ctx or ctx  # not every complaint knows whose words it is about
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        places = [field.label + "..." * field.many for field in self.fields if field.positional]
        required = [field.required for field in self.fields if field.positional]
        return [*(place if must else f"[{place}]" for place, must in zip(places, required, strict=True)), "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        rows: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
        for field in self.fields:
            rows[field.positional].append((_spelling(field), (field.hint.help if field.hint else "") + _default(field)))
        rows[False].append(("-h, --help", "show this and exit"))
        for title, positional in (("Arguments", True), ("Options", False)):
            if rows[positional]:
                with formatter.section(title):
                    formatter.write_dl(rows[positional])


def parser(command: Command[Any, Any]) -> Parser:
    """What reads a command's words and prints its help. Invoking it returns the work, still to be done."""

    def work(**words: Any) -> Callable[[], None]:
        given = {name: value for name, value in words.items() if value is not None}
        if any(field.name == "began" for field in command.fields):
            given["began"] = process_started()
        return partial(_work, command, command.read(given, text=True))

    fields = [field for field in command.fields if field.hint]
    work.__signature__ = inspect.Signature([_parameter(field) for field in fields])  # pyright: ignore[reportFunctionMemberAccess]
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(command.name, cls=Parser, help=command.help, context_settings=SETTINGS)(work)
    made = typer.main.get_command(app)
    assert isinstance(made, Parser)
    made.fields = fields
    return made


class Commands(typer.core.TyperGroup):
    """The commands by name, imported when asked for; those of two words, as "tokenizer train", form a group under the first."""

    table: Mapping[str, str]
    prefix = ""  # the first word and a blank, inside a group

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def list_commands(self, ctx: Any) -> list[str]:
        return list(dict.fromkeys(name.removeprefix(self.prefix).split()[0] for name in self.table))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self.prefix + cmd_name in self.table:
            return parser(self.find(self.prefix + cmd_name))
        if cmd_name in (known := self.list_commands(ctx)):
            return group(self.table, f"{cmd_name} ", _no_options, GROUPS.get(cmd_name, ""))
        raise UsageError(f"no such command: {cmd_name}{_unquoted(did_you_mean(cmd_name, known))}", ctx)

    def find(self, name: str) -> Command[Any, Any]:
        module = importlib.import_module(self.table[name])
        return next(each for each in vars(module).values() if isinstance(each, Command) and each.name == name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = []
        for name in self.list_commands(ctx):
            known = self.prefix + name in self.table
            rows.append((name, self.find(self.prefix + name).help.partition(". ")[0].removesuffix(".") if known else GROUPS.get(name, "")))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def group(table: Mapping[str, str], prefix: str, options: Callable[..., None], words: str) -> Commands:
    """The parser of the commands in `table` whose names begin with `prefix`."""
    app = typer.Typer(cls=Commands, rich_markup_mode=None, add_completion=False, context_settings=SETTINGS)
    app.callback(help=f"{words}.")(options)
    made = typer.main.get_command(app)
    assert isinstance(made, Commands)
    made.table, made.prefix = {name: home for name, home in table.items() if name.startswith(prefix)}, prefix
    return made


def _perform(words: list[str], commands: Mapping[str, str]) -> int:
    """Parse first, work after: the parser turns Ctrl-C and a closed pipe into errors of its own."""
    all_of_them = group(commands, "", _globals, "Turn text into a Transformer that is yours")
    try:
        with all_of_them.make_context("harken", words) as context:
            work = all_of_them.invoke(context)
    except typer.Exit as done:  # --help, --version
        return done.exit_code
    work()
    return 0


def _work(command: Command[Any, Any], options: Any) -> None:
    result = command.run(options)
    if command.printer:
        command.printer(result, options)


def _version(wanted: bool) -> None:
    if wanted:
        import harken

        print(f"harken {harken.__version__}")
        raise typer.Exit()


def _globals(
    version: Annotated[bool, typer.Option("--version", help="print the version", is_eager=True, callback=_version)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show where an error came from, on any command")] = False,
) -> None:
    """The options of harken itself. `debug` is here for the help: main() takes it out."""


def _no_options() -> None:
    """A group of commands has none of its own."""


def _parameter(field: Field) -> inspect.Parameter:
    """A field as typer's. Nothing is required and every value stays a word: the command itself reads them, as it reads Python's."""
    assert field.hint
    if field.positional:
        info: Any = typer.Argument(metavar=field.label, parser=str)
    elif field.kind is bool:
        flag = field.flag if field.default is False else f"{field.flag}/--no-{field.flag[2:]}"
        info = typer.Option(*filter(None, (field.hint.short, flag)))
    else:
        info = typer.Option(*filter(None, (field.hint.short, field.flag)), parser=str)
    kind: Any = bool if field.kind is bool else list[str] if field.many else str
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, info])


def _spelling(field: Field) -> str:
    """How a field is written in the help: MODEL, PROMPT..., "-o, --out FILE", --device auto|cpu|cuda, "--shuffle, --no-shuffle"."""
    assert field.hint
    if field.positional:
        return field.label + "..." * field.many
    flags = ", ".join(filter(None, (field.hint.short, field.flag)))
    if field.kind is bool:
        return flags if field.default is False else f"{flags}, --no-{field.flag[2:]}"
    return f"{flags} {field.hint.metavar or '|'.join(map(str, field.choices)) or METAVARS[field.kind]}"


def _default(field: Field) -> str:
    value = field.default
    if value is None or value is False or value in ((), "", MISSING):
        return ""
    if isinstance(value, tuple):
        return f" (default: {' '.join(map(str, value))})"
    return f" (default: {'on' if value is True else f'{value:g}' if isinstance(value, float) else value})"


def _usage(error: Any) -> str:
    """The parser's complaint in our words. Its kinds are told apart by name, because typer does not export them."""
    where = error.ctx.command_path if error.ctx else "harken"
    if type(error).__name__ == "NoSuchOption":
        parameters = error.ctx.command.params if error.ctx else ()
        flags = [flag for each in parameters for flag in (*each.opts, *each.secondary_opts) if flag.startswith("-")]
        close = did_you_mean(error.option_name, [*flags, "--help", "--debug"])
        hint = _unquoted(close) if close.startswith(" (did") else f" ({where} --help lists them)"
        return f"{where}: no such option {error.option_name}{hint}"
    message = error.format_message().rstrip(".")
    return f"{where}: {message[:1].lower()}{message[1:]}"


def _unquoted(hint: str) -> str:
    return hint.replace("'", "")


def _line(text: object) -> str:
    """One line, whatever the text was."""
    return " ".join(part.strip() for part in str(text).splitlines() if part.strip())


def _speak_utf8() -> None:
    """Results are UTF-8 wherever they go, in a C locale too; what UTF-8 cannot say becomes a question mark or an escape."""
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


def _flush() -> None:
    if sys.stdout:  # None where it was closed before we began
        sys.stdout.flush()


def _let_go_of_stdout() -> None:
    """The reader has gone (`harken … | head`): what is still buffered goes nowhere, so that Python's own last flush is quiet too."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())

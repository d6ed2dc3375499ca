"""One description of a command serves Python, the command line, settings files and the server: a frozen dataclass and a function.

    @dataclass(frozen=True)
    class InfoOptions:
        '''Say what a model is.'''                                   # the command's help
        model: str = argument("folder of the model")                 # harken info MODEL          harken.info("MODEL")
        json: bool = option(False, "print one JSON object")          # harken info MODEL --json   harken.info("MODEL", json=True)

    @command("info", InfoOptions)
    def info(options: InfoOptions) -> dict: ...                      # imports what is heavy inside

A field `config` names a TOML file of options; what is given beside it has the last word. A plain field `began` gets, from the
command line, the moment the process began.

`argument` and `option` are in base/options.py, so that every layer can describe its own. Fields are str, int, float, bool,
Literal[...] or Any, each also `| None`, or tuple[..., ...] of them (repeatable, variadic). A plain field, with neither `argument`
nor `option`, exists in Python only and is not checked.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import os
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, Generic, Literal, TypeVar

from ..base.errors import InputError, did_you_mean
from ..base.options import Hint, flag

Options = TypeVar("Options")
Result = TypeVar("Result")

KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Any: "a value"}


@dataclass(frozen=True)
class Field:
    """One field of an options class, ready to read values."""

    name: str
    annotation: Any
    kind: Any  # a key of KINDS
    choices: tuple[Any, ...]
    many: bool
    optional: bool
    default: Any  # MISSING where it must be given
    hint: Hint | None  # None: Python only

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def positional(self) -> bool:
        return self.hint is not None and self.hint.positional

    @property
    def flag(self) -> str:
        return flag(self.name)

    @property
    def label(self) -> str:
        """How messages call it: MODEL, --max-new-tokens."""
        if self.hint is None:
            return self.name
        return (self.hint.metavar or self.name.upper()).rstrip(".") if self.hint.positional else self.flag

    def read(self, value: Any, *, text: bool = False) -> Any:
        """`value` in the declared type; `text`: it is words from a command line. InputError names the flag and the mend."""
        if self.hint is None or (value is None and self.optional):
            return value
        if not self.many:
            return self._one(value, text)
        if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable):
            value = (value,)
        values = tuple(self._one(each, text) for each in value)
        if not values and self.required:
            raise InputError(f"{self.label} is missing: {self.hint.help}")
        return values

    def _one(self, value: Any, text: bool) -> Any:
        if self.choices:
            return self._choice(value, text)
        read = self._parsed(value) if text else self._typed(value)
        if read is None or (isinstance(read, float) and not math.isfinite(read)):
            raise InputError(f"{self.label} must be {KINDS[self.kind]}, not {value!r}")
        if isinstance(read, int | float):
            (self.hint or Hint("")).check(self.label, read)
        return read

    def _typed(self, value: Any) -> Any:
        """A Python value in the declared type; None where it is of another. A bool is not a number here, numpy's numbers are."""
        if self.kind is str:
            value = os.fspath(value) if isinstance(value, os.PathLike) else value
            return value if isinstance(value, str) else None
        if self.kind is Any or self.kind is bool:
            return value if self.kind is Any or isinstance(value, bool) else None
        wanted: Any = numbers.Integral if self.kind is int else numbers.Real
        try:
            return self.kind(value) if isinstance(value, wanted) and not isinstance(value, bool) else None
        except OverflowError:  # a whole number no float can hold
            return None

    def _parsed(self, value: Any) -> Any:
        """A word of the command line in the declared type; None where it says something else."""
        if isinstance(value, str) and self.kind in (int, float):
            try:
                return self.kind(value)
            except ValueError:
                return None
        return self._typed(value)

    def _choice(self, value: Any, text: bool) -> Any:
        for choice in self.choices:
            if (text and str(choice) == value) or (type(choice) is type(value) and choice == value):
                return choice
        names = [str(choice) for choice in self.choices]
        close = did_you_mean(str(value), names)
        raise InputError(f"{self.label} must be one of {', '.join(names)}, not {value!r}{close if close.startswith(' (did') else ''}")


def fields(options: type) -> tuple[Field, ...]:
    """The fields of an options class. TypeError (a fault in the program) when a field's type cannot be a flag."""
    hints = typing.get_type_hints(options)
    found = []
    for field in dataclasses.fields(options):
        hint, annotation = field.metadata.get(Hint), hints[field.name]
        try:
            kind, choices, many, optional = _shape(annotation) if hint else (Any, (), False, True)
        except TypeError:
            raise TypeError(f"{options.__name__}.{field.name}: an option cannot be of type {annotation}") from None
        default = field.default if field.default_factory is MISSING else field.default_factory()
        found.append(Field(field.name, annotation, kind, choices, many, optional, default, hint))
    return tuple(found)


def _shape(annotation: Any) -> tuple[Any, tuple[Any, ...], bool, bool]:
    """(kind, choices, many, optional) of a type."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType) and len(inner) == 2 and types.NoneType in inner:
        kind, choices, many, _ = _shape(inner[inner[0] is types.NoneType])
        return kind, choices, many, True
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        kind, choices, _, _ = _shape(inner[0])
        return kind, choices, True, False
    if origin is Literal:
        return type(inner[0]), inner, False, False
    if annotation not in KINDS:
        raise TypeError(annotation)
    return annotation, (), False, annotation is Any


class Command(Generic[Options, Result]):
    """A function of one options object that is called with the options themselves.

    Attributes: `name` · `options` (the dataclass) · `run` (the function of an options object) · `fields` · `help` · `printer`
    (what the command line does with the result; None prints nothing).
    """

    def __init__(
        self, name: str, options: type[Options], run: Callable[[Options], Result], show: Callable[[Result, Options], None] | None = None
    ) -> None:
        self.name, self.options, self.run, self.printer, self.fields = name, options, run, show, fields(options)
        written = inspect.cleandoc(options.__doc__ or "")
        self.help = "" if written.startswith(f"{options.__name__}(") else written  # a dataclass without words gets its signature
        self.__name__, self.__qualname__, self.__module__ = run.__name__, run.__qualname__, run.__module__
        self.__signature__ = self._signature()
        lines = [f"    {f.name}: {f.hint.help if f.hint else 'for Python only'}{_default(f.default)}" for f in self.fields]
        parts = [self.help, "Args:\n" + "\n".join(lines) if lines else "", inspect.cleandoc(run.__doc__ or "")]
        self.__doc__ = "\n\n".join(part for part in parts if part)

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        """Read the arguments, run, return the result. TypeError on a wrong call, InputError on a wrong value."""
        return self.run(self.read(self._bind(args, kwargs)))

    def show(self, printer: Callable[[Result, Options], None]) -> Callable[[Result, Options], None]:
        """Decorator: how the command line prints a result, `printer(result, options)`."""
        self.printer = printer
        return printer

    def read(self, values: Mapping[str, Any], *, text: bool = False) -> Options:
        """An options object from named values (`text`: from a command line); what is not named keeps its default.

        InputError on an unknown name, a missing argument, a wrong type, a value out of bounds, and whatever the class itself refuses.
        """
        known = {field.name: field for field in self.fields}
        for name in values:
            if name not in known:
                raise InputError(f"{self.name} has no option {name!r}{did_you_mean(name, known)}")
        read = {name: known[name].read(value, text=text) for name, value in values.items()}
        if "config" in known and read.get("config") is not None:
            read = self._settings(read["config"]) | read
        for field in self.fields:
            if field.name not in read and field.required:
                raise InputError(f"{field.label} is missing: {field.hint.help if field.hint else 'it has no default'}")
        return self.options(**read)

    def _settings(self, path: str) -> dict[str, Any]:
        """The options in a TOML file, one a line under their own names. InputError names the file and the line's fault."""
        try:
            with open(path, "rb") as file:
                given = tomllib.load(file)
        except FileNotFoundError:
            raise InputError(f"--config {path} does not exist") from None
        except (OSError, ValueError) as error:
            raise InputError(f"--config {path} is not a readable TOML file ({error}): write a line an option, as in steps = 500") from None
        known = {field.name: field for field in self.fields if field.hint and field.name != "config"}
        read = {}
        for key, value in given.items():
            name = key.replace("-", "_")
            if name not in known:
                raise InputError(f"{path} sets {key!r}, which {self.name} does not know{did_you_mean(name, known)}")
            try:
                read[name] = known[name].read(value)
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
        return read

    def _signature(self) -> inspect.Signature:
        parameters = []
        for field in sorted(self.fields, key=lambda f: not f.positional):
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if field.positional else inspect.Parameter.KEYWORD_ONLY
            default = inspect.Parameter.empty if field.required else field.default
            annotation = field.annotation
            if field.positional and field.many:  # *prompts: str
                kind, default, annotation = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.empty, field.kind
            parameters.append(inspect.Parameter(field.name, kind, default=default, annotation=annotation))
        return inspect.Signature(parameters, return_annotation=inspect.signature(self.run).return_annotation)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """A Python call as named values. Words for a variadic field come one by one, as one list, or by its name."""
        names = [field.name for field in self.fields]
        for name in kwargs:
            if name not in names:
                raise TypeError(f"{self.__name__}() has no argument {name!r}{did_you_mean(name, names)}")
        rest = next((f.name for f in self.fields if f.many and f.positional), "")
        named = {rest: kwargs.pop(rest)} if rest in kwargs else {}
        try:
            values = self.__signature__.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{self.__name__}(): {error}") from None
        if rest in values and named:
            raise TypeError(f"{self.__name__}(): multiple values for argument {rest!r}")
        if len(words := values.get(rest, ())) == 1:
            values[rest] = words[0]  # one text, or one list of texts: read() takes both
        return {**values, **named}

    def __repr__(self) -> str:
        return f"{self.__name__}{self.__signature__}"

    def __reduce__(self) -> str:
        return self.__qualname__  # pickled by name, as functions are: a process pool can call it


def command(
    name: str, options: type[Options], *, show: Callable[[Result, Options], None] | None = None
) -> Callable[[Callable[[Options], Result]], Command[Options, Result]]:
    """Decorator: a function of one options object becomes the command `name`, for Python and for the command line."""
    return lambda run: Command(name, options, run, show)


def _default(value: Any) -> str:
    return "" if value is MISSING or value is None or value == () else f" (default {value!r})"

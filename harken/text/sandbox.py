"""Jinja for templates that come from strangers: no way out, no way to write, and an end to how much one may compute.

Jinja's sandbox keeps a template from the inside of Python's objects and from changing what it is given. What it leaves open is closed here:
every turn of a loop, every call of a macro and every text or list that is made is paid for out of an allowance, and what would be large is
paid for before it is made. When the allowance or the time is spent, the template ends with an error.

Left open: one step on texts as large as the allowance, a comparison or a sort, may take tenths of a second before the clock is looked at.
"""

from __future__ import annotations

import functools
import json
import re
import string
import time
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, Sequence, ValuesView
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

ALLOWANCE = 20_000_000  # characters and steps
FOR_EACH = 100  # more, for every character that the template is given
STEP = 50  # what a turn of a loop costs, or a part of a list; a character costs 1
SECONDS = 5.0
LARGEST = 4_096  # bits of a whole number


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TEXT = _words(
    "capitalize casefold count endswith find index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric "
    "isspace istitle isupper join lower lstrip partition removeprefix removesuffix replace rfind rindex rpartition rsplit rstrip "
    "split splitlines startswith strip swapcase title upper"
)
_METHODS: tuple[tuple[type | tuple[type, ...], frozenset[str]], ...] = (
    (str, _TEXT),
    ((list, tuple), frozenset({"count", "index"})),
    (Mapping, frozenset({"get", "items", "keys", "values"})),
    ((int, float, bytes, type(None)), frozenset()),
)
_FILTERS = _words(
    "abs attr capitalize count d default dictsort e escape first float groupby indent int items join last length list lower map "
    "max min reject rejectattr replace reverse round safe select selectattr sort string title trim truncate unique upper wordcount"
)


class Spent(TemplateError):
    """The template did more than any honest one does."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's environment with an allowance. One rendering at a time, each after a `start`."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, extensions: Sequence[type[Extension]], functions: Mapping[str, Callable[..., object]]) -> None:
        """`functions`: what templates may call, besides range, cycler, joiner, dict and namespace."""
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions, finalize=self.finalized)
        self.filters = {name: self._paid(name, self.filters[name]) for name in _FILTERS} | {"tojson": self.tojson}
        given = {name: self.globals[name] for name in ("range", "cycler", "joiner")}
        self.globals = given | {"dict": _dict, "namespace": Names} | dict(functions)
        self.start(0)

    def start(self, given: int) -> None:
        """A new allowance, for a template that is given `given` characters."""
        self.left, self.until = ALLOWANCE + FOR_EACH * given, time.monotonic() + SECONDS

    def spend(self, amount: int) -> None:
        """Pay for something that takes `amount` steps, or is that many characters long."""
        self.left -= 1 + amount
        if self.left < 0:
            raise Spent("it computes more than a template for a chat needs to: a loop or a text in it grows without an end")
        if time.monotonic() > self.until:
            raise Spent(f"it was not done after {SECONDS:.0f} seconds")

    def weigh(self, value: object) -> int:
        """The characters and parts of a value, each as often as it would be printed; more than what is left to spend is an error."""
        if isinstance(value, str):
            return len(value)
        weight, parts = 0, [value]
        while parts:
            part = parts.pop()
            weight += STEP + (len(part) if isinstance(part, str) else 0)
            if isinstance(part, Mapping):
                parts += [*part.keys(), *part.values()]
            elif isinstance(part, list | tuple | set | frozenset | KeysView | ValuesView | ItemsView):
                parts += part
            if weight + STEP * len(parts) > self.left:
                self.spend(weight + STEP * len(parts))
        return weight

    def compiled(self, source: str) -> nodes.Template:
        """The template, with a price on its loops, macros, texts and lists."""
        tree = _Priced().visit(self.parse(source))
        tree.set_environment(self)
        return tree

    # ---- what priced templates call

    def tick(self, amount: int) -> str:
        """One turn of a loop or call of a macro that says `amount` characters."""
        self.spend(STEP + amount)
        return ""

    def made(self, value: Any) -> Any:
        """A list, tuple or mapping that the template writes down."""
        self.spend(self.weigh(value))
        return value

    def joined(self, *values: object) -> str:
        """`values` as one text: what ~ does."""
        self.spend(sum(map(self.weigh, values)))
        return "".join(map(str, values))

    def finalized(self, value: object) -> object:
        """Whatever is about to be printed."""
        self.spend(self.weigh(value))
        return value

    # ---- the sandbox

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        allowed = next((names for kind, names in _METHODS if isinstance(obj, kind)), None)
        return super().is_safe_attribute(obj, attr, value) and (allowed is None or attr in allowed)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            self._pay_format(left, re.findall(r"%[^a-zA-Z%]*", left), right)
        elif operator == "*":
            for many, times in ((left, right), (right, left)):
                if isinstance(many, str | list | tuple) and isinstance(times, int):
                    self.spend(self.weigh(many) * max(times, 0))
        elif operator == "+" and not isinstance(left, int | float):
            self.spend(self.weigh(left) + self.weigh(right))
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > LARGEST:
                raise Spent("it computes a number too large for any chat")
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        formatted = super().wrap_str_format(value)
        if formatted is None:
            return None

        def paid(*args: Any, **named: Any) -> str:
            specs = [spec or "" for _, _, spec, _ in string.Formatter().parse(value.__self__)]
            self._pay_format(value.__self__, specs, [args, named])
            return formatted(*args, **named)

        return paid

    def call(self, context: Context, obj: Any, *args: Any, **named: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str) and obj.__name__ == "replace":
            self._pay_replace(owner, *args[:2])
        elif isinstance(owner, str) and obj.__name__ == "join" and args:
            args = (self._listed(args[0], owner),)
        found = super().call(context, obj, *args, **named)
        if isinstance(found, str | list | tuple | Mapping) and owner is not self:
            self.spend(self.weigh(found))
        return found

    # ---- filters

    def _paid(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that pays for what it is given and for what it gives."""
        at = 1 if hasattr(plain, "jinja_pass_arg") else 0  # what comes first there is the context

        @functools.wraps(plain)
        def paid(*args: Any, **named: Any) -> Any:
            before, value, after = args[:at], args[at], args[at + 1 :]
            if name == "join":
                value = self._listed(value, str(named.get("d", after[0] if after else "")))
            elif name == "replace":
                self._pay_replace(str(value), *after[:2])
            elif name == "indent":
                width = named.get("width", after[0] if after else 4)
                self.spend(self.weigh(value) * (width if isinstance(width, int) else len(width)))
            self.spend(self.weigh(value))
            found = plain(*before, value, *after, **named)
            if isinstance(found, str | list | tuple | Mapping):
                self.spend(self.weigh(found))
            return found

        return paid

    def tojson(
        self, value: Any, ensure_ascii: bool = False, indent: int | str | None = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        """JSON as it is, without the escapes that HTML would need."""
        for size in (indent, *(separators or ())):
            if size is not None and (size if isinstance(size, int) else len(size)) > 16:
                raise Spent("it indents JSON by more than 16")
        self.spend(self.weigh(value))
        parts = []
        for part in json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys).iterencode(
            value
        ):
            self.spend(len(part))
            parts.append(part)
        return "".join(parts)

    # ---- prices

    def _listed(self, values: Iterable[Any], between: str) -> list[Any]:
        listed = list(values)
        self.spend(self.weigh(listed) + len(listed) * len(between))
        return listed

    def _pay_replace(self, text: str, old: object = "", new: object = "") -> None:
        self.spend(len(text) + text.count(str(old)) * len(str(new)))

    def _pay_format(self, text: str, specs: list[str], values: object) -> None:
        if any(re.search(r"[*{]|\d{4}", spec) for spec in specs):
            raise Spent("it formats text to a width that is not written down, or is beyond 999")
        self.spend(len(text) + len(specs) * (1000 + self.weigh(values)))


class Names(Namespace):
    """`namespace(…)`, whose names may not begin with an underscore, and which does not print what it holds."""

    def __init__(*args: Any, **named: Any) -> None:
        Namespace.__init__(*args, **named)
        for name in dict(*args[1:], **named):
            _public(name)

    def __setitem__(self, name: str, value: Any) -> None:
        _public(name)
        super().__setitem__(name, value)

    def __repr__(self) -> str:
        return "<namespace>"


class _Priced(NodeTransformer):
    def _paying(self, node: Any) -> nodes.Node:
        node = self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("tick", [nodes.Const(_says(node.body))])).set_lineno(node.lineno))
        return node

    visit_For = visit_Macro = visit_CallBlock = visit_Block = _paying

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        return _call("joined", self.generic_visit(node).nodes).set_lineno(node.lineno)  # pyright: ignore[reportAttributeAccessIssue]

    def _made(self, node: Any) -> nodes.Node:
        node = self.generic_visit(node)
        return node if getattr(node, "ctx", "load") != "load" else _call("made", [node]).set_lineno(node.lineno)

    visit_List = visit_Tuple = visit_Dict = _made


def _call(name: str, args: list[nodes.Expr]) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), args, [], None, None)


def _says(body: Iterable[nodes.Node]) -> int:
    """How many characters are written down in `body`, those of loops and macros in it apart, which pay for themselves."""
    said, parts = 0, list(body)
    while parts:
        part = parts.pop()
        said += len(part.data) if isinstance(part, nodes.TemplateData) else 0
        said += len(part.value) if isinstance(part, nodes.Const) and isinstance(part.value, str) else 0
        parts += [] if isinstance(part, nodes.For | nodes.Macro | nodes.CallBlock | nodes.Block) else part.iter_child_nodes()
    return said


def _public(name: object) -> None:
    if str(name).startswith("_"):
        raise Spent(f"it puts {name!r} into a namespace, where no name may begin with an underscore")


def _dict(*args: Any, **named: Any) -> dict[Any, Any]:
    return dict(*args, **named)

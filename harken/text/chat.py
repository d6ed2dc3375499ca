"""Chats to the text that a model was trained on: Jinja templates, as Hugging Face stores them beside a tokenizer.

What a template may say and call is what it may in `transformers`: https://huggingface.co/docs/transformers/chat_templating
Templates come with checkpoints, from strangers: they run in a `Sandbox`.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from ..base.errors import InputError
from ..base.files import write_text
from .messages import checked, objects, plain
from .sandbox import Sandbox, Spent
from .tokenizer import Tokenizer
from .turns import Said, parts, said, special_names, turns, turns_found

FILE = "chat_template.jinja"

CHATML = """\
{%- if tools %}{{ raise_exception('this chat template has no place for tools: train with one that has') }}{% endif %}
{%- for message in messages %}
    {%- if message.role not in ['system', 'user', 'assistant', 'tool'] %}
        {{- raise_exception('the role of a message is ' ~ message.role ~ ', but should be system, user, assistant or tool') }}
    {%- elif message.tool_calls %}
        {{- raise_exception('this chat template has no place for tool calls: train with one that has') }}
    {%- endif %}
    {{- '<|im_start|>' ~ message.role ~ '\\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}{{ message.content ~ '<|im_end|>' }}{% endgeneration %}
    {%- else %}
        {{- message.content ~ '<|im_end|>' }}
    {%- endif %}
    {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""

_OPEN, _CLOSE = "\ud800", "\ud801"  # half characters, which no text has


@dataclass(frozen=True)
class Rendered:
    """A chat as text.

    `spans`: the characters [start, end) that the assistant said, which training may learn from · `guarded`: the characters [start, end)
    where a message has the name of a special token. They are text, and should be encoded as text, whatever the template says around them.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    guarded: tuple[tuple[int, int], ...]


class ChatTemplate:
    """A compiled template. `source` is its text · `tokens` the special tokens it may name: {"eos_token": "</s>"}."""

    def __init__(self, source: str, tokens: Mapping[str, str], where: str = "the chat template") -> None:
        """`where` is what errors call it. InputError on a template that is not Jinja, with the line."""
        self.source, self.tokens, self.where = source, dict(tokens), where
        self._sandbox = Sandbox([_Generation, loopcontrols], {"raise_exception": _raise, "strftime_now": _now})
        self._lock = threading.Lock()  # the allowance of the sandbox is that of one rendering
        self._spans: list[tuple[int, int, str]] = []
        self._written = 0
        self._sandbox.extend(said=self._said)
        try:
            code = self._sandbox.compile(self._sandbox.compiled(source))
            self._template = Template.from_code(self._sandbox, code, dict(self._sandbox.globals))
        except TemplateSyntaxError as error:
            raise InputError(f"{where}, line {error.lineno}: {error.message}") from error
        except (TemplateError, ValueError, ArithmeticError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            raise InputError(f"{where} cannot be read ({_said(error)}): copy it again from where the model was trained") from error

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        add_generation_prompt: bool = False,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The text of a chat: messages are {"role": …, "content": …}, where content is text or a list of {"type": "text", "text": …}.

        `add_generation_prompt` begins the assistant's turn · `tools`: JSON schemas · `variables`: what else a template asks for. InputError
        on messages of another shape, and with what the template says of a chat that it cannot write."""
        return self.rendered(messages, add_generation_prompt, tools=tools, documents=documents, variables=variables).text

    def render_spans(self, messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[tuple[int, int]]]:
        """(text, the characters [start, end) that the assistant said): those of the template's `{% generation %}` blocks, none without."""
        found = self.rendered(messages)
        return found.text, list(found.spans)

    def rendered(
        self,
        messages: Sequence[Mapping[str, Any]],
        add_generation_prompt: bool = False,
        *,
        special: Collection[str] = (),
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Rendered:
        """As `render`, and what else is known of the text. `special`: the names of tokens that only the template may write."""
        given: dict[str, Any] = {
            **plain(dict(variables or {}), "variables"),
            "messages": checked(messages),
            "tools": None if tools is None else objects(tools, "tools"),
            "documents": None if documents is None else objects(documents, "documents"),
        }
        fixed = {"add_generation_prompt": add_generation_prompt}
        text, spans = self._written_out({**self.tokens, **given, **fixed})
        guarded: list[tuple[int, int]] = []
        names = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))) or "(?!)")
        marked = _marked(given, names)
        if marked != given:
            found, _ = self._written_out({**self.tokens, **marked, **fixed})
            again, guarded = _unmarked(found)
            if again != text:
                raise InputError(
                    f"{self.where} rewrites the special token in a message ({_first(given, names)!r}), so that it cannot be told from the "
                    "template's own: take it out of the message"
                )
        return Rendered(text, tuple(spans), tuple(guarded))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write chat_template.jinja, which transformers and others read."""
        write_text(Path(folder) / FILE, self.source)

    def _written_out(self, given: Mapping[str, Any]) -> tuple[str, list[tuple[int, int]]]:
        with self._lock:
            self._sandbox.start(0)
            self._sandbox.start(self._sandbox.weigh(dict(given)))
            self._spans, self._written, parts = [], 0, []
            try:
                for part in self._template.generate(given):
                    self._sandbox.spend(len(part))
                    self._written += len(part)
                    parts.append(part)
            except _Refusal as error:
                raise InputError(f"{self.where} refuses the chat: {_said(error)}") from error
            except Exception as error:  # a stranger's program may raise anything
                raise InputError(f"{self.where} cannot write this chat: {_said(error)}") from error
            text, spans = "".join(parts), self._spans
        if any(text[start:end] != said for start, end, said in spans):
            raise InputError(
                f"{self.where} has a generation block inside a macro or a set block, where its place is not known: move it out"
            )
        return text, [(start, end) for start, end, _ in spans if end > start]

    def _said(self, text: str) -> None:
        self._spans.append((self._written, self._written + len(text), text))


def template_of(tokenizer: Tokenizer) -> ChatTemplate:
    """The template of a tokenizer: chat_template.jinja in its folder, or chat_template in tokenizer_config.json.

    InputError where there is none, or it is no template, naming the line."""
    source, where = tokenizer.extra.get("chat_template"), "the chat template"
    if isinstance(source, list):
        named = {one.get("name"): one.get("template") for one in source if isinstance(one, dict)}
        if not isinstance(named.get("default"), str):
            raise InputError(f'{where} has none of the name "default" (it has {", ".join(map(repr, named)) or "none"})')
        source = named["default"]
    if source is None:
        raise InputError(
            f"this model has no chat template: write the prompt as plain text, copy {FILE} of the model it comes from into its folder, "
            "or fine-tune it on chats"
        )
    if not isinstance(source, str):
        raise InputError(f"{where} is a JSON {type(source).__name__}, but should be text, or a list of names and templates")
    return _compiled(source, tuple((f"{role}_token", name) for role, name in tokenizer.names.items()))


@functools.lru_cache(maxsize=16)
def _compiled(source: str, tokens: tuple[tuple[str, str], ...]) -> ChatTemplate:
    return ChatTemplate(source, dict(tokens))


def chat_ids(tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> tuple[str, list[int]]:
    """A chat as text and as ids: the template's special tokens are read as such, and what a message says never is."""
    names = special_names(tokenizer)
    found = template_of(tokenizer).rendered(messages, add_generation_prompt, special=names)
    spans = turns(found.text, found.spans, found.guarded, names)
    return found.text, [i for part in parts(tokenizer, found.text, spans, found.guarded) for i in part]


def learned_ids(tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]]) -> Said:
    """A chat as it is learned from: the ids up to the end of its last answer, and which of them the assistant said.

    Those in front of a turn are `chat_ids` of what was said before it. InputError where the template marks nothing and nothing is found."""
    template, names = template_of(tokenizer), special_names(tokenizer)
    found = template.rendered(messages, special=names)
    spans = found.spans or turns_found(found.text, messages, template.render, names, template.where)
    return said(tokenizer, found.text, turns(found.text, spans, found.guarded, names), found.guarded)


# ---- special tokens that messages name


def _marked(value: Any, names: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return names.sub(lambda found: f"{_OPEN}{found[0]}{_CLOSE}", value)
    if isinstance(value, dict):
        return {key: _marked(part, names) for key, part in value.items()}
    return [_marked(part, names) for part in value] if isinstance(value, list) else value


def _unmarked(text: str) -> tuple[str, list[tuple[int, int]]]:
    plain, places = "", []
    for part in re.split(f"({_OPEN}[^{_OPEN}{_CLOSE}]*{_CLOSE})", text):
        said = part.strip(_OPEN + _CLOSE)
        if part != said:
            places.append((len(plain), len(plain) + len(said)))
        plain += said
    return plain, places


def _first(value: Any, names: re.Pattern[str]) -> str:
    """The first name in any text of `value`."""
    if isinstance(value, str):
        return found[0] if (found := names.search(value)) else ""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, (_first(part, names) for part in parts)), "")


# ---- what a template may call


class _Refusal(TemplateError):
    """What the template says by raise_exception."""


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}`: what is inside is said by the assistant."""

    tags = frozenset({"generation"})  # pyright: ignore[reportAssignmentType]

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("turn"), [], [], body).set_lineno(line)

    def turn(self, caller: Callable[[], str]) -> str:
        text = caller()
        sandbox: Any = self.environment
        sandbox.said(text)
        return text


def _raise(message: object) -> None:
    raise _Refusal(str(message))


def _now(form: str) -> str:
    if not re.fullmatch(r"(?:[^%]|%[-_0^#]?[A-Za-z%])*", form):
        raise Spent(f"it writes the date as {form!r}, which is no form of a date")
    return datetime.now().strftime(form)


def _said(error: BaseException) -> str:
    """The message of any error in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__

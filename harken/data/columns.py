"""Which column of a table holds what: `--columns text=2,label=1` by place, `text=review` by name, or found by the names people use."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..base.errors import InputError, did_you_mean


class Role(NamedTuple):
    """What a column may be used as: the other names it goes by, and what its cells hold."""

    aliases: tuple[str, ...] = ()
    holds: Literal["text", "value", "values", "list", "any"] = "text"


_TEXT, _LIST, _ANY = Role(), Role(holds="list"), Role(holds="any")
ROLES: Mapping[str, Role] = {
    "text": Role(("content", "body", "sentence", "document")),
    "text2": _TEXT,
    "label": Role(("labels", "class", "category"), "values"),
    **dict.fromkeys(("source", "target"), _TEXT),
    **dict.fromkeys(("tokens", "ner_tags"), _LIST),
    **{"context": _TEXT, "question": _TEXT, "answers": _LIST},
    **dict.fromkeys(("document", "dialogue", "article", "summary"), _ANY),
    **dict.fromkeys(("prompt", "completion", "chosen", "rejected"), _ANY),
    **dict.fromkeys(("instruction", "input", "output"), _TEXT),
    **dict.fromkeys(("instances", "messages", "persona", "history", "candidates"), _LIST),
    "response": _TEXT,
    **dict.fromkeys(("sentence1", "sentence2"), _TEXT),
    "score": Role(holds="value"),
    "query": _TEXT,
    **dict.fromkeys(("positive", "negative", "relevant"), _ANY),
    **dict.fromkeys(("id", "title"), Role(holds="value")),
}
"""Every name that may stand before the = of `--columns`; two lower-case letters (en, de) are a language and hold text."""

_LANGUAGE = re.compile(r"[a-z]{2}")
_COMMA = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*\Z)')  # with an even number of quotes behind it: outside of quotes
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_DECIMAL = re.compile(r"[-+]?(?:\d+(?:[.,]\d+)*|[.,]\d+)%?")
_FORM = "write role=column with a number or a name, as in --columns text=1 or --columns text=review,label=stars"
_LONGEST_NAME, _MOST_NAMES = 40, 12  # characters and columns that a message shows


def role(name: str) -> Role:
    """The role of this name; a language code holds text."""
    return ROLES.get(name, _TEXT)


def is_language(name: str) -> bool:
    """Whether this is a language code, and no role."""
    return name not in ROLES and _LANGUAGE.fullmatch(name) is not None


@dataclass(frozen=True)
class Columns:
    """The columns a person named: role -> the 1-based place of its column, or its name in the header."""

    given: Mapping[str, int | str] = field(default_factory=dict)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further names of roles that one kind of example knows."""

    def __post_init__(self) -> None:
        for name, value in self.given.items():
            if name not in ROLES and not _LANGUAGE.fullmatch(name):
                raise InputError(f"--columns has the role {name!r}, which is none{did_you_mean(name, ROLES)}")
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise InputError(f"--columns has {value!r} for {name!r}, which is neither the number of a column nor its name")
            if isinstance(value, int) and value < 1:
                raise InputError(f"--columns has the number {value} for {name!r}, but columns count from 1")

    @classmethod
    def parse(cls, text: str | None) -> Columns:
        """`text=1,label=2`, `text=body`, or `body` for text=body; None names nothing. A name with a comma, or one of digits only, stands
        in quotes: `text="a, b"`, where "" is a quote. InputError when it cannot be understood."""
        if text is None:
            return cls()
        if text.count('"') % 2:
            raise InputError(f"--columns is {text!r}, where a quote is not closed: {_FORM}")
        given: dict[str, int | str] = {}
        for item in map(str.strip, _COMMA.split(text)):
            name, equals, value = item.partition("=")
            name, value = (name.strip(), value.strip()) if equals and not name.startswith('"') else ("text", item)
            if not name or not value:
                raise InputError(f"--columns is {text!r}, where a {'column' if name else 'role'} is missing: {_FORM}")
            if name in given:
                raise InputError(f"--columns names the column of {name!r} twice: {_FORM}")
            given[name] = _place(name, value)
        return cls(given)

    def __str__(self) -> str:
        """The option that `parse` reads back."""
        return ",".join(f"{name}={value if isinstance(value, int) else _quoted(value)}" for name, value in self.given.items())

    @property
    def named(self) -> bool:
        """Whether a column is given by its name, so that there must be a header."""
        return any(isinstance(value, str) for value in self.given.values())

    def also(self, aliases: Mapping[str, tuple[str, ...]]) -> Columns:
        """The same columns where a role goes by further names; a column given for such a name is the role's."""
        of = {alias: name for name, some in aliases.items() for alias in some if name not in self.given and alias not in aliases}
        return Columns({of.get(name, name): value for name, value in self.given.items()}, {**self.aliases, **aliases})

    def marks(self, roles: Sequence[str]) -> set[str]:
        """The names, lower case, that mark a first row as a header: those of `roles` and of the roles given."""
        return {each for name in (*roles, *self.given) for each in (name, *self.known_as(name))}

    def known_as(self, name: str) -> tuple[str, ...]:
        """The other names of a role."""
        return (*role(name).aliases, *self.aliases.get(name, ()))

    def resolve(
        self,
        first: Sequence[str],
        roles: Sequence[str],
        where: str,
        *,
        optional: Sequence[str] = (),
        headed: bool = True,
        guess: int = 0,
        word: str = "column",
    ) -> dict[str, int]:
        """role -> index of its column, for all `roles` and for those of `optional` that are there.

        `first` is the first row, and `headed` whether it holds the columns' names, as the keys of an object do. A role's column is the
        one given, else the one with the role's name, else the one with one of its aliases (a name in other case is the second choice),
        else the only one there is. `guess` is the column that an error proposes for a text, `word` what it calls a column.
        InputError, beginning with `where`, when there is none or more than one.
        """
        header = [tidy(each) for each in first] if headed else []
        places: dict[str, int] = {}
        for name, value in self.given.items():
            if isinstance(value, int):
                if value > len(first):
                    raise InputError(f"{where} has {counted(len(first), word)}, so {self._option(name, value)} names none")
                places[name] = value - 1
            else:
                found = _match(tidy(value), header)
                if not found:
                    raise InputError(_absent(name, value, first, True, where, guess, word))
                places[name] = _single(found, name, header, where, word)
        for name in (*roles, *optional):
            if name in places:
                continue
            found = _called(name, self.known_as(name), header, where, word)
            if found is None and name in roles:
                if len(first) != 1 or len(roles) > 1:
                    raise InputError(_absent(name, name, first, headed, where, guess, word))
                found = 0
            if found is not None:
                places[name] = found
        return {name: places[name] for name in (*roles, *optional) if name in places}

    @staticmethod
    def _option(name: str, value: int | str) -> str:
        """How to say on the command line that this column is the role's."""
        return f"--columns {shlex.quote(str(Columns({name: value})))}"


def looks_named(first: Sequence[str], others: Sequence[Sequence[str]], marks: set[str]) -> bool:
    """Whether `first` is a header: it holds one of the names `marks`, or a word where two or more `others` all have numbers."""
    names = [tidy(each) for each in first]
    if any(name.lower() in marks for name in names):
        return True
    if len(others) < 2 or any(_DECIMAL.fullmatch(name) for name in names):
        return False
    return any(name and all(i < len(row) and _DECIMAL.fullmatch(row[i].strip()) for row in others) for i, name in enumerate(names))


def tidy(name: str) -> str:
    """A column's name on one line, without blanks around it and without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(name.split()))


def listed(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """Names or fields for a sentence, shortened: "review, stars"."""
    shown = [name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…" for name in map(tidy, names[:most])]
    more = len(names) - len(shown)
    return ", ".join(name or "(no name)" for name in shown) + (f" and {more:,} more" if more else "")


def told(name: str, places: Mapping[str, int], header: Sequence[str] | None, columns: Columns, *more: str) -> str:
    """The note on a table: where each role's column is, what else was found, and what was named in vain."""
    shown = [f"its {role} in column {repr(tidy(header[place])) if header else place + 1}" for role, place in places.items()]
    idle = [f"its {role} is not used here" for role in columns.given if role not in places]
    return f"{name}: one example a row, {'; '.join([', '.join(shown), *more, *idle])}"


def _place(name: str, value: str) -> int | str:
    if _WHOLE.fullmatch(value):
        return int(value)
    if not value.startswith('"'):
        return value
    inside = value[1:-1].replace('""', "")
    if '"' in inside or not value.endswith('"') or len(value) < 3:
        raise InputError(f"--columns has {value} for {name!r}, which is not one name in quotes: {_FORM}")
    return value[1:-1].replace('""', '"')


def _quoted(value: str) -> str:
    plain = not (re.search(r'[,"=]', value) or _WHOLE.fullmatch(value) or value != value.strip())
    return value if plain else '"' + value.replace('"', '""') + '"'


def _called(name: str, aliases: Sequence[str], header: Sequence[str], where: str, word: str) -> int | None:
    """The column with the role's name, else the one with one of its aliases."""
    if found := _match(name, header):
        return _single(found, name, header, where, word)
    found = sorted({place for alias in aliases for place in _match(alias, header)})
    if len(found) > 1:
        both = " and ".join(f"{header[place]!r} ({place + 1})" for place in found[:2])
        option = Columns._option(name, found[0] + 1)
        raise InputError(f"{where} has no {word} {name!r}, but {both} could each be it: say which, as in {option}")
    return found[0] if found else None


def _match(name: str, header: Sequence[str]) -> list[int]:
    exact = [place for place, each in enumerate(header) if each == name]
    return exact or [place for place, each in enumerate(header) if each.lower() == name.lower()]


def _single(found: Sequence[int], name: str, header: Sequence[str], where: str, word: str) -> int:
    if len(found) > 1:
        numbers = " and ".join(str(place + 1) for place in found)
        option = Columns._option(name, found[0] + 1)
        raise InputError(f"{where} has {len(found):,} {word}s {header[found[0]]!r} ({numbers}): say which, as in {option}")
    return found[0]


def _absent(name: str, called: str, first: Sequence[str], headed: bool, where: str, guess: int, word: str) -> str:
    """The sentence for a role without a column."""
    if not first:
        return f"{where} has no {word} {called!r} (its {word}s: none)"
    names = [tidy(each) for each in first]
    # What no one calls a column: a number, nothing, a whole sentence, the same thing twice.
    data = len(set(names)) < len(names) or any(not each or _DECIMAL.fullmatch(each) or len(each) > _LONGEST_NAME for each in names)
    if is_language(called) and (others := [each for each in names if is_language(each)]):
        return f"{where} has no {word} for the language {called!r} (its languages: {listed(others)}): ask for one of them"
    near = difflib.get_close_matches(called, () if data else names, n=1)
    words = role(name).holds in ("text", "any")
    value = near[0] if near else (guess + 1 if data else names[guess]) if words else "NUMBER" if data else "NAME"
    option = Columns._option(name, value)
    if data and not headed:
        return f"{where} has no header (its first row: {listed(first, 3)}): say which {word} holds the {name}, as in {option}"
    return f"{where} has no {word} {called!r} (its {word}s: {listed(first)}): name the one that holds the {name} with {option}"


def counted(n: int, word: str) -> str:
    """ "1 field", "2 fields" """
    return f"{n:,} {word}" + ("s" if n != 1 else "")

"""Documents with what they come down to: one summary, or several of which each will do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..base.errors import InputError
from .columns import Columns
from .examples import Examples, gather
from .records import Data, Reading, name_of, shaped
from .tables import Row
from .values import said, structure, texts

_ALIASES = {
    "document": ("article", "dialogue", "source", "text", "abstract"),
    "summary": ("summaries", "highlights", "target", "tldr"),
}


@dataclass(frozen=True)
class Summary:
    """`summaries`: at least one; a model learns the first and is measured by the best."""

    document: str
    summaries: tuple[str, ...]


def read_summaries(data: Data, columns: Columns | None = None, *, skip_bad: bool = False) -> Examples[Summary]:
    """Read `document|article|dialogue,summary|highlights` from any source of `records`. Either may be a list: of the sentences of the
    document, which are joined by blanks, and of several summaries. InputError that lists the wrong rows, unless `skip_bad`."""
    name, reading = name_of(data), Reading()
    columns = (columns or Columns()).also(_ALIASES)
    _, rows = shaped(data, [("document", "summary")], columns, reading=reading, holds="summaries")

    def make(row: Row) -> Iterator[Summary]:
        document = " ".join(texts(row, "document")) if _many(row, "document") else _one(row, "document")
        yield Summary(document, texts(row, "summary") if _many(row, "summary") else (_one(row, "summary"),))

    examples = gather(rows, make, lambda each: each.document, Summary, name=name, reading=reading, skip_bad=skip_bad)
    return examples


def _many(row: Row, role: str) -> bool:
    """Whether a value is a list, or one that a table holds as text."""
    value = row.values.get(role)
    found = structure(value) if isinstance(value, str) else value
    return isinstance(found, list | tuple) and bool(found) and all(isinstance(each, str) for each in found)


def _one(row: Row, role: str) -> str:
    found = texts(row, role) if not isinstance(row.values.get(role), str) else (row.values[role],)
    if len(found) != 1 or not found[0].strip():
        raise said(row, role, "is empty") if not "".join(found).strip() else InputError(f"{row.where}: the {role} is not one text")
    return found[0]

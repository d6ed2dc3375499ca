"""Rows of a csv or tsv table, each with the line it begins on.

Commas, semicolons, bars: a field in quotes may hold delimiters, line ends and doubled quotes     https://www.rfc-editor.org/rfc/rfc4180
Tabs: a quote is a character like any other, one line is one row     https://www.iana.org/assignments/media-types/text/tab-separated-values
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from ..base.errors import InputError
from .columns import Columns, counted, listed, looks_named, told
from .ledger import Ledger

DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
LONGEST = 1 << 24
"""Characters of one field: without a bound, a quote that never closes would bring the whole file into memory."""

_SAMPLE_LINES, _SAMPLE = 200, 65_536  # lines and characters looked at to find the delimiter and the header
_SINGLE = re.compile(r'[^"]*+(?:""[^"]*+)*+"(?!")')

Fields = tuple[int, list[str]]  # the line a row begins on, and its fields


class Lines:
    """The lines of a text stream, counted; `first` is the line its row begins on, `opened` the line of the quote that is open."""

    def __init__(self, stream: Iterable[str], name: str) -> None:
        self.number, self.first, self.opened, self.ended = 0, 1, 0, False
        self._stream, self._name = iter(stream), name
        self._ahead: list[str] = []

    def peek(self) -> tuple[list[str], bool]:
        """The first lines, which will be read again, and whether they are all there are."""
        size, whole = 0, False
        while len(self._ahead) < _SAMPLE_LINES and size < _SAMPLE:
            line = self._next()
            if line is None:
                whole = True
                break
            self._ahead.append(line.removeprefix("\ufeff") if not self._ahead else line)
            size += len(line)
        return self._ahead, whole

    def __iter__(self) -> Iterator[str]:
        for line in itertools.chain(self._ahead, iter(self._next, None)):
            self.number += 1
            if "\0" in line:
                raise InputError(f"{self._name} line {self.number:,} holds a NUL byte, as no text does: give a text file in UTF-8")
            # Whoever asks for one more line of a row is inside a quote: a new one if this line has any that are not doubled.
            if '"' in line and _SINGLE.match(line):
                self.opened = self.number
            yield line
        self.ended = True

    def _next(self) -> str | None:
        try:
            return next(self._stream, None)
        except UnicodeDecodeError as error:
            place = f"byte 0x{error.object[error.start]:02x} after line {max(self.number, len(self._ahead)):,}"
            raise InputError(f"{self._name} is not UTF-8 ({place}): convert it, for example with `iconv -f LATIN1 -t UTF-8`") from None


def delimited_rows(
    name: str,
    stream: Iterable[str],
    columns: Columns,
    roles: Sequence[str],
    optional: Sequence[str],
    ledger: Ledger,
    notes: list[str],
    lenient: bool = False,
) -> Iterator[tuple[int, dict[str, str] | InputError]]:
    """(line, role -> field) of every row; what was found goes to `notes`, the blank lines between rows to `ledger`.

    A name in .tsv means tabs; elsewhere the first lines tell the delimiter. InputError, with the line, for what is no table; where
    `lenient`, a row with too few or too many fields comes as the error it is.
    """
    lines = Lines(stream, name)
    sample, whole = lines.peek()
    delimiter = "\t" if _tsv(name) else sniff(sample, whole)
    rows = _split(lines) if delimiter == "\t" else _parsed(lines, delimiter, name)
    ahead, blank = _ahead(rows)
    if not ahead:
        raise InputError(f"{name} is empty: give a table with at least one row")
    headed, places = _begin(name, delimiter, ahead, columns, roles, optional, notes)
    begin, width = ahead[0][0], len(ahead[0][1])
    # Some corpora (STS-B) write more fields in some rows; where the columns are numbered, what comes after them does not matter.
    open_ended = delimiter == "\t" and not headed and bool(columns.given) and width > 1
    longer = quoted = 0
    try:
        for line, fields in itertools.chain(ahead[headed:], rows):
            if len(fields) != width:
                if not fields or (len(fields) == 1 and not fields[0].strip()):
                    blank += 1
                    continue
                if not (open_ended and len(fields) > width):
                    against = "the header" if headed else f"line {begin:,}"
                    wrong = InputError(f"{name} line {line:,} has {_ragged(fields, width, against, delimiter)}")
                    if not lenient:
                        raise wrong
                    yield line, wrong
                    continue
                longer += 1
            values = {role: fields[place] for role, place in places.items()}
            if delimiter == "\t" and any(len(each) > 1 and each[0] == each[-1] == '"' for each in values.values()):
                quoted += 1
            yield line, values
    finally:
        for what, n in (("blank lines", blank), ("rows with further fields", longer)):
            if n:
                ledger.add("read", what, n)
    if longer:
        notes.append(f"{name}: {longer:,} rows have more than {width} fields; those after column {width} were left out")
    if quoted:
        notes.append(f"{name}: {quoted:,} rows have a field in quotes, which belong to the text where tabs separate the fields")


def sniff(lines: Sequence[str], whole: bool) -> str:
    """The delimiter on which most of the first `lines` agree, else the comma; `whole` says that no line comes after them."""
    shares = {delimiter: _agreement(lines, delimiter, whole) for delimiter in DELIMITERS}
    best = max(shares, key=lambda delimiter: shares[delimiter])  # the first of equals
    return best if shares[best] > 0.5 else ","


def _agreement(lines: Sequence[str], delimiter: str, whole: bool) -> float:
    """The share of rows with as many fields as the first, if that is more than one."""
    try:
        widths = [len(fields) for fields in ([*csv.reader(lines, delimiter=delimiter)] if delimiter != "\t" else _tabbed(lines)) if fields]
    except csv.Error:
        return 0.0
    if not whole and len(widths) > 1:
        widths.pop()  # it may go on
    return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0


def _begin(
    name: str, delimiter: str, ahead: Sequence[Fields], columns: Columns, roles: Sequence[str], optional: Sequence[str], notes: list[str]
) -> tuple[bool, dict[str, int]]:
    """Whether the first of the rows `ahead` is a header, and where each role's column is; a note on both."""
    first, others = ahead[0][1], [fields for _, fields in ahead[1:] if fields]
    marks = columns.marks((*roles, *optional))
    headed = columns.named or looks_named(first, others, marks)
    if _tsv(name) and len(first) == 1 and first[0].strip().lower() not in marks and _names_inside(first[0], columns, marks):
        raise InputError(f"{name} has no tab in its first line, which reads {listed(first)!r}: give it a name that ends in .csv")
    places = columns.resolve(first, roles, name, optional=optional, headed=headed, guess=_longest(others or [first], len(first)))
    found = []
    if delimiter == "\t" and not _tsv(name):
        found.append("tabs separate its fields, so a quote is a character like any other")
    elif delimiter in ";|":
        found.append(f"{DELIMITERS[delimiter]}s separate its fields")
    if not headed:
        found.append(f"it has no header, so its first row ({listed(first, 3)}) is an example too")
    elif not columns.named and columns.given:
        found.append(f"its first row ({listed(first, 3)}) is a header")
    notes.append(told(name, places, first if headed else None, columns, *found))
    return headed, places


def _names_inside(line: str, columns: Columns, marks: set[str]) -> bool:
    """Whether a line without tabs is the header of a table with other delimiters."""
    names = [each.strip() for each in re.split("[,;|]", line)]
    return len(names) > 1 and any(name.lower() in marks or name in columns.given.values() for name in names)


def _ahead(rows: Iterator[Fields]) -> tuple[list[Fields], int]:
    """The first rows, from the first that is not blank, and how many lines stand above it."""
    ahead: list[Fields] = []
    above = size = 0
    for row in rows:
        if not ahead and not "".join(row[1]).strip():
            above += 1
            continue
        ahead.append(row)
        size += sum(map(len, row[1]))
        if len(ahead) >= _SAMPLE_LINES or size >= _SAMPLE:
            break
    return ahead, above


def _split(lines: Lines) -> Iterator[Fields]:
    return zip(itertools.count(1), _tabbed(lines))


def _tabbed(lines: Iterable[str]) -> Iterator[list[str]]:
    for line in lines:
        line = line.rstrip("\r\n")
        yield line.split("\t") if line else []


def _parsed(lines: Lines, delimiter: str, name: str) -> Iterator[Fields]:
    if csv.field_size_limit() < LONGEST:
        csv.field_size_limit(LONGEST)  # the library keeps one for everybody, so it is only ever raised
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.first = lines.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(_unparsed(lines, name, str(error))) from None
        yield lines.first, fields


def _unparsed(lines: Lines, name: str, problem: str) -> str:
    if lines.ended:
        return f'{name} line {lines.opened:,} opens a quote that never closes: close it, or write "" for a quote inside a field in quotes'
    if "limit" in problem:
        return (
            f"{name} line {lines.opened:,} opens a field of more than {csv.field_size_limit():,} characters: close its quote, or shorten it"
        )
    if "expected after" in problem:
        return f'{name} line {lines.number:,} has text after a closing quote: write "" for a quote inside a field in quotes'
    return f"{name} line {lines.number:,} is not csv ({problem}): end its lines in LF or CRLF"


def _ragged(fields: Sequence[str], width: int, against: str, delimiter: str) -> str:
    counts = f"{counted(len(fields), 'field')}, but {against} has {width:,}"
    if any(each[:1].isspace() and each.lstrip().startswith('"') for each in fields) and delimiter != "\t":
        return f"{counts}: take away the blank before a quote"
    if len(fields) < width:
        return f"{counts}: write every field, if only an empty one"
    mend = "replace a tab inside a field by a blank" if delimiter == "\t" else f"put a field that holds a {DELIMITERS[delimiter]} in quotes"
    return f"{counts}: {mend}"


def _longest(rows: Sequence[Sequence[str]], width: int) -> int:
    """The column with the most characters: where a text would be."""
    return max(range(width), key=lambda place: sum(len(row[place]) for row in rows if place < len(row)))


def _tsv(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(".tsv")

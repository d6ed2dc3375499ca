"""A table, for a terminal and for a page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import zip_longest

Rows = Sequence[Sequence[str]]


def text_table(header: Sequence[str], rows: Rows, *, right: Sequence[int] = ()) -> str:
    """Lines with columns two blanks apart; those numbered in `right` are aligned to the right. Wide letters count twice, as they look."""
    from rich.cells import cell_len  # knows how wide a letter is on a terminal

    lines = [list(header), *map(list, rows)]
    widths = [max(map(cell_len, column)) for column in zip_longest(*lines, fillvalue="")]

    def cell(number: int, value: str) -> str:
        gap = " " * (widths[number] - cell_len(value))
        return gap + value if number in right else value + gap

    return "\n".join("  ".join(cell(number, value) for number, value in enumerate(line)).rstrip() for line in lines)


def html_table(header: Sequence[str], rows: Rows, *, caption: str, right: Sequence[int] = ()) -> str:
    """A `<table>`; every value is escaped. The class "n" stands on cells of the columns in `right`."""

    def cells(tag: str, line: Sequence[str]) -> str:
        kinds = [' class="n"' if number in right else "" for number in range(len(line))]
        return "".join(f"<{tag}{kind}>{html.escape(value)}</{tag}>" for kind, value in zip(kinds, line, strict=True))

    head = "".join(cells("th", header)).replace("<th", '<th scope="col"')
    body = "\n".join(f"<tr>{cells('td', line)}</tr>" for line in rows)
    return f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"

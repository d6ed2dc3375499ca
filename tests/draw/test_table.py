"""Tables line up whatever they hold, on a terminal and in HTML; labels leave nothing invisible and nothing dangerous."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.draw.labels import printable, right_to_left, shortened
from harken.draw.table import html_table, text_table


def test_columns_line_up() -> None:
    table = text_table(["token", "p"], [["a", "12%"], ["中文", "3%"], ["e\u0301", "100%"]], right=(1,))
    assert table.splitlines() == ["token     p", "a       12%", "中文     3%", "e\u0301      100%"]
    assert text_table(["a", "b"], []) == "a  b"


def test_html_escapes_and_parses() -> None:
    cells: list[str] = []

    class Parser(HTMLParser):
        def handle_data(self, data: str) -> None:
            cells.append(data)

    text = html_table(["<b>", "n"], [["</td><script>", "1 & 2"]], caption='"quoted"', right=(1,))
    Parser().feed(text)
    assert [cell for cell in cells if cell.strip()] == ['"quoted"', "<b>", "n", "</td><script>", "1 & 2"]
    assert '<td class="n">' in text and '<th scope="col" class="n">' in text


@pytest.mark.parametrize(
    ("text", "label", "running"),
    [
        (" the", "·the", " the"),
        ("\n", "↵", "↵\n"),
        ("  ", "··", "  "),
        ("a b ", "a b·", "a b "),
        ("a\tb", "a⇥b", "a⇥b"),
        ("\x00\x1b", "⟨U+0000⟩⟨U+001B⟩", "⟨U+0000⟩⟨U+001B⟩"),
        ("a\u202eb", "a⟨U+202E⟩b", "a⟨U+202E⟩b"),
        ("\u200d", "⟨U+200D⟩", "⟨U+200D⟩"),
        ("👨\u200d👩", "👨\u200d👩", "👨\u200d👩"),
        ("\u0301", "◌\u0301", "◌\u0301"),
        ("\u00a0", "⟨U+00A0⟩", "\u00a0"),
        ("", "", ""),
    ],
)
def test_labels(text: str, label: str, running: str) -> None:
    assert printable(text) == label
    assert printable(text, running=True) == running


@given(st.text())
def test_a_label_hides_nothing(text: str) -> None:
    label = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in label if c not in "\u200c\u200d")
    assert "\n" not in label and bool(label) == bool(text)


def test_short_and_from_right_to_left() -> None:
    assert shortened("abcdef", 6) == "abcdef" and shortened("abcdefg", 6) == "abcde…"
    assert right_to_left("1. שלום") and not right_to_left("1. hello שלום") and not right_to_left("123")

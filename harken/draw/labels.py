"""Any text as a label: what the eye cannot see gets a sign, and nothing is left that could break a line, a file or a page."""

from __future__ import annotations

import unicodedata

SIGNS = {"\n": "↵", "\t": "⇥"}
JOINERS = {"\u200c", "\u200d"}  # they shape the letters and the emoji they stand between


def printable(text: str, *, running: bool = False) -> str:
    """`text` with every character visible: "\\n" is ↵, a blank at the edge is ·, what has no shape is ⟨U+202E⟩.

    `running`: for text that is read on, where blanks stay blanks and a line end also ends the line.
    """
    out = "".join(_sign(character, len(text) == 1, running) for character in text)
    if unicodedata.combining(text[:1] or " "):
        out = "◌" + out  # an accent needs something to stand on
    if running:
        return out.replace("↵", "↵\n") if "\n" in text else out
    inner = out.strip(" ")
    before = len(out) - len(out.lstrip(" "))
    return "·" * before + inner + "·" * (len(out) - before - len(inner))


def shortened(label: str, most: int) -> str:
    """The label, or its beginning and an ellipsis where it has more than `most` characters."""
    return label if len(label) <= most else label[: most - 1] + "…"


def right_to_left(text: str) -> bool:
    """Whether a text is written from right to left: what its first letter says."""
    return next((kind != "L" for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL")), False)


def _sign(character: str, alone: bool, running: bool) -> str:
    if character in SIGNS:
        return SIGNS[character]
    kind = unicodedata.category(character)
    if character == " " or (running and kind == "Zs") or (character in JOINERS and not alone):
        return character
    return f"⟨U+{ord(character):04X}⟩" if kind[0] in "CZ" else character

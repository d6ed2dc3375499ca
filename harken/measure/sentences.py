"""Where sentences end, by their marks: enough to take the first three, not a linguist's last word."""

from __future__ import annotations

import re

_END = re.compile(
    r"(?<=[.!?…])[\"'”’»)\]]*\s+(?=[\"'“‘«(\[]*[^\W_])"  # a mark, what closes after it, white space, and something to read
    r"|(?<=[。！？])[”’」』）]*"  # scripts without spaces
    r"|\s*\n\s*\n\s*"  # a blank line
)
_SHORT = re.compile(
    r"(?:^|[\s(\"'“‘])(?:mr|mrs|ms|dr|prof|st|mt|jr|sr|gen|col|capt|lt|sgt|rev|hon|sen|rep|gov|vs|inc|ltd|co|corp|fig|eq|cf|e\.g|i\.e|al"
    r"|[^\W\d_](?:\.[^\W\d_])*)\.$",  # a title, or initials
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """The sentences of a text, without the white space around them; together they hold every other character."""
    return [text[begin:end] for begin, end in spans(text)]


def spans(text: str) -> list[tuple[int, int]]:
    """Where each sentence begins and ends."""
    found, begin = [], 0
    for gap in _END.finditer(text):
        head, after = text[begin : gap.start()], text[gap.end() : gap.end() + 1]
        if "\n\n" not in re.sub(r"[^\S\n]", "", gap.group()) and (_SHORT.search(head) or after.islower()):
            continue
        end = gap.start() + len(gap.group().rstrip())
        found.append((begin, end))
        begin = gap.end()
    found.append((begin, len(text)))
    trimmed = [
        (begin + len(text[begin:end]) - len(text[begin:end].lstrip()), begin + len(text[begin:end].rstrip())) for begin, end in found
    ]
    return [(begin, end) for begin, end in trimmed if begin < end]

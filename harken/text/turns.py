"""A chat as ids, cut where the assistant's turns begin and end, so that what was said to it and what it said never share a token.

What is read before a turn is then exactly what the model reads when it is asked for that turn, whatever it goes on to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..base.errors import InputError
from .tokenizer import Tokenizer

Places = Sequence[tuple[int, int]]
"""Characters [start, end) of a text."""


class Said(NamedTuple):
    """`ids` of a chat up to the end of its last answer · `learned`: which of them the assistant said, the end of each turn included ·
    `answers`: how many turns are its own."""

    ids: list[int]
    learned: list[bool]
    answers: int


def parts(tokenizer: Tokenizer, text: str, spans: Places, guarded: Places) -> list[list[int]]:
    """The ids of a chat, one more list than twice its spans: what stands in front of a turn of the assistant, the turn, and so on.

    Together they are the ids of the whole text, but for a token that would reach over a border, which is cut there. `guarded`: where a
    message has the name of a special token, which is read as text."""
    found: list[list[int]] = []
    base, last, known = 0, 0, []  # ids known of text[base:last]
    for edge in (*(place for span in spans for place in span), len(text)):
        ids = _encoded(tokenizer, text, base, edge, guarded)
        if ids[: len(known)] != known:
            base, known = last, []
            ids = _encoded(tokenizer, text, base, edge, guarded)
        found.append(ids[len(known) :])
        last, known = edge, ids
        if known and known[-1] in tokenizer.special_ids:  # nothing reaches over it: in front of it all is settled
            name = str(tokenizer.inner.id_to_token(known[-1]))
            if text.endswith(name, base, edge):
                base, known = edge - len(name), known[-1:]
    return found


def turns(text: str, spans: Places, guarded: Places, names: set[str]) -> Places:
    """Where the turns of the assistant stand: each with the special token at its end, or right behind it, and without white space behind
    that. Learning to say it is learning to stop."""
    ends = tuple(names)
    found = []
    for start, end in spans:
        last = start + len(text[start:end].rstrip())
        if text.endswith(ends, start, last) and all(last != stop for _, stop in guarded):
            found.append((start, last))
        else:
            found.append((start, end + max((len(name) for name in ends if text.startswith(name, end)), default=0)))
    return found


def said(tokenizer: Tokenizer, text: str, spans: Places, guarded: Places) -> Said:
    """The ids of a chat that is written out, up to its last turn, and which of them are learned."""
    found = parts(tokenizer, text, spans, guarded)[:-1]
    ids = [i for part in found for i in part]
    learned = [n % 2 == 1 for n, part in enumerate(found) for _ in part]
    return Said(ids, learned, len(spans))


def special_names(tokenizer: Tokenizer) -> set[str]:
    """The special tokens as they are written."""
    return {str(tokenizer.inner.id_to_token(i)) for i in tokenizer.special_ids}


def turns_found(text: str, messages: Sequence[Mapping[str, Any]], render: Any, names: set[str], where: str) -> list[tuple[int, int]]:
    """Where the assistant's turns stand in a chat whose template does not mark them: behind what it writes to ask for the turn, up to the
    first special token behind what is said. `render(messages, add_generation_prompt)` writes a part of the chat.

    InputError where that cannot be told."""
    found = []
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = render(messages[:place], True) if place else ""
        whole, content = render(messages[: place + 1], False), str(message.get("content") or "").strip()
        at = text.find(content, len(before))
        if not before or not whole.startswith(before) or not text.startswith(whole) or not 0 <= at <= len(whole) - len(content):
            raise InputError(
                f"{where} does not mark what the assistant says, and its text cannot be told from the rest: write "
                "{% generation %} in front of it and {% endgeneration %} behind it"
            )
        behind = at + len(content)
        ends = [there + len(name) for name in names if (there := text.find(name, behind, len(whole))) >= 0]
        found.append((len(before), min(ends, default=len(whole))))
    return found


def _encoded(tokenizer: Tokenizer, text: str, start: int, stop: int, guarded: Places) -> list[int]:
    """The ids of text[start:stop]: the template's special tokens are read as such, and what a message says never is."""
    ids, at = [], start
    for first, end in guarded:
        first, end = max(first, start), min(end, stop)
        if first < end:
            ids += tokenizer.parsing.encode(text[at:first], add_special_tokens=False).ids if at < first else []
            ids += tokenizer.encode(text[first:end], special=False)
            at = end
    return ids + (tokenizer.parsing.encode(text[at:stop], add_special_tokens=False).ids if at < stop else [])

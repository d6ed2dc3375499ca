"""Questions made of sentences, so that a small model learns to look for what a question shares with its context before it sees real ones.

A phrase of a sentence is the answer, what is left of the sentence, some words lost and the rest turned round now and then, the question:
cloze translation (Lewis, Denoyer and Riedel 2019, https://arxiv.org/abs/1906.04980), without any model in it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harken.measure.sentences import spans

WORD = re.compile(r"\w+(?:['’-]\w+)*")
_SMALL = (
    "a all an and are as at be been but by for from had has have he her his i if in into is it its me my no not of on or our she so than "
    "that the their then there these they this those to was we were what when which while who with you your"
)
SMALL = frozenset(_SMALL.split())
"""Words that answer nothing by themselves."""
NAMED = 5
"""Words of a name at most."""


def passages(path: Path, least: int, rng: random.Random) -> list[str]:
    """Neighbouring paragraphs of a file, as many together as have so many words, in any order."""
    found: list[str] = []
    words: list[str] = []
    for paragraph in path.read_text("utf-8").split("\n\n"):
        words += paragraph.split()
        if len(words) >= least:
            found.append(" ".join(words))
            words = []
    rng.shuffle(found)
    return found


def phrases(text: str, longest: int) -> Iterator[tuple[int, int, str]]:
    """Where each phrase of a sentence begins and ends, and what would ask for it: names, numbers, and words between small ones."""
    words = list(WORD.finditer(text))
    run: list[re.Match[str]] = []
    kind = ""
    for i, word in enumerate([*words, None]):
        of = "" if word is None else kind_of(word.group(), i == 0)
        close = run and word is not None and text[run[-1].end() : word.start()].strip() == ""
        if run and (of != kind or not close or len(run) == (NAMED if kind in ("name", "number") else longest)):
            yield run[0].start(), run[-1].end(), kind
            run = []
        if word is not None and of:
            run, kind = [*run, word], of


def kind_of(word: str, first: bool) -> str:
    """ "number", "name", "word"; "" for a small one."""
    if word[0].isdigit():
        return "number"
    if re.split("['’]", word.lower())[0] in SMALL:
        return ""
    return "name" if word[0].isupper() and not first else "word"


def asks(answer: str, kind: str, rng: random.Random) -> str:
    """A word that a question for this answer may begin with."""
    if kind == "number":
        return rng.choice(["when", "what year"]) if re.fullmatch(r"[12]\d{3}", answer) else rng.choice(["how many", "how much", "what"])
    return rng.choice(["who", "who", "what", "where", "which"] if kind == "name" else ["what", "what", "how", "why", "which"])


def question(sentence: str, begin: int, end: int, kind: str, rng: random.Random) -> str:
    """What is left of a sentence without a phrase: the words nearest to it, some lost, those behind it first now and then."""
    before, after = WORD.findall(sentence[:begin]), WORD.findall(sentence[end:])
    left = [word for word in before[-rng.randint(3, 9) :] if rng.random() < (0.5 if word.lower() in SMALL else 0.8)]
    right = [word for word in after[: rng.randint(3, 9)] if rng.random() < (0.5 if word.lower() in SMALL else 0.8)]
    parts = [*right, *left] if rng.random() < 0.5 else [*left, *right]
    return " ".join([asks(sentence[begin:end], kind, rng), *parts]) + "?"


def around(sizes: list[int], at: int, room: int, rng: random.Random) -> range:
    """Neighbouring sentences with sentence `at` somewhere among them, of `room` words at most; `sizes`: words of each."""
    first, last, total = at, at + 1, sizes[at]
    while True:
        sides = [side for side in (first - 1, last) if 0 <= side < len(sizes) and total + sizes[side] <= room]
        if not sides:
            return range(first, last)
        side = rng.choice(sides)
        total += sizes[side]
        first, last = min(first, side), max(last, side + 1)


def made(text: str, rng: random.Random, *, room: int, each: int, longest: int = 4, empty: float = 0.0) -> Iterator[dict[str, Any]]:
    """Up to `each` questions on every sentence of a paragraph, names and numbers sooner than words, as rows of `question`, `context` (some
    neighbouring sentences, up to `room` words), `answer` and `start`, its place in the context. A share of them, `empty`, is asked of
    neighbours that do not hold the answer, which is "" then."""
    places = spans(text)
    sizes = [len(text[begin:end].split()) for begin, end in places]
    for at, (begin, end) in enumerate(places):
        if not 6 <= sizes[at] <= room:
            continue
        sentence = text[begin:end]
        found = sorted(phrases(sentence, longest), key=lambda phrase: rng.random() ** (1 if phrase[2] == "word" else 3))
        for first, last, kind in found[:each]:
            asked = question(sentence, first, last, kind, rng)
            if len(asked.split()) < 5:
                continue
            none = rng.random() < empty
            chosen = elsewhere(sizes, at, room, rng) if none else around(sizes, at, room, rng)
            if not chosen:
                continue
            start = places[chosen[0]][0]
            answer, place = ("", 0) if none else (sentence[first:last], begin + first - start)
            yield {"question": asked, "context": text[start : places[chosen[-1]][1]], "answer": answer, "start": place}


def elsewhere(sizes: list[int], at: int, room: int, rng: random.Random) -> range:
    """Neighbouring sentences of `room` words at most, sentence `at` not among them; none where there are no others."""
    sides = [side for side in (range(at), range(at + 1, len(sizes))) if any(sizes[i] <= room for i in side)]
    if not sides:
        return range(0)
    side = rng.choice(sides)
    chosen = around(
        [sizes[i] for i in side], rng.choice([i for i, size in enumerate(sizes[side.start : side.stop]) if size <= room]), room, rng
    )
    return range(side.start + chosen.start, side.start + chosen.stop)


def as_squad(rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> dict[str, Any]:
    """Such rows in SQuAD's own form."""
    paragraphs = [
        {
            "context": row["context"],
            "qas": [
                {
                    "id": str(i),
                    "question": row["question"],
                    "answers": [{"text": row["answer"], "answer_start": row["start"]}] if row["answer"] else [],
                    "is_impossible": not row["answer"],
                }
            ],
        }
        for i, row in enumerate(rows)
    ]
    return {"data": [{"title": "", "paragraphs": paragraphs}]}

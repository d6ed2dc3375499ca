"""Questions on a text, and where in it they are answered: SQuAD (https://arxiv.org/abs/1606.05250), with questions that have no answer
(https://arxiv.org/abs/1806.03822), nested as it was given out, or a row a question."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..base.errors import InputError
from .columns import Columns
from .examples import Examples, gather
from .hub import is_hub
from .jsons import whole_json
from .raw import suffix
from .records import Data, Reading, name_of, records
from .tables import Row
from .values import brief, structure, text
from .values import listed as members

MENDED, UNANSWERED = "answers mended", "questions without an answer"
_ALIASES = {"answers": ("answer",), "context": ("passage", "paragraph"), "id": ("qid",)}


class Answer(NamedTuple):
    """`text` stands in the context from its character `start` on; -1 where it need not."""

    text: str
    start: int


@dataclass(frozen=True)
class Question:
    """`answers`: all that are right; () for a question that the context does not answer."""

    context: str
    question: str
    answers: tuple[Answer, ...] = ()
    id: str = ""
    title: str = ""


def read_questions(
    data: Data,
    columns: Columns | None = None,
    *,
    contexts: Data | None = None,
    spans: bool = True,
    mend: bool = False,
    skip_bad: bool = False,
) -> Examples[Question]:
    """Read SQuAD json of either version, or `context,question,answers` from any source of `records`, where answers are
    {"text": […], "answer_start": […]} or a list of {"text": …, "answer_start": …}.

    An answer that does not stand in its context where it says is wrong; with `mend` it is looked for, nearest to that place, and counted.
    Without `spans` answers are free: texts, or any of the above, that need not stand in the context. `contexts`: where rows name their
    context (`story`, and of its `sections` some) instead of holding it, the rows that hold those.
    InputError that lists the wrong rows, unless `skip_bad`.
    """
    name, columns, reading = name_of(data), (columns or Columns()).also(_ALIASES), Reading()
    counts = dict.fromkeys((MENDED, UNANSWERED), 0)

    def make(row: Row) -> Iterator[Question]:
        context = text(row, "context")
        given = _answers(row)
        answers = tuple(_placed(row, context, each, mend) if spans else each for each in given)
        counts[MENDED] += sum(old != new for old, new in zip(given, answers, strict=True))
        counts[UNANSWERED] += not answers
        name, title = (str(row.values.get(role) or "") for role in ("id", "title"))
        yield Question(context, text(row, "question"), answers, name, title)

    if contexts is not None:
        rows = _joined(data, contexts, columns, reading)
    elif (articles := _articles(name, reading) if isinstance(data, str | os.PathLike) and suffix(name) == ".json" else None) is not None:
        rows = _nested(articles, name, reading)
    else:
        roles = ("context", "question", "answers")
        rows = records(data, roles, columns, optional=("id", "title"), reading=reading, holds="questions")
    examples = gather(rows, make, lambda each: each.context, _made, name=name, reading=reading, skip_bad=skip_bad)
    for what, n in counts.items():
        if n:
            examples.ledger.add("read", what, n)
            examples.notes.append(f"{name}: {n:,} {what}")
    return examples


def _made(context: str, question: str, answers: tuple[tuple[str, int], ...], *more: str) -> Question:
    return Question(context, question, tuple(Answer(*each) for each in answers), *more)


def _answers(row: Row) -> tuple[Answer, ...]:
    """The answers of a row in any of the forms people write."""
    value = row.values.get("answers")
    value = structure(value) if isinstance(value, str) else value
    if isinstance(value, Mapping) and isinstance(value.get("text"), list | tuple):
        starts = value.get("answer_start") or [None] * len(value["text"])
        if len(starts) != len(value["text"]):
            raise InputError(f"{_where(row)}: the answers have {len(value['text']):,} texts, but {len(starts):,} places")
        pairs = list(zip(value["text"], starts, strict=True))
    else:
        pairs = [
            (each.get("text"), each.get("answer_start")) if isinstance(each, Mapping) else (each, None) for each in members(row, "answers")
        ]
    found = []
    for answer, start in pairs:
        if not isinstance(answer, str) or not answer.strip():
            raise InputError(f"{_where(row)} has an empty answer")
        found.append(Answer(answer, start if isinstance(start, int) and not isinstance(start, bool) else -1))
    return tuple(found)


def _placed(row: Row, context: str, answer: Answer, mend: bool) -> Answer:
    """The answer where it stands. InputError when it does not, or may not be looked for."""
    if answer.start >= 0 and context.startswith(answer.text, answer.start):
        return answer
    words = answer.text.strip()
    if not mend:
        there = f"at character {answer.start:,} its context reads {brief(context[answer.start : answer.start + len(words)])}"
        why = there if answer.start >= 0 else "it does not say where it begins"
        raise InputError(f"{_where(row)}: the answer {brief(words)} is not where it should be ({why}): have it looked for with --mend")
    places = [i for i in range(len(context) - len(words) + 1) if context.startswith(words, i)]
    if not places:
        raise InputError(f"{_where(row)}: the answer {brief(words)} does not stand in its context")
    return Answer(words, min(places, key=lambda place: abs(place - max(answer.start, 0))))


def _where(row: Row) -> str:
    called = row.values.get("id")
    return f"{row.where} (id {called})" if called else row.where


# ---- SQuAD as it was given out


def _articles(name: str, reading: Reading) -> list[Any] | None:
    """The articles of nested json; None where it is not nested."""
    if is_hub(name):
        return None
    notes: list[str] = []
    found = whole_json(name, notes)
    articles = found.get("data") if isinstance(found, dict) else found
    if isinstance(articles, list) and articles and isinstance(articles[0], dict) and "paragraphs" in articles[0]:
        reading.notes += notes
        return articles
    return None


def _nested(articles: Iterable[Any], name: str, reading: Reading) -> Iterator[Row]:
    number = 0
    try:
        for a, article in enumerate(articles, 1):
            for p, paragraph in enumerate(_inside(article, "paragraphs", f"{name} article {a:,}"), 1):
                where = f"{name} article {a:,}, paragraph {p:,}"
                if not isinstance(paragraph, dict) or "context" not in paragraph:
                    raise InputError(f"{where} has no 'context'")
                for question in _inside(paragraph, "qas", where):
                    number += 1
                    if not isinstance(question, dict):
                        yield Row({}, name, "question", number, wrong=InputError(f"{name} question {number:,} is not an object"))
                        continue
                    values = {**question, "context": paragraph["context"], "title": article.get("title")}
                    if question.get("is_impossible"):
                        values["answers"] = []
                    yield Row(values, name, "question", number)
    finally:
        reading.ledger.add("read", "rows", number)
    if not number:
        raise InputError(f"{name} holds no questions: give at least one")


def _inside(value: Any, key: str, where: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise InputError(f"{where} has no list {key!r}, as SQuAD has")
    return found


# ---- contexts that stand elsewhere


def _joined(data: Data, contexts: Data, columns: Columns, reading: Reading) -> Iterator[Row]:
    """Questions with the contexts they name."""
    keys = Columns().also({"id": ("story", "context_id", "title"), "context": ("sections", "text", "document")})
    stories: dict[str, Any] = {}
    for row in records(contexts, ("id", "context"), keys, reading=Reading(), holds="contexts"):
        if row.wrong is not None:
            raise row.wrong
        stories[str(row.values["id"])] = row.values["context"]
    columns = columns.also({**_ALIASES, "id": ("story", "context_id"), "source": ("sections",)})
    for row in records(data, ("question", "answers", "id"), columns, optional=("source",), reading=reading, holds="questions"):
        yield row if row.wrong else _with_context(row, stories, name_of(contexts))


def _with_context(row: Row, stories: Mapping[str, Any], name: str) -> Row:
    called = str(row.values["id"])
    story = stories.get(called)
    if story is None:
        return row._replace(wrong=InputError(f"{row.where} names the context {brief(called)}, which {name} does not hold"))
    if isinstance(story, Mapping):
        wanted = [str(each) for each in row.values.get("source") or story]
        lacking = next((each for each in wanted if each not in story), None)
        if lacking is not None:
            return row._replace(
                wrong=InputError(f"{row.where} names the section {brief(lacking)} of {brief(called)}, which {name} does not hold")
            )
        story = " ".join(story[each] for each in wanted)
    return row._replace(values={**row.values, "context": story, "id": "", "title": called})

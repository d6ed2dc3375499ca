"""What a search engine learns from and is measured by: queries with texts that answer them, and collections that say which do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..base.errors import InputError
from .columns import Columns
from .examples import Examples, gather
from .raw import decode, load, stream
from .records import Data, Reading, name_of, records, shaped
from .tables import Row
from .values import brief, listed, said, text, texts

_ALIASES = {
    "query": ("question", "anchor", "claim", "sentence1"),
    "positive": ("positives", "answer", "passage", "sentence2", "pos"),
    "negative": ("negatives", "neg"),
}
_IDS = {"id": ("_id", "doc_id", "docid", "query_id", "qid")}
_TEXT = {"text": ("contents", "passage", "sentences", "abstract"), **_IDS}
_QUERY = {"query": ("text", "question", "claim"), "relevant": ("cited_doc_ids", "positive_ids", "doc_ids"), **_IDS}


@dataclass(frozen=True)
class Ranked:
    """A query with texts that answer it, and texts that do not."""

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """A text of a collection."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Query:
    """`relevant`: (id of a document, how much it answers, 0 for not at all)."""

    id: str
    query: str
    relevant: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Collection:
    """Documents, and queries of which it is known which documents answer them."""

    documents: Examples[Document]
    queries: Examples[Query]


def read_ranked(data: Data, columns: Columns | None = None, *, skip_bad: bool = False) -> Examples[Ranked]:
    """Read `query,positive[,negative]` (also anchor, question, passage) from any source of `records`; positive and negative may be lists.
    InputError that lists the wrong rows, unless `skip_bad`."""
    name, reading = name_of(data), Reading()
    columns = (columns or Columns()).also(_ALIASES)
    _, rows = shaped(data, [("query", "positive")], columns, optional=("negative",), reading=reading, holds="queries")

    def make(row: Row) -> Iterator[Ranked]:
        positives, negatives = texts(row, "positive"), texts(row, "negative", empty=True)
        if not all(each.strip() for each in (*positives, *negatives)):
            raise InputError(f"{row.where} has an empty text to be found")
        if both := set(positives) & set(negatives):
            raise InputError(f"{row.where} has {brief(both.pop())} both as positive and as negative")
        yield Ranked(text(row, "query"), positives, negatives)

    return gather(rows, make, lambda each: each.query, Ranked, name=name, reading=reading, skip_bad=skip_bad)


def read_collection(
    corpus: str | os.PathLike[str],
    queries: str | os.PathLike[str] | None = None,
    *,
    qrels: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
) -> Collection:
    """Read a collection: a folder with corpus.jsonl, queries.jsonl and qrels.tsv or qrels/test.tsv (BEIR), or its files by name.

    Documents have `id` and `text` (or `sentences`), and may have a `title`; queries have `id`, a `query` (or text, question, claim), and,
    where there are no `qrels` (query, document and grade a line), the ids that are `relevant`. A document without text counts as empty.
    InputError when a judgement names what is not there, or wrong rows are listed, unless `skip_bad`.
    """
    folder = Path(corpus)
    if folder.is_dir():
        corpus = _first(folder, "corpus.jsonl", "*corpus.jsonl")
        queries = queries or _first(folder, "queries.jsonl", "*queries.jsonl")
        if qrels is None:
            qrels = next((each for each in (folder / "qrels.tsv", folder / "qrels" / "test.tsv") if each.is_file()), None)
    if queries is None:
        raise InputError(f"{os.fspath(corpus)} is a corpus without queries: name their file too")
    documents = _documents(corpus, skip_bad)
    known = {document.id for document in documents}
    judged = _judged(qrels, known) if qrels is not None else None
    return Collection(documents, _queries(queries, known, judged, os.fspath(corpus), skip_bad))


def _first(folder: Path, name: str, pattern: str) -> Path:
    found = folder / name
    others = sorted(folder.glob(pattern))
    if found.is_file() or not others:
        if not found.is_file():
            raise InputError(f"{folder} is no collection: it holds no {name}")
        return found
    return others[0]


def _documents(path: str | os.PathLike[str], skip_bad: bool) -> Examples[Document]:
    name, reading, seen = os.fspath(path), Reading(), set[str]()
    rows = records(path, ("id", "text"), Columns().also(_TEXT), optional=("title",), reading=reading, holds="documents")
    empty = 0

    def make(row: Row) -> Iterator[Document]:
        nonlocal empty
        called = str(row.values["id"])
        if called in seen:
            raise said(row, "id", f"is {brief(called)}, as that of an earlier document")
        seen.add(called)
        value = row.values["text"]
        body = " ".join(texts(row, "text", empty=True)) if isinstance(value, list | tuple) else text(row, "text", empty=True)
        empty += not body.strip()
        yield Document(called, text(row, "title", empty=True), body)

    found = gather(rows, make, lambda each: f"{each.title}\n{each.text}".strip(), Document, name=name, reading=reading, skip_bad=skip_bad)
    if empty:
        found.ledger.add("read", "documents without text", empty)
        found = replace(found, notes=[*found.notes, f"{name}: {empty:,} documents have no text, so nothing finds them"])
    return found


def _judged(path: str | os.PathLike[str], known: set[str]) -> dict[str, dict[str, int]]:
    """query -> {document: grade} of a file of judgements: three columns, or TREC's four."""
    name, found = os.fspath(path), dict[str, dict[str, int]]()
    for number, line in enumerate(stream(decode(load(name))[0]), 1):
        fields = line.split()
        if not fields or (number == 1 and not fields[-1].lstrip("-").isdecimal()):
            continue
        if len(fields) not in (3, 4) or not fields[-1].lstrip("-").isdecimal():
            raise InputError(f"{name} line {number:,} is no judgement: write a query, a document and a whole number")
        query, document, grade = fields[0], fields[-2], int(fields[-1])
        if document not in known:
            raise InputError(f"{name} line {number:,} judges the document {brief(document)}, which the corpus does not hold")
        found.setdefault(query, {})[document] = grade
    return found


def _queries(
    path: str | os.PathLike[str], known: set[str], judged: Mapping[str, Mapping[str, int]] | None, corpus: str, skip_bad: bool
) -> Examples[Query]:
    name, reading, seen = os.fspath(path), Reading(), set[str]()
    roles = ("id", "query") if judged is not None else ("id", "query", "relevant")
    rows = records(path, roles, Columns().also(_QUERY), reading=reading, holds="queries")

    def make(row: Row) -> Iterator[Query]:
        called = str(row.values["id"])
        seen.add(called)
        relevant = judged.get(called, {}) if judged is not None else {str(each): 1 for each in listed(row, "relevant", "")}
        lacking = next((each for each in relevant if each not in known), None)
        if lacking is not None:
            raise said(row, "relevant", f"names the document {brief(lacking)}, which {corpus} does not hold")
        yield Query(called, text(row, "query"), tuple(sorted(relevant.items())))

    found = gather(rows, make, lambda each: each.query, Query, name=name, reading=reading, skip_bad=skip_bad)
    lost = sum(query not in seen for query in judged or ())
    notes = [f"{name}: judgements of {lost:,} queries that are not there were left out"] if lost else []
    return replace(found, notes=[*found.notes, *notes])

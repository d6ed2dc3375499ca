"""Read every data set at hand as what it is for, with at most one option: `python bench/datasets.py [FOLDER] [NAME…]`.

A line a file: its examples, its labels, and the median and the longest of its texts in characters. What is not there is left out.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from harken.data.chats import read_instructions, read_preferences
from harken.data.columns import Columns
from harken.data.dialogues import read_dialogues
from harken.data.labelled import read_labelled
from harken.data.pairs import read_pairs
from harken.data.questions import read_questions
from harken.data.ranked import Collection, read_collection, read_ranked
from harken.data.read import read
from harken.data.summaries import read_summaries
from harken.data.tagged import read_tagged
from harken.data.texts import Texts

PLAIN = ("names/names.txt", "tinyshakespeare/input.txt", "wikitext2/*.txt", "books_pd/*.txt", "tinystories_sample/*.txt",
         "poems_gutenberg/*.jsonl", "sonnets/sonnets.txt", "wordsim/questions-words.txt")  # fmt: skip


def columns(text: str) -> dict[str, Any]:
    """--columns"""
    return {"columns": Columns.parse(text)}


SETS: list[tuple[str, Callable[..., Any], dict[str, Any]]] = [
    *((pattern, read, {}) for pattern in PLAIN),
    ("sst2/*.tsv", read_labelled, columns("text=1,label=2")),
    ("mr", read_labelled, {}),
    ("stsb/*.csv", read_labelled, columns("sentence1=6,sentence2=7,score=5")),
    ("wordsim/EN-*.txt", read_labelled, columns("sentence1=1,sentence2=2,score=3")),
    ("wnut17/*.conll", read_tagged, {}),
    ("wikiann_en/*.txt", read_tagged, {}),
    ("multi30k/*.en", read_pairs, {"target": ".de"}),
    ("multi30k/*.en", read_pairs, {"target": ".fr"}),
    ("squad_subset/*.json", read_questions, {}),
    ("fairytaleqa/questions_*.jsonl", read_questions, {"contexts": "stories"}),
    ("scitldr/*.jsonl", read_summaries, {}),
    ("instruct/*.json*", read_instructions, {}),
    ("preferences/*.json*", read_preferences, {"skip_bad": True}),
    ("self_dialogue/*.jsonl", read_dialogues, {}),
    ("synthetic_persona_chat/*.csv", read_dialogues, {"skip_bad": True}),
    ("personachat_en/*.json", read_dialogues, {}),
    ("everyday_conversations/*.txt", read_dialogues, {}),
    ("reqa_squad/train_pairs.jsonl", read_ranked, columns("positive=answer_sentence")),
    ("reqa_squad", read_collection, {}),
    ("cranfield", read_collection, {}),
    ("scifact/corpus.jsonl", read_collection, {"queries": "claims_dev.jsonl"}),
]


def load(path: Path, reader: Callable[..., Any], options: dict[str, Any]) -> Any:
    """One data set; where the option is another file, it is found beside the first."""
    made = dict(options)
    if "target" in made:
        made["target"] = path.with_suffix(made["target"])
    if "contexts" in made:
        made |= {"contexts": path.with_name(path.name.replace("questions", "stories")), "spans": False}
    if "queries" in made:
        made["queries"] = path.with_name(made["queries"])
    return reader(path, **made)


def told(options: dict[str, Any]) -> str:
    """The option as it is written."""
    return " ".join(f"--{name.replace('_', '-')} {'' if value is True else value}".strip() for name, value in options.items())


def facts(found: Any) -> str:
    """How many examples, which labels, how long."""
    if isinstance(found, Collection):
        judged = sum(len(query.relevant) for query in found.queries)
        return f"{len(found.documents):>7,} documents, {len(found.queries):,} queries, {judged:,} judgements; {sizes(found.documents.keys)}"
    if hasattr(found, "source") and hasattr(found, "target"):
        return f"{len(found):>7,} pairs; {sizes(found.source.texts)}"
    texts = found.texts if hasattr(found, "texts") else found.keys
    labels = getattr(found, "labels", ())
    shown = f", {len(labels)} labels ({' '.join(labels[:9])}{' …' if len(labels) > 9 else ''})" if labels else ""
    wrong = found.ledger.get("read", "wrong rows left out")
    problem = f", {found.problem}" if getattr(found, "problem", "") else ""
    return f"{len(texts):>7,} examples{problem}{shown}{f', {wrong:,} wrong rows left out' if wrong else ''}; {sizes(texts)}"


def sizes(texts: Texts) -> str:
    """Characters of the median and of the longest."""
    lengths = np.concatenate(list(texts.lengths()))
    return f"{int(np.median(lengths)):,} characters, at most {int(lengths.max()):,}"


def rows(home: Path, names: Iterable[str]) -> Iterable[str]:
    """A line for each file that is there."""
    wanted = set(names)
    for pattern, reader, options in SETS:
        if wanted and pattern.split("/")[0] not in wanted:
            continue
        for path in sorted(home.glob(pattern)):
            began = time.perf_counter()
            found = load(path, reader, options)
            seconds = time.perf_counter() - began
            option = told(options)
            yield f"{path.relative_to(home)!s:<52} {reader.__name__:<18} {option:<44} {facts(found)}; {seconds:.1f} s"


def main() -> None:
    """Print a line for each file."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(os.environ.get("HARKEN_DATA") or Path.home() / ".cache" / "harken-data")
    )
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    for row in rows(asked.folder, asked.names):
        print(row, flush=True)


if __name__ == "__main__":
    main()

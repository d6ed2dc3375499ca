"""A T5 that read books learns to look something up and to copy it: what answers and summaries are made of, and gaps alone do not teach.

Of each passage of a book a sentence is asked for by some of its words, or a phrase of it by a question made of the rest (`cloze`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from harken.measure.sentences import spans
from harken.results.lab import Lab

from .cloze import SMALL, WORD, made, passages
from .pretraining import body, text

ROOM = 110
"""Words of a source beside its question, most of which fit into the rows that the body has learned from."""
LEAST = 60
"""Words of a passage that is asked about."""
PHRASE = 8
"""Words of an answer at most."""
WANTED = 60_000
MINUTES = 15.0


def lookups(path: Path, rng: random.Random) -> Iterator[dict[str, str]]:
    """Pairs of a source (a question and a text) and a target (what stands in the text)."""
    for passage in passages(path, LEAST, rng):
        for row in made(passage, rng, room=ROOM, each=1, longest=PHRASE):
            if rng.random() < 0.5:
                yield {"source": f"{row['question']} {row['context']}", "target": row["answer"]}
            elif words := wanted(row["context"], row["start"], rng):
                yield {"source": f"{words[0]}: {row['context']}", "target": words[1]}


def wanted(context: str, place: int, rng: random.Random) -> tuple[str, str] | None:
    """Some words of the sentence at a place of a text, in any order, and that sentence; None where it has too few."""
    begin, end = next(each for each in spans(context) if place < each[1])
    words = [word for word in WORD.findall(context[begin:end]) if word.lower() not in SMALL]
    return (" ".join(rng.sample(words, min(4, len(words)))), context[begin:end]) if len(words) > 1 else None


def reader(lab: Lab) -> Path:
    """The folder of the body that looks things up, trained by the first row that asks for it."""
    shared = lab.beside("pretraining")
    paths = {}
    for part, most in (("train", WANTED), ("valid", 500)):
        path = paths[part] = shared.file(f"lookups-{part}.jsonl")
        if not path.is_file():
            found = lookups(text(lab, part, mixed=False), random.Random(0))
            path.write_text("".join(json.dumps(pair) + "\n" for pair, _ in zip(found, range(most), strict=False)), "utf-8")
    shared.train("t5-reader", paths["train"], valid=str(paths["valid"]), model=str(body(lab, "t5")), task="text2text", overflow="drop",
                 optimizer="muon", learning_rate=1e-3, average=0.99, dropout=0.0, batch_size=32, minutes=MINUTES)  # fmt: skip
    return shared.run("t5-reader")

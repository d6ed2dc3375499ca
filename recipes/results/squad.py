"""Questions on paragraphs: spans on the body that read books.

11,473 questions of SQuAD's own training articles to learn from, 1,559 on development articles to validate on, XQuAD's English 1,190 of
test; no paragraph is shared. That is an eighth of SQuAD: full-set figures (BiDAF 77.3 F1, BERT-base 88.5) are orientation. For 25 minutes
the body answers questions made of sentences of these paragraphs and of books, from which an answer was taken (`cloze`); then for 30 minutes
real ones, with the sentences around their answers, and every second one with others that have none. On the test it reads whole paragraphs,
or those sentences alone that share most with the question. Beside: names in the one that shares most.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import harken
from harken.measure.baselines.reading import ranked
from harken.measure.metrics.answers import Squad
from harken.measure.resample import bootstrap
from harken.measure.sentences import spans
from harken.results.lab import Lab

from .cloze import around, as_squad, elsewhere, made, passages
from .pretraining import body, text

NAME = "f1"
SENTENCES = (1, 2, 3, 5)
ROOM = 75
"""Words of a context that a body of 128 tokens reads at once beside a question."""


def paragraphs(path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Contexts, and what is asked of each."""
    for article in json.loads(path.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"], paragraph["qas"]


def written(lab: Lab, name: str, rows: list[dict[str, Any]]) -> str:
    """The path of a file with these questions."""
    path = lab.file(name)
    path.write_text(json.dumps(as_squad(rows)), "utf-8")
    return str(path)


def clozes(lab: Lab, path: Path, books: Path | None, rng: random.Random) -> list[dict[str, Any]]:
    """Questions made of the paragraphs of a file, and as many of those of books."""
    rows = [row for each, _ in paragraphs(path) for row in made(each, rng, room=ROOM, each=4 if books else 1, empty=0.2)]
    if books is not None:
        more = (row for each in passages(books, ROOM, rng) for row in made(each, rng, room=ROOM, each=1, empty=0.2))
        rows += itertools.islice(more, len(rows))
    rng.shuffle(rows)
    return rows


def near(path: Path, rng: random.Random) -> list[dict[str, Any]]:
    """Real questions with the sentences near their answers, and every second one with others of its paragraph, too."""
    rows = []
    for whole, asked in paragraphs(path):
        places = spans(whole)
        sizes = [len(whole[begin:end].split()) for begin, end in places]
        for each in asked:
            answer, place = each["answers"][0]["text"], each["answers"][0]["answer_start"]
            first = next(i for i, (_, end) in enumerate(places) if place < end)
            last = next((i for i, (_, end) in enumerate(places) if place + len(answer) <= end), len(places) - 1)
            held = [(around(sizes, first, ROOM, rng), answer)] if first == last else [(range(first, last + 1), answer)]
            others = elsewhere(sizes, first, ROOM, rng) if rng.random() < 0.5 else range(0)
            if others and answer not in whole[places[others[0]][0] : places[others[-1]][1]]:
                held.append((others, ""))
            for chosen, words in held:
                start = places[chosen[0]][0]
                context = whole[start : places[chosen[-1]][1]]
                rows.append({"question": each["question"], "context": context, "answer": words, "start": place - start if words else 0})
    return rows


def narrowed(lab: Lab, run: Path, right: Path, asked: Path) -> dict[str, Any]:
    """F1 on the questions of `asked` where only so many sentences are read that share most with the question as are best on `right`."""
    reader, metric = harken.pipeline("question-answering", str(run)), Squad()

    def rows(path: Path, most: int) -> np.ndarray:
        given, answers = [], []
        for whole, questions in paragraphs(path):
            for each in questions:
                places = sorted(ranked(each["question"], whole)[:most])
                given.append({"question": each["question"], "context": " ".join(whole[slice(*place)] for place in places)})
                answers.append([answer["text"] for answer in each["answers"]])
        said = reader(given)
        return np.array([metric.row(each["answer"], right) for each, right in zip(said, answers, strict=True)])

    most = max(SENTENCES, key=lambda each: metric.value(rows(right, each))[NAME])
    found = rows(asked, most)
    low, high = bootstrap(found, metric.value)[NAME]
    return {"sentences": most, "low": low, "high": high, **metric.value(found)}


def steps(lab: Lab) -> None:
    """Make questions, learn from them and from the real ones, match sentences."""
    folder, rng = lab.data("squad_subset"), random.Random(0)
    how: dict[str, Any] = {"task": "span", "optimizer": "muon", "learning_rate": 2e-3, "average": 0.99, "dropout": 0.1, "batch_size": 32}
    made_up = written(lab, "clozes.json", clozes(lab, folder / "train.json", text(lab, "train", mixed=False), rng))
    shown = written(lab, "clozes-valid.json", clozes(lab, folder / "dev.json", None, rng))
    lab.train("cloze", made_up, valid=shown, model=str(body(lab, "bert")), minutes=25.0, **how)
    trained = lab.train("bert", written(lab, "near.json", near(folder / "train.json", rng)), valid=str(folder / "dev.json"),
                        model=str(lab.run("cloze")), mend=True, minutes=30.0, **how)  # fmt: skip
    found = lab.do("test", harken.evaluate, lab.run("bert"), folder / "test_xquad.en.json", mend=True)
    few = lab.step("narrowed", lambda: narrowed(lab, lab.run("bert"), folder / "dev.json", folder / "test_xquad.en.json"))
    metrics, span = found["metrics"], found["intervals"][NAME]
    best = max(each[NAME] for each in found["baselines"].values())
    lab.found("fine-tuned: F1", metrics[NAME], low=span["low"], high=span["high"], least=best, minutes=lab.minutes(trained))
    lab.found("fine-tuned: exact match", metrics["exact_match"])
    lab.found("on the sentences that share most with the question: F1", few[NAME], low=few["low"], high=few["high"], least=best)
    lab.found("lower end of its interval above the best baseline", few["low"] - best, least=0.0)
    lab.note("Before, the body had read the questions masked, each with the sentence that answers it, instead of answering: F1 13.35.")
    lab.note(f"Sentences read then: {few['sentences']}, the best number on the validation set.")
    for name, each in found["baselines"].items():
        lab.found(f"{name}: F1", each[NAME])

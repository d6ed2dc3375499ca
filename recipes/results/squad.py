"""Questions on paragraphs: spans on the body that read books.

11,473 questions of SQuAD's own training articles to learn from, 1,559 on development articles to validate on, XQuAD's English 1,190 of
test; no paragraph is shared. That is an eighth of SQuAD: full-set figures (BiDAF 77.3 F1, BERT-base 88.5) are orientation. The body first
reads the questions to learn from, each with the sentence that answers it, masked: what is hidden in one often stands in the other. Beside:
names in the sentence that shares most with the question.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import harken
from harken.measure.sentences import spans
from harken.results.lab import Lab

from .pretraining import body

NAME = "f1"


def answered(lab: Lab, path: Path, name: str) -> Path:
    """A file with every question and the sentence that its first answer begins in, a line each."""
    found = lab.file(name)
    with open(found, "w", encoding="utf-8") as file:
        for article in json.loads(path.read_text("utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                text = paragraph["context"]
                for asked in paragraph["qas"]:
                    place = asked["answers"][0]["answer_start"]
                    begin, end = next(each for each in spans(text) if place < each[1])
                    file.write(" ".join(f"{asked['question']} {text[begin:end]}".split()) + "\n")
    return found


def steps(lab: Lab) -> None:
    """Read, fine-tune, match sentences."""
    folder = lab.data("squad_subset")
    how: dict[str, Any] = {"optimizer": "muon", "learning_rate": 2e-3, "average": 0.99, "dropout": 0.1, "batch_size": 32}
    lines = {part: answered(lab, folder / f"{part}.json", f"{part}.txt") for part in ("train", "dev")}
    lab.train("adapted", lines["train"], valid=str(lines["dev"]), model=str(body(lab, "bert")), task="masked-language-modeling",
              examples="lines", whole_word=True, mask_rate=0.25, overflow="truncate", minutes=10.0, **how)  # fmt: skip
    trained = lab.train("bert", folder / "train.json", valid=str(folder / "dev.json"), model=str(lab.run("adapted")), task="span",
                        mend=True, minutes=30.0, **how)  # fmt: skip
    found = lab.do("test", harken.evaluate, lab.run("bert"), folder / "test_xquad.en.json", mend=True)
    metrics, span = found["metrics"], found["intervals"][NAME]
    best = max(each[NAME] for each in found["baselines"].values())
    lab.found("fine-tuned: F1", metrics[NAME], low=span["low"], high=span["high"], least=best, minutes=lab.minutes(trained))
    lab.found("fine-tuned: exact match", metrics["exact_match"])
    lab.found("lower end of its interval above the best baseline", span["low"] - best, least=0.0)
    for name, each in found["baselines"].items():
        lab.found(f"{name}: F1", each[NAME])

"""Questions on paragraphs: spans on the body that read books.

11,473 questions of SQuAD's own training articles to learn from, 1,559 on development articles to validate on, XQuAD's English 1,190 of
test; no paragraph is shared. That is an eighth of SQuAD: full-set figures (BiDAF 77.3 F1, BERT-base 88.5) are orientation. Beside: names
in the sentence that shares most with the question, and the same network from scratch.
"""

from __future__ import annotations

from typing import Any

import harken
from harken.results.lab import Lab

from .pretraining import body

NAME = "f1"


def steps(lab: Lab) -> None:
    """Fine-tune, from scratch, match sentences."""
    folder, known = lab.data("squad_subset"), body(lab, "bert")
    same: dict[str, Any] = {"valid": str(folder / "dev.json"), "task": "span", "average": 0.99, "optimizer": "adamw", "batch_size": 32,
                            "dropout": 0.1, "mend": True, "minutes": 30.0}  # fmt: skip
    size = {"model": "bert", "tokenizer": str(known), "context": 128, "width": 256, "layers": 6, "heads": 8}
    ways: dict[str, dict[str, Any]] = {
        "pretrained": {"model": str(known), "learning_rate": 5e-4},
        "scratch": {**size, "learning_rate": 1e-3},
    }
    for way, options in ways.items():
        trained = lab.train(way, folder / "train.json", **same, **options)
        found = lab.do(f"{way}-test", harken.evaluate, lab.run(way), folder / "test_xquad.en.json", mend=True)
        metrics, span = found["metrics"], found["intervals"][NAME]
        best = max(each[NAME] for each in found["baselines"].values())
        facts = {"low": span["low"], "high": span["high"], "minutes": lab.minutes(trained)}
        lab.found(f"{way}: F1", metrics[NAME], **facts, least=best if way == "pretrained" else None)
        lab.found(f"{way}: exact match", metrics["exact_match"])
        if way == "pretrained":
            lab.found("lower end of its interval above the best baseline", span["low"] - best, least=0.0)
            for name, each in found["baselines"].items():
                lab.found(f"{name}: F1", each[NAME])

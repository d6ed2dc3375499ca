"""Questions on paragraphs: spans on the body that read books.

11,473 questions of SQuAD's own training articles to learn from, 1,559 on development articles to validate on, XQuAD's English 1,190 of
test; no paragraph is shared. That is an eighth of SQuAD: full-set figures (BiDAF 77.3 F1, BERT-base 88.5) are orientation. Beside: names
in the sentence that shares most with the question.
"""

from __future__ import annotations

import harken
from harken.results.lab import Lab

from .pretraining import body

NAME = "f1"


def steps(lab: Lab) -> None:
    """Fine-tune, match sentences."""
    folder, known = lab.data("squad_subset"), body(lab, "bert")
    trained = lab.train("bert", folder / "train.json", valid=str(folder / "dev.json"), model=str(known), task="span", mend=True,
                        optimizer="muon", learning_rate=2e-3, average=0.99, dropout=0.1, batch_size=32, minutes=15.0)  # fmt: skip
    found = lab.do("test", harken.evaluate, lab.run("bert"), folder / "test_xquad.en.json", mend=True)
    metrics, span = found["metrics"], found["intervals"][NAME]
    best = max(each[NAME] for each in found["baselines"].values())
    lab.found("fine-tuned: F1", metrics[NAME], low=span["low"], high=span["high"], least=best, minutes=lab.minutes(trained))
    lab.found("fine-tuned: exact match", metrics["exact_match"])
    lab.found("lower end of its interval above the best baseline", span["low"] - best, least=0.0)
    for name, each in found["baselines"].items():
        lab.found(f"{name}: F1", each[NAME])

"""How alike two sentences are: the body that read books, fine-tuned on scores.

STS-B: 5,749 pairs with scores from 0 to 5 to learn from, 1,500 to validate on, 1,379 of test; Spearman's correlation. Beside: the cosine
of TF-IDF. The mean of GloVe's vectors has 58.0, sentences from a BERT that knows inference 77.0 (Reimers and Gurevych 2019,
https://arxiv.org/abs/1908.10084).
"""

from __future__ import annotations

import json
from pathlib import Path

import harken
from harken.results.lab import Lab

from .pretraining import body


def pairs(lab: Lab, part: str) -> Path:
    """A file of pairs with their scores, from 0 to 1; further columns of some rows are left out."""
    path = lab.file(f"{part}.jsonl")
    lines = (lab.data("stsb") / f"sts-{part}.csv").read_text("utf-8").splitlines()
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            score, one, two = line.split("\t")[4:7]
            file.write(json.dumps({"sentence1": one, "sentence2": two, "score": float(score) / 5}) + "\n")
    return path


def steps(lab: Lab) -> None:
    """Fine-tune, measure."""
    known = body(lab, "bert")
    files = {part: pairs(lab, part) for part in ("train", "dev", "test")}
    trained = lab.train("bert", files["train"], valid=str(files["dev"]), model=str(known), task="similarity", overflow="truncate",
                        optimizer="muon", learning_rate=1e-3, average=0.99, dropout=0.1, batch_size=32, minutes=5.0)  # fmt: skip
    found = lab.do("test", harken.evaluate, lab.run("bert"), files["test"], overflow="truncate")
    span = found["intervals"]["spearman"]
    best = max(each["spearman"] for each in found["baselines"].values())
    lab.found("fine-tuned: Spearman", found["metrics"]["spearman"], low=span["low"], high=span["high"], least=best,
              beside="0.58 (mean of GloVe)", minutes=lab.minutes(trained))  # fmt: skip
    for name, each in found["baselines"].items():
        lab.found(f"{name}: Spearman", each["spearman"])

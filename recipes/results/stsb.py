"""How alike two sentences are: the body that read books, fine-tuned on scores.

STS-B: 5,749 pairs with scores from 0 to 5 to learn from, 1,500 to validate on, 1,379 of test; Spearman's correlation. The body first reads
the pairs to learn from, masked, without their scores: what is hidden in one sentence often stands in the other. Then it reads both at once
and learns the score. The mixture adds the cosine of TF-IDF, with the weight that is best on the validation set. Beside: that cosine alone.
The mean of GloVe's vectors has 58.0, sentences from a BERT that knows inference 77.0 (Reimers and Gurevych 2019,
https://arxiv.org/abs/1908.10084).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import harken
from harken.measure.baselines.similarity import tf_idf
from harken.measure.metrics.correlation import Correlation
from harken.measure.resample import bootstrap
from harken.results.lab import Lab

from .pretraining import body

PARTS = ("train", "dev", "test")
WEIGHTS = [w / 20 for w in range(61)]
BOTH = "text=sentence1,text2=sentence2,score=score"


def rows(lab: Lab, part: str) -> list[tuple[str, str, float]]:
    """Pairs with their scores, from 0 to 1; further columns of some rows are left out."""
    lines = (lab.data("stsb") / f"sts-{part}.csv").read_text("utf-8").splitlines()
    cells = (line.split("\t")[4:7] for line in lines)
    return [(one, two, float(score) / 5) for score, one, two in cells]


def written(lab: Lab) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files of the pairs with their scores, and of the pairs alone, a line each."""
    scored = {part: lab.file(f"{part}.jsonl") for part in PARTS}
    alone = {part: lab.file(f"{part}.txt") for part in PARTS[:2]}
    for part in PARTS:
        found = rows(lab, part)
        lines = (json.dumps({"sentence1": one, "sentence2": two, "score": score}) for one, two, score in found)
        scored[part].write_text("\n".join(lines) + "\n", "utf-8")
        if part in alone:
            alone[part].write_text("".join(f"{one} {two}\n" for one, two, _ in found), "utf-8")
    return scored, alone


def mixed(lab: Lab, run: Path) -> dict[str, Any]:
    """Spearman on the test set of the run and TF-IDF, with the weight that is best on the validation set."""
    judge = harken.pipeline("text-classification", str(run))

    def sides(part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = rows(lab, part)
        weights = tf_idf(text for one, two, _ in found for text in (one, two))
        said = judge([{"text": one, "text_pair": two} for one, two, _ in found])
        return (np.array([each["score"] for each in said]), np.array([weights.similarity(one, two) for one, two, _ in found]),
                np.array([score for *_, score in found]))  # fmt: skip

    metric = Correlation()
    said, shared, scores = sides("dev")
    weight = max(WEIGHTS, key=lambda each: metric.value(np.stack([said + each * shared, scores], 1))["spearman"])
    said, shared, scores = sides("test")
    both, counted = np.stack([said + weight * shared, scores], 1), np.stack([shared, scores], 1)
    low, high = bootstrap(both, metric.value)["spearman"]
    value, beside = (metric.value(each)["spearman"] for each in (both, counted))
    return {"weight": weight, "value": value, "low": low, "high": high, "counts": beside}


def steps(lab: Lab) -> None:
    """Read, fine-tune, measure."""
    scored, alone = written(lab)
    how: dict[str, Any] = {"overflow": "truncate", "optimizer": "muon", "average": 0.99, "dropout": 0.1, "batch_size": 32}
    lab.train("adapted", alone["train"], valid=str(alone["dev"]), model=str(body(lab, "bert")), task="masked-language-modeling",
              examples="lines", whole_word=True, mask_rate=0.25, learning_rate=2e-3, minutes=4.0, **how)  # fmt: skip
    trained = lab.train("bert", scored["train"], valid=str(scored["dev"]), model=str(lab.run("adapted")), task="classification",
                        columns=BOTH, best="spearman", learning_rate=1e-3, minutes=5.0, **how)  # fmt: skip
    found = lab.do("test", harken.evaluate, lab.run("bert"), scored["test"], columns=BOTH, overflow="truncate")
    span = found["intervals"]["spearman"]
    both = lab.step("mixed", lambda: mixed(lab, lab.run("bert")))
    lab.found("fine-tuned: Spearman", found["metrics"]["spearman"], low=span["low"], high=span["high"], least=both["counts"],
              beside="0.58 (mean of GloVe)", minutes=lab.minutes(trained))  # fmt: skip
    lab.found("fine-tuned with TF-IDF: Spearman", both["value"], low=both["low"], high=both["high"], least=both["counts"])
    lab.found("TF-IDF: Spearman", both["counts"])
    lab.note(f"The weight of TF-IDF is {both['weight']:g}.")

"""Names in Wikipedia's sentences: token classification on the body that read books.

WikiANN, English: 20,000 sentences to learn from, 10,000 to validate on, 10,000 of test; F1 of whole entities as seqeval counts them.
Beside: the tag that each word has most often in training. Multilingual BERT has about 84.
"""

from __future__ import annotations

from pathlib import Path

import harken
from harken.results.lab import Lab

from .pretraining import body

PARTS = ("train", "dev", "test")


def stripped(lab: Lab) -> dict[str, Path]:
    """The files without the language in front of each token."""
    paths = {part: lab.file(f"{part}.conll") for part in PARTS}
    for part, path in paths.items():
        if not path.is_file():
            lines = (lab.data("wikiann_en") / f"{part}.txt").read_text("utf-8").splitlines()
            path.write_text("\n".join(line.removeprefix("en:") for line in lines) + "\n", "utf-8")
    return paths


def steps(lab: Lab) -> None:
    """Fine-tune, count."""
    paths, known = stripped(lab), body(lab, "bert")
    trained = lab.train("bert", paths["train"], valid=str(paths["dev"]), model=str(known), task="token-classification", mend=True,
                        optimizer="muon", learning_rate=2e-3, average=0.99, dropout=0.1, batch_size=32,
                        minutes=8.0)  # fmt: skip
    found = lab.do("test", harken.evaluate, lab.run("bert"), paths["test"], mend=True)
    name, span = found["main"], found["intervals"][found["main"]]
    lab.found("fine-tuned: entity F1, %", 100 * found["metrics"][name], low=100 * span["low"], high=100 * span["high"], least=65.0,
              beside="70 is the goal; 84 (multilingual BERT)", minutes=lab.minutes(trained))  # fmt: skip
    for baseline, metrics in found["baselines"].items():
        lab.found(f"{baseline}: entity F1, %", 100 * metrics[name], beside="21.8 (dictionary)")

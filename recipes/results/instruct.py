"""Answers to instructions, from the decoder that read books.

6,190 open instructions (most of Dolly) to learn from, 300 to validate on, 300 of test, of which 200 are answered: of 16 answers that are
drawn the one that the others share most with, no three tokens of it twice. That, its temperature and the dropout were chosen on the
validation set with another base. Only what the assistant says is learned. Beside: the base, asked in plain text, and the nearest training
answer.
"""

from __future__ import annotations

import harken
from harken.results.lab import Lab

from .pretraining import body

ANSWERS = 200


def steps(lab: Lab) -> None:
    """Fine-tune, answer, measure."""
    folder, base = lab.data("instruct"), body(lab, "llama")
    trained = lab.train("instruct", folder / "open_train.jsonl", valid=str(folder / "open_valid.jsonl"), task="instruct", model=str(base),
                        overflow="truncate", optimizer="muon", learning_rate=1e-3, dropout=0.2, batch_size=16, minutes=15.0)  # fmt: skip
    found = lab.do("test", harken.evaluate, lab.run("instruct"), folder / "open_test.jsonl", answers=4 if lab.tiny else ANSWERS,
                   no_repeat_ngram_size=3, temperature=0.5, consensus=2 if lab.tiny else 16, against=str(base))  # fmt: skip
    beside, metrics, nearest = found["against"], found["metrics"], found["baselines"]["nearest training answer"]
    loss, rouge = beside["loss"], beside["rougeL"]
    lab.found("nats per token of the right answers", loss["value"], most=loss["other"], minutes=lab.minutes(trained))
    lab.found("the base's", loss["other"])
    lab.found("answers that end by themselves, %", 100 * metrics["ends"], least=95.0)
    lab.found("empty answers, %", 100 * metrics["empty"], most=0.0)
    lab.found("median length beside the right answer's", metrics["length_ratio"], least=0.5, most=2.0)
    span = found["intervals"]["rougeL"]
    lab.found("ROUGE-L", rouge["value"], low=span["low"], high=span["high"], least=max(rouge["other"], nearest["rougeL"]))
    lab.found("the base's ROUGE-L", rouge["other"])
    lab.found("ROUGE-L of the nearest training answer", nearest["rougeL"])

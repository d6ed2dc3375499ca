"""Questions on fairy tales: answers in one's own words, text to text after filling gaps in books.

8,548 questions on 232 stories to learn from, 1,025 on 23 others to validate on, 1,007 on 23 more of test; the sections a question is
about are its context, of which the sentences are read that share most with it, up to 110 words. Before it sees these questions the T5 has
learned to look up phrases and sentences of books (`copying`). ROUGE-L, the best over the answers of each (Xu et al. 2022,
https://arxiv.org/abs/2203.13947: BART fine-tuned 0.53, people 0.64). Beside: the sentence, and the names in it, that share most with the
question.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import harken
from harken.measure.baselines.reading import best_name, best_sentence, ranked
from harken.measure.resample import paired
from harken.results.lab import Lab

from .copying import ROOM, reader
from .scitldr import MAIN, told

PARTS = ("train", "val", "test")


def questions(folder: Path, part: str) -> list[dict[str, Any]]:
    """`question`, `context` and `answers` of each."""

    def lines(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (folder / f"{name}_{part}.jsonl").read_text("utf-8").splitlines()]

    stories = {row["story"]: row["sections"] for row in lines("stories")}
    return [{**row, "context": " ".join(stories[row["story"]][each] for each in row["sections"])} for row in lines("questions")]


def asked(row: dict[str, Any]) -> str:
    """A question with the sentences that share most with it, in their order."""
    context, kept, left = row["context"], [], ROOM
    for begin, end in ranked(row["question"], context):
        left -= len(context[begin:end].split())
        if kept and left < 0:
            break
        kept.append((begin, end))
    return " ".join([row["question"], *(context[begin:end] for begin, end in sorted(kept))])


def pairs(lab: Lab, part: str) -> Path:
    """A file of questions and their first answers."""
    path = lab.file(f"{part}.jsonl")
    rows = ({"source": asked(row), "target": row["answers"][0]} for row in questions(lab.data("fairytaleqa"), part))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def measured(lab: Lab, run: Path) -> dict[str, Any]:
    """ROUGE of a run's four beams and of matching words, and the paired test against the better of these."""
    test = questions(lab.data("fairytaleqa"), "test")
    references = [row["answers"] for row in test]
    writer = harken.pipeline("text2text-generation", str(run), num_beams=4, max_new_tokens=40, truncation=True)
    answers = [each["generated_text"] for each in writer([asked(row) for row in test])]
    ways = {"model": answers, "sentence": [best_sentence(row["question"], row["context"]).text for row in test],
            "name": [best_name(row["question"], row["context"]).text for row in test]}  # fmt: skip
    tallies = {name: told(some, references) for name, some in ways.items()}
    values = {name: tally.value() for name, tally in tallies.items()}
    best = max(("sentence", "name"), key=lambda name: values[name][MAIN])
    gap = paired(tallies[best].rows, tallies["model"].rows, tallies["model"].metric.value)[MAIN]
    return {"values": values, "intervals": tallies["model"].intervals(), "gap": [gap.size, gap.low, gap.high], "best": best}


def steps(lab: Lab) -> None:
    """Fine-tune, answer, measure."""
    known = reader(lab)
    files = {part: pairs(lab, part) for part in PARTS[:2]}
    trained = lab.train("t5", files["train"], valid=str(files["val"]), model=str(known), task="text2text", overflow="truncate",
                        optimizer="muon", learning_rate=1e-3, average=0.99, dropout=0.1, batch_size=32, minutes=40.0)  # fmt: skip
    found = lab.step("rouge", lambda: measured(lab, lab.run("t5")))
    low, high = found["intervals"][MAIN]
    lab.found(
        f"fine-tuned: {MAIN}",
        found["values"]["model"][MAIN],
        low=low,
        high=high,
        minutes=lab.minutes(trained),
        beside="0.53 (BART), 0.64 (people)",
    )
    size, low, high = found["gap"]
    lab.found(f"{MAIN} above that of the matched {found['best']}", size, low=low, high=high, least=0.0)
    for name in ("sentence", "name"):
        lab.found(f"matched {name}: {MAIN}", found["values"][name][MAIN])

"""From a model that goes on to one that answers: fine-tune it on instructions, and measure its answers beside what takes no effort.

`python recipes/instruct.py DATA --base RUN --out runs/instruct` takes a folder with open_train.jsonl, open_valid.jsonl and open_test.jsonl
(instruction, input, output) and a run that learned to go on from texts; without --base it trains one on the same texts first. Reported are,
on the test instructions, the loss of the right answers, and of the model's own: how many end by themselves, how many are empty, how long
they are beside the right ones (median), and ROUGE-L, beside the base's and those of the nearest training answer. The base is asked in plain
text. No three tokens stand in an answer twice, as a small model that always takes the likeliest token goes round in circles. `--tiny` takes seconds, brings its own few instructions, and shows nothing but that it runs.

Wei et al. 2021, https://arxiv.org/abs/2109.01652 · Ouyang et al. 2022, https://arxiv.org/abs/2203.02155
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import harken

ENDS, SHORTEST, LONGEST = 0.95, 0.5, 2.0


def tiny(folder: Path) -> Path:
    """A few instructions that need no reading: name the colour of a thing."""
    colours = {"snow": "white", "coal": "black", "grass": "green", "blood": "red"}
    rows = [
        {"instruction": f"Which colour, {n}?", "input": thing, "output": f"It is {colours[thing]}."} for n in range(30) for thing in colours
    ]
    for name, some in (("train", rows[:-16]), ("valid", rows[-16:-8]), ("test", rows[-8:])):
        (folder / f"open_{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some), "utf-8")
    return folder


def pretrained(data: Path, out: Path, **size) -> str:
    """A model that goes on from the texts of the training instructions."""
    rows = [json.loads(line) for line in (data / "open_train.jsonl").read_text("utf-8").splitlines()]
    texts = out / "texts.jsonl"
    said = ("\n\n".join(filter(None, (row["instruction"], row["input"], row["output"]))) for row in rows)
    texts.write_text("".join(json.dumps({"text": each}) + "\n" for each in said), "utf-8")
    run = harken.train(
        str(texts), model="gpt2", tokenizer="bpe", examples="lines", overflow="truncate", out=str(out / "base"), overwrite=True, **size
    )
    return run.run


def main() -> None:
    """Train, measure, say what holds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("runs/instruct"))
    parser.add_argument("--base")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--no-repeat-ngram-size", type=int, default=3)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    data = asked.data or (tiny(asked.out) if asked.tiny else parser.error("name the folder of the data"))
    small = {"width": 16, "layers": 1, "heads": 1, "vocab_size": 300, "context": 96, "steps": 4}
    size = small if asked.tiny else {"width": 256, "layers": 6, "heads": 4, "vocab_size": 8192, "context": 256, "minutes": asked.minutes}
    base = asked.base or pretrained(data, asked.out, **size)
    budget = (
        {"steps": 4}
        if asked.tiny
        else {
            "minutes": asked.minutes,
            "optimizer": "muon",
            "learning_rate": asked.learning_rate,
            "batch_size": 16,
        }
    )
    run = harken.train(
        str(data / "open_train.jsonl"),
        valid=str(data / "open_valid.jsonl"),
        task="instruct",
        model=base,
        overflow="truncate",
        out=str(asked.out / "run"),
        overwrite=True,
        **budget,
    )
    found = harken.evaluate(
        run.run,
        str(data / "open_test.jsonl"),
        answers=asked.answers,
        no_repeat_ngram_size=asked.no_repeat_ngram_size,
        against=base,
    )
    (asked.out / "results.json").write_text(json.dumps(dataclasses.asdict(found), indent=2) + "\n", "utf-8")
    nearest, beside = found.baselines["nearest training answer"], found.against or {}
    for name in ("loss", "bits_per_byte", "rougeL", "ends", "empty", "length_ratio"):
        span, other = found.intervals[name], beside[name]
        line = {"metric": name, "model": other["value"], "low": span["low"], "high": span["high"], "base": other["other"], "p": other["p"]}
        print(json.dumps(line | ({"nearest": nearest[name]} if name in nearest else {})), flush=True)
    number = found.metrics
    checks = {
        "the loss falls against the base": beside["loss"]["value"] < beside["loss"]["other"],
        f"{ENDS:.0%} of the answers end by themselves": number["ends"] >= ENDS,
        "none is empty": number["empty"] == 0,
        f"the median length is {SHORTEST} to {LONGEST} of the right one": SHORTEST <= number["length_ratio"] <= LONGEST,
        "ROUGE-L is above the base's": beside["rougeL"]["value"] > beside["rougeL"]["other"],
        "ROUGE-L is above the nearest training answer's": number["rougeL"] > nearest["rougeL"],
    }
    print(json.dumps({name: bool(holds) for name, holds in checks.items()}))


if __name__ == "__main__":
    main()

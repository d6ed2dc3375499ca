"""makemore's names, its own protocol (seed 3407, last 1,000 names are the test): `python bench/names.py names.txt --minutes 1 --seeds 3`.

Nats per character, the stop included. Sizes, stopping and weights come from a hold-out of the other names; the test is read once,
at the end. Beside it the loss on those test names that do not occur among the others.
Published: the makemore Transformer 1.92 (README); its script run unchanged for about 5 minutes 1.9655 at best, chosen on the test.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

import harken
from harken.data.corpus import Corpus
from harken.data.split import split


def main() -> None:
    """Train each model for the same time with each seed; print every result and the means."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", type=Path)
    parser.add_argument("--models", default="ngram,llama,mixture")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--width", type=int)
    parser.add_argument("--only-held-out", action="store_true", help="do not read the test names (to choose settings)")
    asked = parser.parse_args()
    words = asked.names.read_text("utf-8").split("\n")
    words = [word.strip() for word in words if word.strip()]
    torch.manual_seed(3407)
    order = torch.randperm(len(words)).tolist()
    rest, test = [words[i] for i in order[:-1000]], [words[i] for i in order[-1000:]]
    known = set(rest)
    train, valid = split(Corpus(rest, "lines", "names"), 0.05)
    for model in asked.models.split(","):
        found = []
        for seed in range(asked.seeds):
            with tempfile.TemporaryDirectory() as folder:
                files = {}
                for name, texts in (
                    ("train", train.texts),
                    ("valid", valid.texts),
                    ("test", test),
                    ("new", [w for w in test if w not in known]),
                ):
                    files[name] = str(Path(folder) / f"{name}.txt")
                    Path(files[name]).write_text("\n".join(texts) + "\n", "utf-8")
                options = {"dropout": asked.dropout, "width": asked.width, "minutes": asked.minutes, "seed": seed, "examples": "lines"}
                run = str(Path(folder) / "run")
                trained = harken.train(files["train"], valid=files["valid"], out=run, model=model, **options)
                line = f"{model} seed {seed}: {trained.seconds:.0f} s, held out {trained.loss:.4f}"
                if not asked.only_held_out:
                    loss, new = (harken.evaluate(run, files[name]).loss for name in ("test", "new"))
                    found.append((loss, new))
                    line += f", test {loss:.4f}, new names {new:.4f}"
                print(line, flush=True)
        if found:
            means = [statistics.fmean(column) for column in zip(*found, strict=True)]
            print(f"{model}: mean of {len(found)} seeds: test {means[0]:.4f}, new names {means[1]:.4f}", flush=True)


if __name__ == "__main__":
    main()

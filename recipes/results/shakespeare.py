"""Tiny Shakespeare, characters, five minutes on two cores: nanoGPT's figure from a GPU.

The first 90 % of the text to learn from, the last 10 %, 111,540 characters, measured whole, each character once and with at least 192
before it. The mixture weighs a decoder and Kneser-Ney counts. It reads the text as 200 pieces, counts all of them, and holds every tenth
out of the decoder's learning, to choose its best step and to weigh the two: the last pages before the measured part are worth much
(without the last 2 % counts have 1.586 in place of 1.517). Nothing was chosen on the measured part. nanoGPT
(https://github.com/karpathy/nanoGPT) gives 1.4697 nats per character for its network of 10.7 million parameters on a GPU, as the best of
its measurements on random parts of the same text, and 1.88 for 3 minutes on a CPU.
"""

from __future__ import annotations

import statistics

import harken
from harken.results.lab import Lab

SEEDS = (0, 1, 2)
PIECES = 200
BETWEEN = "\n<|endoftext|>\n"


def split(lab: Lab) -> tuple[str, str, str]:
    """Files: what is learned, in pieces; one of these, whose loss is shown meanwhile; what is measured."""
    text = (lab.data("tinyshakespeare") / "input.txt").read_text("utf-8")
    cut = int(0.9 * len(text))
    speeches = text[:cut].split("\n\n")
    size = max(1, len(speeches) // PIECES)
    pieces = ["\n\n".join(speeches[at : at + size]) for at in range(0, len(speeches), size)]
    parts = {"train.txt": BETWEEN.join(pieces), "shown.txt": pieces[-1], "valid.txt": text[cut:]}
    for name, part in parts.items():
        lab.file(name).write_bytes(part.encode())
    return str(lab.file("train.txt")), str(lab.file("shown.txt")), str(lab.file("valid.txt"))


def nats(run: str, path: str, stride: int) -> float:
    """Per character of a file, read whole."""
    found = harken.score(run, path=path, stride=stride)[0]
    return -found.total / found.tokens


def steps(lab: Lab) -> None:
    """Three seeds of the mixture; the counts alone."""
    train, shown, valid = split(lab)
    context = 32 if lab.tiny else 256
    losses, runs = [], []
    for seed in SEEDS[:1] if lab.tiny else SEEDS:
        name = f"mixture-{seed}"
        runs.append(lab.train(name, train, valid=shown, examples="running", tokenizer="char", model="mixture", parts="llama,ngram",
                              context=context, width=128, layers=6, heads=4, dropout=0.1, average=0.998, minutes=5.0,
                              learning_rate=0.00283, seed=seed))  # fmt: skip
        losses.append(lab.step(f"{name}-loss", lambda name=name: nats(str(lab.run(name)), valid, context // 4)))
        lab.found(f"mixture, seed {seed}: nats per character", losses[-1], most=1.4697, beside="1.4697 (nanoGPT, GPU)",
                  minutes=lab.minutes(runs[-1]))  # fmt: skip
    lab.found("mixture, median of the seeds", statistics.median(losses), low=min(losses), high=max(losses))
    lab.train("ngram", train, valid=shown, examples="running", tokenizer="char", model="ngram", order=7)
    counted = lab.step("ngram-loss", lambda: nats(str(lab.run("ngram")), valid, context // 4))
    lab.found("Kneser-Ney counts alone, 7-grams", counted, beside="1.5164 (7-grams)")
    lab.note("The interval of the median is the range of the seeds.")

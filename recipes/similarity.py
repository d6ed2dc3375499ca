"""Sentences as vectors, near each other where they mean the same: pairs that belong together are told from all others of the batch.

`python recipes/similarity.py train.jsonl --test test.jsonl --minutes 10`, where each line has `sentence1`, `sentence2` and `score` (of
likeness), or `query` and `positive`, trains a small BERT and tells the correlation of its cosines with the scores. `--tiny` takes seconds.

Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084 · Henderson et al. 2017, https://arxiv.org/abs/1705.00652
"""

from __future__ import annotations

import random

from common import DOES, WHERE, WHO, ask, line, measure, tell

import harken


def pair(rng: random.Random) -> str:
    """Two sentences, of the same animal or of two."""
    one, two = rng.choice(WHO), rng.choice(WHO)
    first, second = (f"the {who} {rng.choice(DOES)} by the {rng.choice(WHERE)}" for who in (one, two))
    return line(sentence1=first, sentence2=second, score=5.0 if one == two else rng.choice([0.0, 1.0]))


def main() -> None:
    """Train, measure, ask."""
    asked = ask(__doc__, "pairs.jsonl", pair)
    run = asked.out / "bert"
    harken.train(asked.data, model="bert", task="similarity", out=str(run), overwrite=True, overflow="truncate", **asked.train)
    measure(run, asked, overflow="truncate")
    alike = harken.pipeline("sentence-similarity", str(run))
    others = ["the fox waits by the road", "the owl sings by the barn"]
    tell(found=alike({"source_sentence": "the fox sleeps by the river", "sentences": others}))


if __name__ == "__main__":
    main()

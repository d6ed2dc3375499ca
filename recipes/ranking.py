"""Which text answers a query: a model reads query and text together and gives them a score (a cross-encoder).

`python recipes/ranking.py train.jsonl --test test.jsonl --minutes 10`, where each line has `query`, `positive` and `negative` (one text
or a list), trains a small BERT on whole lists, and tells MRR, nDCG and hits@k. `--ranking-loss` of `harken train` has the pairwise and
pointwise losses. `--tiny` takes seconds.

Nogueira and Cho 2019, https://arxiv.org/abs/1901.04085 · Cao et al. 2007, "Learning to rank: from pairwise approach to listwise approach"
"""

from __future__ import annotations

import random

from common import WHERE, WHO, ask, line, measure, tell

import harken


def query(rng: random.Random) -> str:
    """The text that speaks of the animal is right."""
    who, *others = rng.sample(WHO, 4)
    return line(
        query=f"where is the {who}",
        positive=f"the {who} is by the {rng.choice(WHERE)}",
        negative=[f"the {other} is by the {rng.choice(WHERE)}" for other in others],
    )


def main() -> None:
    """Train, measure, ask."""
    asked = ask(__doc__, "queries.jsonl", query)
    run = asked.out / "bert"
    harken.train(asked.data, model="bert", task="ranking", out=str(run), overwrite=True, overflow="truncate", **asked.train)
    measure(run, asked, overflow="truncate")
    rank = harken.pipeline("ranking", str(run))
    tell(found=rank(query="where is the fox", documents=["the owl is by the barn", "the fox is by the river"]))


if __name__ == "__main__":
    main()

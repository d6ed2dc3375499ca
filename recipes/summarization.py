"""A long text in a few words: an encoder-decoder that learns from documents and their summaries.

`python recipes/summarization.py train.jsonl --test test.jsonl --minutes 15`, where each line has `document` and `summary` (or others:
`--columns source=article,target=highlights`), trains a small BART from scratch, writes a summary of every test document and tells ROUGE
beside that of the first sentences. From scratch little can be learned: `harken train train.jsonl --model facebook/bart-base --columns
source=document,target=summary` begins from a checkpoint. `--tiny` takes seconds.

Lewis et al. 2019, https://arxiv.org/abs/1910.13461 · Lin 2004, https://aclanthology.org/W04-1013
"""

from __future__ import annotations

import dataclasses
import random

from common import ask, line, measure, sentence, tell

import harken

COLUMNS = {"columns": "source=document,target=summary"}


def document(rng: random.Random) -> str:
    """Three sentences; the first says it all."""
    first = sentence(rng)
    return line(document=f"{first}. {sentence(rng)}. {sentence(rng)}.", summary=f"{first}.")


def main() -> None:
    """Train, summarise, measure."""
    asked = ask(__doc__, "documents.jsonl", document)
    run = asked.out / "bart"
    asked = dataclasses.replace(asked, read=COLUMNS | asked.read, train=COLUMNS | asked.train)
    harken.train(asked.data, model="bart", out=str(run), overwrite=True, overflow="truncate", **asked.train)
    measure(run, asked, metrics="rouge", overflow="truncate")
    summarize = harken.pipeline("summarization", str(run), max_new_tokens=30, truncation=True)
    tell(found=summarize("the fox sleeps by the river. the owl sings by the barn. the cat reads by the road."))


if __name__ == "__main__":
    main()

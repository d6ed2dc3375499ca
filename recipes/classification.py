"""Which label a text deserves: two classifiers from scratch, an LSTM and a Transformer, beside naive Bayes and the most frequent label.

`python recipes/classification.py reviews.tsv --test test.tsv --minutes 5`, where the files have the columns `text` and `label`. The second
model is tested against the first on the same examples. `--tiny` takes seconds. To begin from a checkpoint instead:
`harken train reviews.tsv --model distilbert/distilbert-base-uncased --task classification`.

Devlin et al. 2018, https://arxiv.org/abs/1810.04805 · Wang and Manning 2012, https://aclanthology.org/P12-2018
"""

from __future__ import annotations

import random

from common import ask, line, measure, tell

import harken


def review(rng: random.Random) -> str:
    """A text that a word decides."""
    good = rng.random() < 0.5
    word = rng.choice(["good", "great"] if good else ["bad", "dull"])
    return line(text=f"a {word} {rng.choice(['film', 'story', 'play'])} of its kind", label="pos" if good else "neg")


def main() -> None:
    """Train both, measure, ask."""
    asked = ask(__doc__, "reviews.jsonl", review)
    for model in ("lstm", "bert"):
        run = asked.out / model
        data = {"task": "classification", "overflow": "truncate", "out": str(run), "overwrite": True}
        trained = harken.train(asked.data, model=model, **data, **asked.train)
        tell(model=model, held_out=trained.metrics)
    measure(asked.out / "bert", asked, against=str(asked.out / "lstm"), overflow="truncate")
    classify = harken.pipeline("text-classification", str(asked.out / "bert"))
    tell(asked="a great play", found=classify("a great play"))


if __name__ == "__main__":
    main()

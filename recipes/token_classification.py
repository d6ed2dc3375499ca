"""Names in sentences: a tag for every word, entities of several words, beside looking every word up in the training data.

`python recipes/token_classification.py train.conll --test test.conll --minutes 5` trains a small BERT from scratch and tells precision,
recall and F1 of whole entities. `--tiny` takes seconds. To begin from a checkpoint: `harken train train.conll --model
google-bert/bert-base-cased --task token-classification`.

Tjong Kim Sang and De Meulder 2003, https://arxiv.org/abs/cs/0306050 · Devlin et al. 2018, https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

import random

from common import ask, measure, tell

import harken

PEOPLE, PLACES = ("Ada Lovelace", "Bob", "Cleo Hart"), ("Paris", "New York", "Oslo")


def tagged(words: str, kind: str) -> str:
    """Words, a line each, as one entity of this kind."""
    return "".join(f"{word} {'I' if i else 'B'}-{kind}\n" for i, word in enumerate(words.split()))


def sentence(rng: random.Random) -> str:
    """Someone is somewhere."""
    verb = rng.choice(["lives", "works", "waits"])
    return f"{tagged(rng.choice(PEOPLE), 'PER')}{verb} O\nin O\n{tagged(rng.choice(PLACES), 'LOC')}. O\n\n"


def main() -> None:
    """Train, measure, ask."""
    asked = ask(__doc__, "names.conll", sentence)
    run = asked.out / "bert"
    harken.train(asked.data, model="bert", task="token-classification", out=str(run), overwrite=True, overflow="window", **asked.train)
    measure(run, asked)
    find = harken.pipeline("ner", str(run), aggregation_strategy="simple")
    tell(asked="Ada Lovelace works in Paris.", found=find("Ada Lovelace works in Paris."))


if __name__ == "__main__":
    main()

"""A language model on a text of your own, such as a file of poems, beside what counting words of the same text achieves.

`python recipes/poems.py poems.txt --test more.txt --minutes 5` trains a Transformer (LLaMA's) and a Kneser-Ney n-gram model, tells their
bits per byte on the text they have not seen, and lets the Transformer write three beginnings of its own. `--tiny` takes seconds.

Bengio et al. 2003, https://www.jmlr.org/papers/v3/bengio03a.html · Radford et al. 2018, "Improving Language Understanding by Generative
Pre-Training" · Touvron et al. 2023, https://arxiv.org/abs/2302.13971
"""

from __future__ import annotations

import random

from common import ask, sentence, tell

import harken


def poem(rng: random.Random) -> str:
    """Two lines."""
    return f"{sentence(rng)},\nand {sentence(rng)}.\n\n"


def main() -> None:
    """Train two models, measure them, write."""
    asked = ask(__doc__, "poems.txt", poem)
    for model in ("llama", "ngram"):
        run = str(asked.out / model)
        options = asked.train if model == "llama" else asked.read
        trained = harken.train(asked.data, model=model, examples="running", out=run, overwrite=True, **options)
        found = harken.evaluate(run, asked.test, **asked.read) if asked.test else trained
        tell(model=model, loss=found.loss, bits_per_byte=found.bits_per_byte)
    drawn = {"temperature": 0.8, "num_return_sequences": 3, "max_new_tokens": 10 if asked.tiny else 100}
    for one in harken.generate(str(asked.out / "llama"), "\n\n", **drawn):
        tell(text=one.text.strip())


if __name__ == "__main__":
    main()

"""BERT from scratch: find words that are hidden, and say whether one sentence follows another.

`python recipes/masked.py text.txt --test other.txt --minutes 15` hides 15 % of the tokens (of these 80 % behind [MASK], 10 % behind another
token, 10 % behind themselves), trains both aims at once, and asks the model for a hidden word and for a second sentence. The text is
documents between `<|endoftext|>` lines, or an example a line with several sentences. `--tiny` takes seconds.

Devlin et al. 2018, https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

import random

from common import ask, measure, sentence, tell

import harken


def document(rng: random.Random) -> str:
    """Three sentences on a line."""
    return " ".join(f"{sentence(rng)}." for _ in range(3)) + "\n"


def main() -> None:
    """Train, measure, ask."""
    asked = ask(__doc__, "text.txt", document)
    run = asked.out / "bert"
    harken.train(asked.data, model="bert", task="pretraining", out=str(run), overwrite=True, **asked.train)
    measure(run, asked)
    unmask = harken.pipeline("fill-mask", str(run), top_k=3)
    tell(asked="the [MASK] by the river", found=[one["token_str"] for one in unmask("the [MASK] by the river")])
    judge = harken.pipeline("next-sentence-prediction", str(run))
    tell(asked="does it follow?", found=judge("the fox sleeps by the river.", "the owl sings by the barn."))


if __name__ == "__main__":
    main()

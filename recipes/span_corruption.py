"""T5 from texts alone: 15 % of the tokens are taken out in spans of three, and the model writes what stood in the gaps.

`python recipes/span_corruption.py text.txt --test other.txt --minutes 15` trains it and asks for what stands in a gap. `--tiny` takes
seconds. What it has learned is there to be fine-tuned: `harken train pairs.tsv --model runs/span_corruption/t5`.

Raffel et al. 2019, https://arxiv.org/abs/1910.10683
"""

from __future__ import annotations

import random

from common import ask, measure, sentence, tell

import harken


def text(rng: random.Random) -> str:
    """Two sentences on a line."""
    return f"{sentence(rng)} and {sentence(rng)}\n"


def main() -> None:
    """Train, measure, ask."""
    asked = ask(__doc__, "text.txt", text)
    run = asked.out / "t5"
    harken.train(asked.data, model="t5", task="span-corruption", out=str(run), overwrite=True, overflow="window", **asked.train)
    measure(run, asked)
    gap = "the fox <extra_id_0> the river and the owl <extra_id_1> the barn"
    (found,) = harken.generate(str(run), gap, temperature=0, max_new_tokens=20)
    tell(asked=gap, found=harken.Tokenizer.load(str(run)).decode(list(found.ids), skip_special=False))


if __name__ == "__main__":
    main()

"""BART from texts alone: spans are hidden behind one mask each and sentences change places; the model writes the text as it was.

`python recipes/denoising.py text.txt --test other.txt --minutes 15` trains it and lets it mend a broken text. `--tiny` takes seconds.
Other noises (masking, deletion, rotation) are `harken train --task denoising --noise …`.

Lewis et al. 2019, https://arxiv.org/abs/1910.13461
"""

from __future__ import annotations

import random

from common import ask, measure, sentence, tell

import harken


def text(rng: random.Random) -> str:
    """Two sentences on a line."""
    return f"{sentence(rng)}. {sentence(rng)}.\n"


def main() -> None:
    """Train, measure, ask."""
    asked = ask(__doc__, "text.txt", text)
    run = asked.out / "bart"
    harken.train(asked.data, model="bart", task="denoising", out=str(run), overwrite=True, overflow="window", **asked.train)
    measure(run, asked)
    broken = "the fox by the river. the owl sings by the."
    (found,) = harken.generate(str(run), broken, temperature=0, max_new_tokens=30)
    tell(asked=broken, found=found.text)


if __name__ == "__main__":
    main()

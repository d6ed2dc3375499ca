"""Several tasks in one model, told apart by what stands in front of the input, as T5 has it: reverse, sort, and say how a review feels.

`python recipes/text_to_text.py mix.toml --test test.toml --minutes 10`, where the file names pairs and a prefix for each kind of them
(`[[part]]`, `data = "reviews.jsonl"`, `prefix = "sentiment: "`). It tells how many answers are right, word for word. `--tiny` writes such
a mixture, asks each kind once, and takes seconds.

Raffel et al. 2019, https://arxiv.org/abs/1910.10683
"""

from __future__ import annotations

import random
from pathlib import Path

from common import ask, line, measure, tell, write

import harken

FEELS = {"good": "positive", "fine": "positive", "dull": "negative", "poor": "negative"}


def letters(rng: random.Random) -> list[str]:
    """Three to six of them."""
    return rng.choices("abcdefgh", k=rng.randint(3, 6))


def reverse(rng: random.Random) -> str:
    """Letters, backwards."""
    given = letters(rng)
    return line(source=" ".join(given), target=" ".join(reversed(given)))


def sort(rng: random.Random) -> str:
    """Letters, in order."""
    given = letters(rng)
    return line(source=" ".join(given), target=" ".join(sorted(given)))


def sentiment(rng: random.Random) -> str:
    """A review that a word decides."""
    word = rng.choice(list(FEELS))
    return line(source=f"a {word} {rng.choice(['film', 'story', 'play'])}", target=FEELS[word])


def mixture(path: Path, count: int, seed: int) -> None:
    """Three kinds of pairs beside `path`, and what names them."""
    parts = []
    for make in (reverse, sort, sentiment):
        name = f"{path.stem}-{make.__name__}.jsonl"
        write(path.with_name(name), make, count, seed)
        parts.append(f'[[part]]\ndata = "{name}"\nprefix = "{make.__name__}: "\n')
    path.write_text("\n".join(parts), "utf-8")


def main() -> None:
    """Train, measure, ask each kind."""
    asked = ask(__doc__, "mix.toml")
    if asked.tiny:
        mixture(Path(asked.data), 60, seed=0)
        mixture(Path(str(asked.test)), 20, seed=1)
    run = asked.out / "t5"
    harken.train(asked.data, model="t5", tokenizer="word" if asked.tiny else None, out=str(run), overwrite=True, **asked.train)
    measure(run, asked, metrics="exact")
    answer = harken.pipeline("text2text-generation", str(run), max_new_tokens=12)
    for source in ("reverse: a b c", "sort: c a b", "sentiment: a dull play") if asked.tiny else ():
        tell(asked=source, found=answer(source)[0]["generated_text"])


if __name__ == "__main__":
    main()

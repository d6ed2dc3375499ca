"""Word vectors beside what people say: Spearman's correlation with their judgement of how alike two words are, and analogies solved.

    python bench/words.py MODEL… --pairs wordsim/EN-WS-353-ALL.txt --pairs wordsim/EN-MEN-TR-3k.txt
    python bench/words.py MODEL --pairs wordsim/EN-WS-353-ALL.txt --analogies wordsim/questions-words.txt

A file of pairs has lines `word word score`, one of analogies lines `man king woman queen` and headings that begin with a colon. A pair or
question with a word that the model does not know is left out and counted; a word of several pieces has the mean of theirs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from harken.checkpoint.load import load
from harken.measure.metrics.correlation import pearson, ranks
from harken.nn.vectors import normed
from harken.view.words import Words


def ids_of(words: Words, asked: list[str]) -> list[list[int]] | None:
    """The pieces of every word; None where one is not known."""
    found = [words.find(word) for word in asked]
    return found if all(found) else None


def correlation(words: Words, path: Path) -> str:
    """Spearman over the pairs that are known."""
    lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    found, whole = [], 0
    for one, two, score in lines:
        if (pieces := ids_of(words, [one.lower(), two.lower()])) is not None:
            whole += all(len(each) == 1 for each in pieces)
            a, b = (normed(words.vectors[each].mean(0)) for each in pieces)
            found.append((float(a @ b), float(score)))
    x, y = np.array(found).T
    rho = pearson(ranks(x), ranks(y))
    return f"{path.stem}: Spearman {rho:.3f} on {len(found)} of {len(lines)} pairs, {whole} of them of whole words"


def analogies(words: Words, path: Path, method: str) -> str:
    """Questions `a b c x` whose x is the best b - a + c of all words but the three."""
    lines = [line.lower().split() for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith(":")]
    asked = [ids for line in lines if (ids := ids_of(words, line)) is not None and all(len(each) == 1 for each in ids)]
    right, questions = 0, np.array(asked, np.int64).reshape(-1, 4)
    for part in np.array_split(questions, max(1, len(questions) // 256)):
        a, b, c = (words.units[part[:, i]] @ words.units.T for i in range(3))  # (questions, V)
        scores = b - a + c if method == "add" else (b + 1) * (c + 1) / ((a + 1) / 2 + 0.001)
        scores[:, words.empty] = -np.inf
        np.put_along_axis(scores, part[:, :3], -np.inf, 1)
        right += int((scores.argmax(1) == part[:, 3]).sum())
    share = right / max(1, len(questions))
    return f"{path.stem}, {method}: {share:.1%} right of {len(questions):,} of {len(lines):,} questions"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--pairs", action="append", default=[], type=Path)
    parser.add_argument("--analogies", type=Path)
    options = parser.parse_args()
    for name in options.models:
        start = time.perf_counter()
        words = Words(*load(name))
        print(f"{name}: {len(words.vectors):,} vectors of {words.vectors.shape[1]}, read in {time.perf_counter() - start:.1f} s")
        for path in options.pairs:
            print(f"  {correlation(words, path)}")
        for method in ("add", "mul") if options.analogies else ():
            print(f"  {analogies(words, options.analogies, method)}")


if __name__ == "__main__":
    main()

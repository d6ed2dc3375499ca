"""WikiText-2, word by word: counts, an LSTM, a Transformer, and counts with a Transformer.

The tokens of the files, blanks between them, and an end for each line: 33,278 words, 2,088,628 to learn from, 217,646 to choose the best
step, 245,569 of test, each predicted once; a network has at least half of its context of 96 before each. 30 minutes for each network on
two cores. The mixtures are that Transformer with those counts, weighed on the text that chose the best step; the second also counts what
it has just read, and a count is worth half after 350 words (the best of three on that text). Known: the LSTM of PyTorch's example about
100, AWD-LSTM 65.8, hours on a GPU each; an LSTM of 99.3 with a cache of the last 2,000 states 68.9 (Grave et al. 2016,
https://arxiv.org/abs/1612.04426).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, pre_tokenizers

import harken
from harken.results.lab import Lab
from harken.text.tokenizer import Tokenizer

LINE, PAD, UNKNOWN = "<line>", "<pad>", "<unk>"
PARTS = ("train", "valid", "test")


def words(lab: Lab, part: str) -> list[str]:
    """The tokens of a file, with an end for each line but the last, which the end of the text stands for."""
    lines = (lab.data("wikitext2") / f"{part}.txt").read_text("utf-8").split("\n")
    return [word for line in lines[:-1] for word in (*line.split(), LINE)][:-1]


def prepare(lab: Lab) -> tuple[dict[str, Path], Path]:
    """Files of tokens with a blank between them, and the folder of the tokenizer that knows those of training, and no others."""
    paths, home = {part: lab.file(f"{part}.txt") for part in PARTS}, lab.file("words")
    if not (home / "tokenizer.json").is_file():
        for part, path in paths.items():
            path.write_text(" ".join(words(lab, part)) + "\n", "utf-8")
        known = Counter(words(lab, "train"))
        vocabulary = {word: i for i, word in enumerate([PAD, UNKNOWN, *(word for word, _ in known.most_common() if word != UNKNOWN)])}
        inner = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
        inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        inner.add_special_tokens([PAD])
        Tokenizer(inner, {"pad": PAD, "bos": LINE, "eos": LINE}, {"tokenizer_class": "PreTrainedTokenizerFast"}).save(home)
    return paths, home


def perplexity(run: Path, path: Path) -> dict[str, float]:
    """Of every word of a file but the first."""
    found = harken.score(run, path=path)[0]
    return {"perplexity": found.perplexity, "tokens": found.tokens}


def called(name: str) -> str:
    """The run of a model."""
    return name.lower().replace(", ", "-").replace(" ", "-")


def steps(lab: Lab) -> None:
    """Count, learn, mix."""
    paths, home = prepare(lab)
    counts, transformer, mixture, recent = "Kneser-Ney, 5-grams", "Transformer", "mixture", "mixture with what was just read"
    shown: dict[str, Any] = {"data": paths["train"], "valid": str(paths["valid"]), "tokenizer": str(home)}
    network: dict[str, Any] = {
        **shown, "context": 16 if lab.tiny else 96, "dropout": 0.2, "batch_size": 32, "average": 0.998, "minutes": 30.0,
    }  # fmt: skip
    parts = f"{lab.run(called(transformer))},{lab.run(called(counts))}"
    ways: dict[str, dict[str, Any]] = {
        counts: {"model": "ngram", "order": 5, **shown},
        "LSTM": {"model": "lstm", "width": 256, "layers": 1, "learning_rate": 0.01, **network},
        transformer: {"model": "llama", "width": 192, "layers": 4, "heads": 6, "learning_rate": 0.00231, **network},
        mixture: {"model": "mixture", "parts": parts, "data": paths["valid"]},
        recent: {"model": "mixture", "parts": parts, "data": paths["valid"], "recent": 350},
    }
    values: dict[str, float] = {}
    for name, options in ways.items():
        run = called(name)
        trained = lab.train(run, examples="running", **options)
        found = lab.step(f"{run}-test", lambda run=run: perplexity(lab.run(run), paths["test"]))
        values[name] = found["perplexity"]
        minutes = lab.minutes(trained) if "minutes" in options else None
        lab.found(f"{name}: perplexity of a word", values[name], minutes=minutes, **({"most": 220.0} if name == counts else {}))
    better = min(values[counts], values[transformer])
    lab.found("the mixture of two under the better of them, %", 100 * (1 - values[mixture] / better))
    lab.found("with what was just read under the better of the two, %", 100 * (1 - values[recent] / better), least=10.0)
    lab.note(f"{found['tokens']:,.0f} words of test were predicted.")

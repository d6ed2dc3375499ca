"""What the recipes on Multi30k share: Moses tokens, translations by beams, BLEU in three ways. No recipe itself.

Elliott et al. 2016, https://arxiv.org/abs/1605.00459 · sacremoses, https://github.com/hplt-project/sacremoses
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from sacremoses import MosesDetokenizer, MosesPunctNormalizer, MosesTokenizer

import harken
from harken.base.files import write_text
from harken.measure.metrics.translation import Bleu
from harken.measure.resample import bootstrap
from harken.results.lab import Lab

PARTS = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
SIZE = {"width": 128, "hidden": 256, "layers": 4, "heads": 4}
"""Transformer-Tiny (Wu et al. 2021, https://aclanthology.org/2021.acl-long.480)."""


def tokens(lines: list[str], language: str) -> list[str]:
    """Lines in small letters, their punctuation made even, cut into Moses' tokens; the German test set has 12,103, as in the paper."""
    normal, cut = MosesPunctNormalizer(language), MosesTokenizer(language)
    return [" ".join(cut.tokenize(normal.normalize(line.lower()), escape=False)) for line in lines]


def raw(lab: Lab, part: str, language: str) -> list[str]:
    """Lines as they came."""
    return (lab.data("multi30k") / f"{PARTS[part]}.{language}").read_text("utf-8").splitlines()


def prepare(lab: Lab, *languages: str) -> dict[str, dict[str, Path]]:
    """Tokenised files: part → language → path; those that are there are kept."""
    paths = {part: {language: lab.file(f"{part}.{language}") for language in languages} for part in PARTS}
    for part, sides in paths.items():
        for language, path in sides.items():
            if not path.is_file():
                write_text(path, "\n".join(tokens(raw(lab, part, language), language)) + "\n")
    return paths


def translated(run: Path, source: Path, beams: int) -> list[str]:
    """What a run writes to each line, in tokens as it was learned."""
    translator = harken.pipeline("translation", str(run), num_beams=beams, max_new_tokens=100)
    return [found["translation_text"] for found in translator(source.read_text("utf-8").splitlines())]


def bleu(answers: list[str], references: list[str], metric: Bleu) -> dict[str, Any]:
    """BLEU of the whole, its 95 % interval, sacreBLEU's signature."""
    import numpy as np

    rows = np.array([metric.row(answer, reference) for answer, reference in zip(answers, references, strict=True)])
    span = bootstrap(rows, metric.value)["bleu"]
    return {"value": metric.value(rows)["bleu"], "low": span.low, "high": span.high, "signature": metric.signature(rows)}


def scores(lab: Lab, run: Path, source: str, target: str, part: str = "test", beams: int = 5) -> dict[str, Any]:
    """`tokens`: BLEU of small letters in Moses' tokens, the papers' · `lower`: sacreBLEU of the text in small letters · `cased`: of the
    text with the capitals that words have most often in training, against the text as it came · `answers`."""
    answers = translated(run, lab.file(f"{part}.{source}"), beams)
    right = lab.file(f"{part}.{target}").read_text("utf-8").splitlines()
    back, as_they_came = MosesDetokenizer(target), raw(lab, part, target)
    cased = casing(raw(lab, "train", target), target)
    plain = [back.detokenize(answer.split()) for answer in answers]
    capitals = [back.detokenize(with_capitals(answer.split(), cased)) for answer in answers]
    return {
        "tokens": bleu(answers, right, Bleu(tokenize="none")),
        "lower": bleu(plain, as_they_came, Bleu(lowercase=True)),
        "cased": bleu(capitals, as_they_came, Bleu()),
        "answers": answers,
    }


def casing(lines: list[str], language: str) -> dict[str, str]:
    """Word in small letters → how it is written most often, other than at the beginning of a line."""
    cut, counts = MosesTokenizer(language), Counter[str]()
    for line in lines:
        counts.update(cut.tokenize(line, escape=False)[1:])
    return {word.lower(): word for word, _ in reversed(counts.most_common())}


def with_capitals(words: list[str], cased: dict[str, str]) -> list[str]:
    """Words as `casing` has them, the first with a capital."""
    found = [cased.get(word, word) for word in words]
    return [found[0][:1].upper() + found[0][1:], *found[1:]] if found else []


def tiny_transformer(lab: Lab, source: str, target: str, least: float, others: dict[str, str]) -> None:
    """The row of one direction: train by the clock, translate with five beams, measure."""
    paths = prepare(lab, source, target)
    trained = lab.train(
        "transformer",
        paths["train"][source],
        target=str(paths["train"][target]),
        valid=str(paths["valid"][source]),
        valid_target=str(paths["valid"][target]),
        model="transformer",
        tokenizer="bpe",
        vocab_size=10_000,
        overflow="drop",
        dropout=0.3,
        label_smoothing=0.1,
        average=0.999,
        best="last",
        batch_size=256,
        minutes=60.0,
        **SIZE,
    )
    for part in ("valid", "test"):
        found = lab.step(f"bleu-{part}", lambda part=part: scores(lab, lab.run("transformer"), source, target, part))
        test = part == "test"
        for kind, what in (("tokens", "BLEU of Moses' tokens"), ("lower", "sacreBLEU, small letters"), ("cased", "sacreBLEU, cased")):
            one = found[kind]
            lab.found(
                f"{'test 2016' if test else 'validation'}, {what}",
                one["value"],
                low=one["low"],
                high=one["high"],
                least=least if test and kind == "tokens" else None,
                beside=others.get(kind, "") if test else "",
                minutes=lab.minutes(trained) if test and kind == "tokens" else None,
            )
            if test:
                lab.note(f"{what}: `{one['signature']}`")
    if not lab.tiny:
        lab.note(f"{trained['steps']:,} steps, {trained['parameters']:,} parameters, held-out loss {trained['loss']:.4f} nats per token.")

"""Token classification beside transformers' own pipeline, with characters of unusual texts; long texts in windows."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import harken

TEXTS = [
    "Bill Gates founded Microsoft in 1975.",
    "\tThe  king\u00a0of France 🙂🙂 — naïve café\nключ 日本 x",
    "   ",
    "",
    "Übermut tut selten gut; Bill🙂Gates",
]
STRATEGIES = ["none", "simple", "first", "average", "max"]


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "albert", "gpt2"])
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_equals_transformers(kind: str, checkpoint: Any, same: Any) -> None:
    folder = checkpoint(kind, "tags", "tags")
    ours, theirs = harken.pipeline("ner", folder), checkpoint.pipeline("token-classification", folder, "tags")
    for strategy in STRATEGIES:
        for text in TEXTS:
            if text or kind != "gpt2":
                found = ours(text, aggregation_strategy=strategy)
                assert same(found, theirs(text, aggregation_strategy=strategy)), (strategy, text)
        assert ours(TEXTS, aggregation_strategy=strategy) == [ours(text, aggregation_strategy=strategy) for text in TEXTS]
    every = ours(TEXTS[0], ignore_labels=[])
    assert same(every, theirs(TEXTS[0], ignore_labels=[])) and len(every) >= 8
    if kind == "bert":
        assert "".join(TEXTS[0][one["start"] : one["end"]] for one in every) == TEXTS[0].replace(" ", "")


def test_older_spellings(checkpoint: Any, refusal: Any) -> None:
    folder = checkpoint("bert", "tags", "tags")
    ours = harken.pipeline("ner", folder)
    assert ours(TEXTS[0], grouped_entities=True) == ours(TEXTS[0], aggregation_strategy="simple")
    assert ours(TEXTS[0], grouped_entities=True, ignore_subwords=True) == ours(TEXTS[0], aggregation_strategy="first")
    assert harken.pipeline("ner", folder, grouped_entities=True)(TEXTS[0]) == ours(TEXTS[0], aggregation_strategy="simple")
    assert "give the latter alone" in refusal(lambda: ours("a", grouped_entities=True, aggregation_strategy="max"))
    assert refusal(lambda: ours("a", aggregation_strategy="maximum")).endswith("not 'maximum' (did you mean 'max'?)")
    assert "cannot share 62 of them" in refusal(lambda: ours("a", stride=62))


@pytest.mark.parametrize("stride", [None, 0, 7, 30])
def test_long_texts_are_read_in_windows(stride: int | None, checkpoint: Any) -> None:
    """Each token gets the scores of the window in which it stands furthest from an edge, by transformers' model."""
    folder = checkpoint("bert", "tags", "tags")
    model, words = checkpoint.theirs(folder, "tags")
    text = "Bill Gates founded Microsoft in 1975 🙂. The cat sat on the mat.  " * 9
    whole = words(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = whole["input_ids"], whole["offset_mapping"]
    share, room = 62 // 4 if stride is None else stride, 62
    starts = [*range(0, len(ids) - room, room - share), len(ids) - room]
    best: dict[int, tuple[int, Any]] = {}
    for start in starts:
        with torch.no_grad():
            logits = model(torch.tensor([[2, *ids[start : start + room], 3]])).logits[0, 1:-1].softmax(-1)
        for place in range(room):
            left = 10**6 if start == 0 else place
            right = 10**6 if start == starts[-1] else room - 1 - place
            if start + place not in best or min(left, right) >= best[start + place][0]:
                best[start + place] = (min(left, right), logits[place])
    found = harken.pipeline("ner", folder, ignore_labels=[], stride=stride)(text)
    assert [(one["start"], one["end"]) for one in found] == offsets
    theirs = np.array([float(best[place][1].max()) for place in range(len(ids))])
    assert np.allclose([one["score"] for one in found], theirs, atol=1e-5)
    assert [one["index"] for one in found] == list(range(1, len(ids) + 1))


def test_a_very_long_text(checkpoint: Any) -> None:
    ours = harken.pipeline("ner", checkpoint("bert", "tags", "tags"), aggregation_strategy="simple")
    text = ("Bill Gates founded Microsoft. " * 3334)[:100_000]
    found = ours(text)
    assert found and found[-1]["end"] > 99_900 and ours.ledger.get("inputs", "read in windows") == 1
    assert all(a["end"] <= b["start"] for a, b in itertools.pairwise(found))

"""Tasks that read two texts together: zero-shot classification, ranking, next sentence prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

import harken

TEXT = "The king of France sat on the mat 🙂."
LABELS = ["sports", "politics", "food"]


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "bart"])
def test_zero_shot_equals_transformers(kind: str, checkpoint: Any, same: Any) -> None:
    folder = checkpoint(kind, "classification", "nli")
    ours = harken.pipeline("zero-shot-classification", folder)
    theirs = checkpoint.pipeline("zero-shot-classification", folder, "classification")
    for options in ({}, {"multi_label": True}, {"hypothesis_template": "It was about {}!"}):
        assert same(ours(TEXT, LABELS, **options), theirs(TEXT, LABELS, **options))
        assert same(
            ours([TEXT, "Hello"], candidate_labels="sports, food", **options), theirs([TEXT, "Hello"], ["sports", "food"], **options)
        )
    assert same(ours(TEXT, ["food"]), theirs(TEXT, ["food"]))
    assert harken.pipeline("zero-shot-classification", folder, candidate_labels=LABELS)(TEXT) == ours(TEXT, LABELS)


def test_zero_shot_refusals(checkpoint: Any, refusal: Any) -> None:
    ours = harken.pipeline("zero-shot-classification", checkpoint("bert", "classification", "nli"))
    assert "candidate_labels are missing" in refusal(lambda: ours(TEXT))
    assert "candidate_labels are empty" in refusal(lambda: ours(TEXT, []))
    assert "candidate_labels must be a list of texts, not 3" in refusal(lambda: ours(TEXT, 3))
    assert "hypothesis_template must hold {}" in refusal(lambda: ours(TEXT, LABELS, hypothesis_template="no place"))
    assert "the input is empty" in refusal(lambda: ours("  ", LABELS))
    assert "shorten it by" in refusal(lambda: ours("cat " * 25_000, LABELS))
    assert len(ours("cat " * 25_000, LABELS, truncation=True)["labels"]) == 3
    wrong = checkpoint("bert", "classification", "sentiment")
    assert "none of which is entailment" in refusal(lambda: harken.pipeline("zero-shot-classification", wrong))


@pytest.mark.parametrize("labels", ["one", "two"])
def test_ranking(labels: str, checkpoint: Any, refusal: Any) -> None:
    folder = checkpoint("bert", "classification", "one" if labels == "one" else "")
    model, words = checkpoint.theirs(folder, "classification")
    documents = ["The food was delicious.", "the mat", "Paris is the capital of France; 🙂"]
    with torch.no_grad():
        logits = torch.stack([model(**words("the capital", text, return_tensors="pt")).logits[0] for text in documents])
    scores = logits[:, 0].sigmoid() if labels == "one" else logits.softmax(-1)[:, 1]
    ours = harken.pipeline("ranking", folder)
    found = ours("the capital", documents)
    assert [one["index"] for one in found] == scores.argsort(descending=True).tolist()
    assert np.allclose([one["score"] for one in found], scores.sort(descending=True).values, atol=1e-5)
    assert all(one["text"] == documents[one["index"]] for one in found)
    assert ours(query="the capital", documents=documents, top_k=1) == found[:1]
    assert ours([{"query": "the capital", "documents": documents}]) == [found]
    if labels == "one":
        assert np.allclose(
            [one["score"] for one in ours("the capital", documents, function_to_apply="none")], np.sort(logits[:, 0])[::-1], atol=1e-5
        )
    assert "documents should be a list" in refusal(lambda: ours("a", []))
    assert "documents[1] should be text, not nothing (None)" in refusal(lambda: ours("a", ["b", None]))
    assert "shorten it by" in refusal(lambda: ours("a", ["cat " * 25_000]))
    assert len(ours("a", ["cat " * 25_000, "b"], truncation=True)) == 2
    assert "the query has" in refusal(lambda: ours("cat " * 100, ["b"], truncation=True))
    assert "tells 3 labels apart" in refusal(lambda: harken.pipeline("ranking", checkpoint("bert", "classification", "sentiment")))


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_next_sentence(kind: str, checkpoint: Any, refusal: Any) -> None:
    folder = checkpoint(kind, "pretraining")
    model = (hf.BertForPreTraining if kind == "bert" else hf.AlbertForPreTraining).from_pretrained(folder).eval()
    words = checkpoint.theirs(folder, "pretraining")[1]
    ours = harken.pipeline("next-sentence-prediction", folder)
    pair = ("The man went to the store.", "He bought a gallon of milk.")
    with torch.no_grad():
        out = model(**words(*pair, return_tensors="pt"))
    chances = (out.seq_relationship_logits if kind == "bert" else out.sop_logits)[0].softmax(-1)
    found = ours(*pair)
    names = ("is_next", "not_next") if kind == "bert" else ("in_order", "swapped")
    assert found["label"] == names[int(chances.argmax())] and abs(found["score"] - float(chances.max())) < 1e-5
    assert ours([{"text": pair[0], "text_pair": pair[1]}]) == [found] == [ours(text=pair[0], text_pair=pair[1])]
    assert "the input is one text" in refusal(lambda: ours("alone"))

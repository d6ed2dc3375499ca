"""Text classification beside transformers' own pipeline: labels, scores, the shapes of answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import harken

TEXTS = ["The food was delicious.", "", " ", "the wine\twas  not great 🙂 café", "a" * 40]
PAIR = {"text": "The cat sat on the mat.", "text_pair": "The king was great."}


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "albert", "gpt2", "bart"])
def test_equals_transformers(kind: str, checkpoint: Any, same: Any) -> None:
    folder = checkpoint(kind, "classification", "sentiment")
    ours, theirs = harken.pipeline("sentiment-analysis", folder), checkpoint.pipeline("text-classification", folder, "classification")
    texts = [text for text in TEXTS if text or kind != "gpt2"]
    for options in ({}, {"top_k": 2}, {"top_k": None}, {"function_to_apply": "sigmoid"}, {"function_to_apply": "none", "top_k": 1}):
        assert same(ours(texts, **options), theirs(texts, **options))
        assert same(ours(texts[0], **options), theirs(texts[0], **options))
        assert same(ours(PAIR, **options), theirs(PAIR, **options))
    assert same(harken.pipeline("text-classification", folder, top_k=None)(texts[0]), [theirs(texts[0], top_k=None)])


def test_all_scores_in_the_order_of_the_model(checkpoint: Any) -> None:
    ours = harken.pipeline("sentiment-analysis", checkpoint("bert", "classification", "sentiment"), return_all_scores=True)
    ((first, second, third),) = ours("The food was great.")
    assert [each["label"] for each in (first, second, third)] == ["NEGATIVE", "NEUTRAL", "POSITIVE"]
    assert abs(sum(each["score"] for each in (first, second, third)) - 1) < 1e-6
    assert len(ours(["one", "two"])) == 2


@pytest.mark.parametrize(("problem", "labels"), [("multi_label_classification", "sentiment"), ("regression", "one"), (None, "one")])
def test_kinds_of_problem(problem: str | None, labels: str, checkpoint: Any, same: Any) -> None:
    folder = checkpoint("bert", "classification", labels, problem_type=problem)
    ours, theirs = harken.pipeline("text-classification", folder), checkpoint.pipeline("text-classification", folder, "classification")
    assert same(ours(TEXTS, top_k=None), theirs(TEXTS, top_k=None))


@pytest.mark.parametrize("kind", ["bert", "roberta", "albert", "t5", "bart"])
def test_an_answer_does_not_depend_on_its_batch(kind: str, checkpoint: Any) -> None:
    """Bit for bit."""
    folder = checkpoint(kind, "classification", "sentiment")
    ours = harken.pipeline("text-classification", folder, top_k=None)
    rng = np.random.default_rng(0)
    texts = ["The king had three daughters and a cat sat on the mat."[: rng.integers(1, 54)] for _ in range(23)]
    alone = [ours([text])[0] for text in texts]
    assert ours(texts) == alone
    assert harken.pipeline("text-classification", folder, batch_size=4, top_k=None)(texts[::-1])[::-1] == alone
    assert list(ours(text for text in texts)) == alone


def test_long_texts_are_refused_or_cut_aloud(checkpoint: Any, refusal: Any, capsys: pytest.CaptureFixture[str], same: Any) -> None:
    folder = checkpoint("bert", "classification", "sentiment")
    ours = harken.pipeline("sentiment-analysis", folder)
    text = "the cat sat on the mat " * 4000
    said = refusal(lambda: ours(["short", text]))
    assert said.startswith("inputs[1]: the input has ") and "this model reads at most 64: shorten it by" in said
    found = ours(["short", text], truncation=True)
    theirs = checkpoint.pipeline("text-classification", folder, "classification")
    assert same(found, theirs(["short", text], truncation=True, max_length=64))
    cut = ours.ledger.get("inputs", "tokens cut off")
    assert capsys.readouterr().err == f"1 of 2 inputs was cut: {cut:,} tokens were left out (this model reads at most 64)\n"
    tight = {"truncation": True, "max_length": 5}
    assert same(ours(["short", text], **tight), theirs(["short", text], **tight))
    assert "max_length is at most 5" in refusal(lambda: ours(text, max_length=5))
    pair = {"text": "the cat sat on the mat " * 9, "text_pair": "a king " * 12}
    assert same(ours(pair, truncation=True), theirs(pair, truncation=True, max_length=64))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "the input should be text, not nothing (None)"),
        (3, "the input should be text, not a int"),
        ([None], "inputs[0]: the input should be text, not nothing (None)"),
        ({"txt": "a"}, "the input lacks 'text': it should be an object"),
        ({"text": "a", "pair": "b"}, "the input has a field 'pair', which is not known"),
    ],
)
def test_what_is_no_text(given: Any, said: str, checkpoint: Any, refusal: Any) -> None:
    ours = harken.pipeline("sentiment-analysis", checkpoint("bert", "classification", "sentiment"))
    assert refusal(lambda: ours(given)).startswith(said)
    assert ours([]) == []


def test_wrong_options(checkpoint: Any, refusal: Any) -> None:
    folder = checkpoint("bert", "classification", "sentiment")
    ours = harken.pipeline("sentiment-analysis", folder)
    assert refusal(lambda: ours("a", topk=2)) == "sentiment-analysis has no option 'topk' (did you mean 'top_k'?)"
    assert "top_k must be a whole number" in refusal(lambda: ours("a", top_k=0))
    assert "function_to_apply must be softmax" in refusal(lambda: harken.pipeline("sentiment-analysis", folder, function_to_apply="relu"))
    assert "truncation must be true or false, not 'yes'" in refusal(lambda: ours("a", truncation="yes"))


def test_reading_in_half_precision(checkpoint: Any) -> None:
    folder = checkpoint("bert", "classification", "sentiment")
    full, half = (
        harken.pipeline("sentiment-analysis", folder, dtype=d, top_k=None)(["The cat sat."])[0] for d in ("float32", torch.bfloat16)
    )
    assert abs({x["label"]: x["score"] for x in full}["POSITIVE"] - {x["label"]: x["score"] for x in half}["POSITIVE"]) < 0.05

"""Filling masks beside transformers' own pipeline; text is only text but for the mask's own name."""

from __future__ import annotations

from typing import Any

import pytest

import harken

TEXTS = {
    "bert": ["The [MASK] was delicious.", "[MASK]", "the  food\twas [MASK] 🙂 and the [MASK] café", "a[MASK]b"],
    "roberta": ["The <mask> was delicious.", "<mask>", "the  food\twas <mask> 🙂 and the <mask> café", "a<mask>b"],
}


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "albert"])
def test_equals_transformers(kind: str, checkpoint: Any, same: Any) -> None:
    folder = checkpoint(kind, "mlm")
    ours, theirs = harken.pipeline("fill-mask", folder), checkpoint.pipeline("fill-mask", folder, "mlm")
    texts = TEXTS["roberta" if kind == "roberta" else "bert"]
    for text in texts:
        assert same(ours(text), theirs(text)), text
        assert same(ours(text, top_k=3), theirs(text, top_k=3))
    assert same(ours(texts), theirs(texts))
    first, second = (harken.Tokenizer.load(folder).inner.id_to_token(i) for i in (20, 31))
    assert same(ours(texts[0], targets=[first, second]), theirs(texts[0], targets=[first, second]))


def test_only_the_mask_is_read_in_a_text(checkpoint: Any) -> None:
    ours = harken.pipeline("fill-mask", checkpoint("bert", "mlm"), top_k=1)
    ids = ours.task.prepare("[CLS] the [MASK] [SEP] cat", ours.tools, ours.options).rows[0].ids
    assert ids.count(2) == 1 and ids.count(3) == 1 and ids.count(4) == 1


def test_batches_do_not_matter(checkpoint: Any) -> None:
    ours = harken.pipeline("fill-mask", checkpoint("bert", "mlm"))
    texts = ["The [MASK] was great.", "a [MASK]", "the [MASK] and the [MASK] sat on the mat, thank you very much"]
    assert ours(texts) == [ours(text) for text in texts]


def test_what_cannot_be_filled(checkpoint: Any, refusal: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ours = harken.pipeline("fill-mask", checkpoint("bert", "mlm"))
    assert refusal(lambda: ours("no gap")) == "the input has no [MASK]: put it where a word is to be filled in"
    assert refusal(lambda: ours(["a [MASK]", ""])).startswith("inputs[1]: the input has no [MASK]")
    assert "not nothing (None)" in refusal(lambda: ours(None))
    assert "shorten it by" in refusal(lambda: ours("[MASK] " + "cat " * 25_000))
    assert ours("[MASK] " + "cat " * 25_000, truncation=True) and "were left out" in capsys.readouterr().err
    assert "no [MASK] in what is left" in refusal(lambda: ours("cat " * 100 + "[MASK]", truncation=True))
    assert "the target '☃' is not in the vocabulary" in refusal(lambda: ours("a [MASK]", targets=["☃"]))
    ours("a [MASK]", targets="deliciously")
    assert "is no token: its first one" in capsys.readouterr().err
    assert "has no head for fill-mask" in refusal(lambda: harken.pipeline("fill-mask", checkpoint("gpt2", "lm")))

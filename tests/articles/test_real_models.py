"""The articles' examples on the models that they use, with what these are known to say, where a cache of the Hub holds them; skipped
where it does not. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harken

pytestmark = pytest.mark.slow


@pytest.fixture
def cached() -> Callable[[str], str]:
    """A model's id, if the cache has config and weights of it."""

    def find(model: str) -> str:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(model, local_files_only=True))
        except LocalEntryNotFoundError:
            pytest.skip(f"the cache of the Hub does not hold {model}")
        weights = [name for name in ("*.safetensors", "pytorch_model*.bin") if any(folder.glob(name))]
        if not weights or not (folder / "config.json").exists():
            pytest.skip(f"the cache of the Hub holds {model} in part")
        return model

    return find


GPT2, BERT = "openai-community/gpt2", "google-bert/bert-base-uncased"
ARTICLE = (
    "The tower is 324 metres tall, about the same height as an 81-storey building, and the tallest structure in Paris. Its base is square, "
    "measuring 125 metres on each side. It was the first structure in the world to surpass both the 200-metre and 300-metre mark in height."
)


def test_masked_language_model(cached: Callable[[str], str]) -> None:
    found = harken.pipeline("fill-mask", cached(BERT))("The [MASK] was delicious.")
    assert {"food", "meal"} & {one["token_str"] for one in found}


def test_next_sentence_prediction(cached: Callable[[str], str]) -> None:
    judge = harken.pipeline("next-sentence-prediction", cached(BERT))
    assert judge("The man went to the store.", "He bought a gallon of milk.")["label"] == "is_next"
    assert judge("The man went to the store.", "Penguins are flightless birds.")["label"] == "not_next"


def test_wordpiece(cached: Callable[[str], str]) -> None:
    _, tokenizer = harken.load(cached(BERT))
    tokens = [tokenizer.inner.id_to_token(i) for i in tokenizer.encode("Transformers revolutionized NLP")]
    assert tokens == ["[CLS]", "transformers", "revolution", "##ized", "nl", "##p", "[SEP]"]


def test_last_hidden_state(cached: Callable[[str], str]) -> None:
    states: Any = harken.pipeline("feature-extraction", cached(BERT))("Hello, how are you?", return_tensors=True)
    assert states.shape == (1, 8, 768)


def test_what_gpt2_goes_on_with_is_what_transformers_says(cached: Callable[[str], str]) -> None:
    """The next word, `pipeline("text-generation")` and `generate(max_length=50)`."""
    transformers: Any = pytest.importorskip("transformers")
    name = cached(GPT2)
    theirs, words = transformers.GPT2LMHeadModel.from_pretrained(name).eval(), transformers.AutoTokenizer.from_pretrained(name)
    for text in ("The cat sat on the", "Once upon a time", "Artificial intelligence is"):
        given = words(text, return_tensors="pt")
        expected = words.decode(theirs.generate(**given, max_length=50, do_sample=False, pad_token_id=50256)[0])
        (found,) = harken.pipeline("text-generation", name)(text, max_length=50)
        assert found["generated_text"] == expected
    assert len(harken.next(name, "The cat sat on the", top=5)) == 5


@pytest.mark.parametrize("model", ["sshleifer/distilbart-cnn-12-6", "facebook/bart-large-cnn", "google-t5/t5-base", "google-t5/t5-small"])
def test_summarization(cached: Callable[[str], str], model: str) -> None:
    (found,) = harken.pipeline("summarization", cached(model))(ARTICLE, max_length=40, min_length=10, do_sample=False)
    assert "tower" in found["summary_text"].lower()


def test_sentiment_analysis(cached: Callable[[str], str]) -> None:
    classifier = harken.pipeline("sentiment-analysis", cached("distilbert/distilbert-base-uncased-finetuned-sst-2-english"))
    good, bad = (classifier(text)[0] for text in ("I love this film!", "I hate it."))
    assert good["label"] == "POSITIVE" and bad["label"] == "NEGATIVE" and min(good["score"], bad["score"]) > 0.99


def test_named_entities(cached: Callable[[str], str]) -> None:
    ner = harken.pipeline("ner", cached("dbmdz/bert-large-cased-finetuned-conll03-english"), grouped_entities=True)
    found = [(one["entity_group"], one["word"]) for one in ner("Bill Gates founded Microsoft in 1975.")]
    assert found == [("PER", "Bill Gates"), ("ORG", "Microsoft")]


@pytest.mark.parametrize("model", ["google-t5/t5-base", "google-t5/t5-small", "Helsinki-NLP/opus-mt-en-fr"])
def test_translation(cached: Callable[[str], str], model: str) -> None:
    (found,) = harken.pipeline("translation_en_to_fr", cached(model), max_length=40)("Hello, how are you?")
    assert found["translation_text"].startswith("Bonjour")


def test_question_answering(cached: Callable[[str], str]) -> None:
    answer = harken.pipeline("question-answering", cached("distilbert/distilbert-base-cased-distilled-squad"))
    assert answer(question="What is the capital of France?", context="Paris is the capital of France.")["answer"] == "Paris"

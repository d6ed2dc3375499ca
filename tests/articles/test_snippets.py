"""What the classic articles on Transformers show, as harken calls on small models made here: the calls, and the shapes of answers."""

from __future__ import annotations

from typing import Any

import torch

import harken


def test_masked_language_model(checkpoint: Any) -> None:
    unmasker = harken.pipeline("fill-mask", model=checkpoint("bert", "mlm"))
    result = unmasker("The [MASK] was delicious")
    assert len(result) == 5
    for prediction in result:
        assert set(prediction) == {"score", "token", "token_str", "sequence"}
        assert prediction["sequence"].endswith("was delicious")


def test_next_sentence_prediction(checkpoint: Any) -> None:
    judge = harken.pipeline("next-sentence-prediction", model=checkpoint("bert", "pretraining"))
    found = judge("The man went to the store.", "He bought a gallon of milk.")
    assert found["label"] in ("is_next", "not_next") and 0.5 <= found["score"] <= 1


def test_wordpiece(checkpoint: Any) -> None:
    tokenizer = harken.Tokenizer.load(checkpoint("bert", "mlm"))
    ids = tokenizer.encode("Transformers revolutionized NLP")
    tokens = [tokenizer.inner.id_to_token(i) for i in ids]
    assert tokens[0] == "[CLS]" and tokens[-1] == "[SEP]"
    assert "".join(token.removeprefix("##") for token in tokens[1:-1]) == "TransformersrevolutionizedNLP"
    assert any(token.startswith("##") for token in tokens)
    assert tokenizer.decode(ids) == "Transformers revolutionized NLP"


def test_the_next_word(checkpoint: Any) -> None:
    folder = checkpoint("gpt2", "lm")
    candidates = harken.next(folder, "The cat sat on the", top=5)
    assert len(candidates) == 5
    (greedy,) = harken.generate(folder, "The cat sat on the", max_new_tokens=1)
    assert greedy.ids == (candidates[0].id,)


def test_text_generation(checkpoint: Any) -> None:
    generator = harken.pipeline("text-generation", model=checkpoint("gpt2", "lm"))
    text = generator("Once upon a time", max_length=50)[0]["generated_text"]
    assert text.startswith("Once upon a time") and len(text) > len("Once upon a time")
    texts = generator("Once upon a time", max_length=30, num_return_sequences=5, do_sample=True)
    assert len(texts) == 5 and all(one["generated_text"].startswith("Once upon a time") for one in texts)


def test_generate_with_max_length(checkpoint: Any) -> None:
    """input_ids = tokenizer.encode(text); model.generate(input_ids, max_length=50); tokenizer.decode(output[0])"""
    model, tokenizer = harken.load(checkpoint("gpt2", "lm"))
    ids = tokenizer.encode("Artificial intelligence is")
    (found,) = harken.generate(model, tokenizer, [ids], max_length=50)
    assert len(ids) + len(found.ids) <= 50
    assert found.text.startswith("Artificial intelligence is")
    assert tokenizer.decode([*ids, *found.ids]) == found.text


def test_summarization(checkpoint: Any) -> None:
    summarizer = harken.pipeline("summarization", model=checkpoint("bart", "text2text"))
    article = "The food was delicious and the wine was great, the service was not."
    summary = summarizer(article, max_length=20, min_length=5, do_sample=False)
    assert list(summary[0]) == ["summary_text"]


def test_sentiment_analysis(checkpoint: Any) -> None:
    classifier = harken.pipeline("sentiment-analysis", model=checkpoint("distilbert", "classification", "sentiment"))
    (found,) = classifier("I love this film!")
    assert found["label"] in ("NEGATIVE", "NEUTRAL", "POSITIVE") and 0 < found["score"] <= 1
    assert len(classifier(["I love this film!", "I hate it."])) == 2


def test_named_entities(checkpoint: Any) -> None:
    text = "Bill Gates founded Microsoft in 1975."
    ner = harken.pipeline("ner", model=checkpoint("bert", "tags", "tags"), grouped_entities=True)
    for entity in ner(text):
        assert set(entity) == {"entity_group", "score", "word", "start", "end"}
        assert entity["word"].replace(" ", "").removeprefix("##") == text[entity["start"] : entity["end"]].replace(" ", "")


def test_translation(checkpoint: Any, opus: str) -> None:
    t5 = checkpoint("t5", "text2text", task_specific_params={"translation_en_to_fr": {"prefix": "translate English to French: "}})
    for folder in (t5, opus):
        translator = harken.pipeline("translation_en_to_fr", model=folder, max_length=40)
        found = translator("Hello, how are you?")
        assert list(found[0]) == ["translation_text"]


def test_question_answering(checkpoint: Any) -> None:
    answer = harken.pipeline("question-answering", model=checkpoint("distilbert", "span"))
    context = "Paris is the capital of France."
    found = answer(question="What is the capital of France?", context=context)
    assert set(found) == {"score", "start", "end", "answer"} and context[found["start"] : found["end"]] == found["answer"]


def test_last_hidden_state(checkpoint: Any) -> None:
    """outputs = model(**tokenizer("Hello, how are you?", return_tensors="pt")); outputs.last_hidden_state.shape"""
    folder = checkpoint("bert", "mlm")
    states = harken.pipeline("feature-extraction", model=folder)("Hello, how are you?", return_tensors=True)
    assert isinstance(states, torch.Tensor) and states.shape == (1, len(harken.Tokenizer.load(folder).encode("Hello, how are you?")), 24)

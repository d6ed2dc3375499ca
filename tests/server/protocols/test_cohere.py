"""Cohere's bodies over HTTP; its own client is in test_clients.py."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from harken.decode.options import DecodeOptions
from harken.tasks.pipeline import pipeline
from harken.tasks.talk import Talk

TEXTS = ["the film was great.", "the film was awful."]
SAID = [{"role": "system", "content": "be kind."}, {"role": "user", "content": [{"type": "text", "text": "hello"}]}]


def test_embed(site: Any, models: dict[str, Any]) -> None:
    right = np.array(pipeline("feature-extraction", models["filler"])(TEXTS, pooling="mean", normalize=True))
    plain = site.post("/v1/embed", {"model": "filler", "texts": TEXTS, "input_type": "search_document"})
    assert np.allclose(plain["embeddings"], right, atol=1e-6) and plain["response_type"] == "embeddings_floats"
    kinds = ["float", "base64", "ubinary", "binary", "int8"]
    typed = site.post("/v2/embed", {"model": "filler", "texts": TEXTS, "input_type": "clustering", "embedding_types": kinds})
    found = typed["embeddings"]
    assert np.allclose(np.frombuffer(base64.b64decode(found["base64"][0]), "<f4"), right[0], atol=1e-6)
    assert (np.unpackbits(np.array(found["ubinary"], np.uint8), axis=1) == (right > 0)).all()
    assert (np.array(found["binary"]) + 128 == found["ubinary"]).all() and np.abs(np.array(found["int8"]) / 127 - right).max() < 0.01
    assert typed["meta"]["billed_units"]["input_tokens"] == sum(len(models["filler"][1].encode(text)) for text in TEXTS)
    narrow = site.post("/v2/embed", {"model": "filler", "texts": TEXTS, "output_dimension": 8})["embeddings"]["float"]
    assert np.allclose(np.linalg.norm(narrow, axis=1), 1) and len(narrow[0]) == 8


def test_texts_are_cut_as_asked(site: Any) -> None:
    long = "great film " * 60
    asked: dict[str, Any] = {"model": "filler", "texts": [f"awful {long}", long, f"{long} awful"]}
    end = site.post("/v1/embed", asked)["embeddings"]
    assert np.allclose(end[1], end[2]) and not np.allclose(end[0], end[1])
    start = site.post("/v1/embed", {**asked, "truncate": "START"})["embeddings"]
    assert np.allclose(start[0], start[1]) and not np.allclose(start[1], start[2])
    assert "context length" in site.refused("/v1/embed", {**asked, "truncate": "NONE"})["message"]


def test_rerank(site: Any, models: dict[str, Any]) -> None:
    right = pipeline("ranking", models["ranker"])({"query": "hello", "documents": TEXTS})
    for version in (1, 2):
        found = site.post(f"/v{version}/rerank", {"model": "ranker", "query": "hello", "documents": TEXTS})["results"]
        assert [(one["index"], one["relevance_score"]) for one in found] == [(one["index"], pytest.approx(one["score"])) for one in right]
    documents = [{"text": TEXTS[0]}, {"text": TEXTS[1], "title": "a"}]
    (best,) = site.post("/v1/rerank", {"model": "ranker", "query": "hello", "documents": documents, "top_n": 1, "return_documents": True})[
        "results"
    ]
    assert best["document"] == documents[right[0]["index"]]


def test_classify(site: Any, models: dict[str, Any]) -> None:
    found = site.post("/v1/classify", {"model": "labels", "inputs": TEXTS})["classifications"]
    right = pipeline("text-classification", models["labels"])(TEXTS)
    assert [one["prediction"] for one in found] == [one[0]["label"] if isinstance(one, list) else one["label"] for one in right]
    examples = [{"text": text, "label": text.split()[3]} for text in TEXTS for _ in range(2)]
    learned = site.post("/v1/classify", {"model": "filler", "inputs": TEXTS, "examples": examples})["classifications"]
    assert [one["prediction"] for one in learned] == ["great.", "awful."]
    assert sum(each["confidence"] for each in learned[0]["labels"].values()) == pytest.approx(1)


def test_tokens(site: Any) -> None:
    found = site.post("/v1/tokenize", {"model": "plain", "text": "abc"})
    assert found["token_strings"] == ["a", "b", "c"]
    assert site.post("/v1/detokenize", {"model": "plain", "tokens": found["tokens"]})["text"] == "abc"
    assert "tokens" in site.refused("/v1/detokenize", {"model": "plain", "tokens": [10**6]})["message"]


def test_chat(site: Any, models: dict[str, Any], said: Any) -> None:
    body = {"model": "chat", "messages": SAID, "seed": 4, "max_tokens": 16, "k": 20, "p": 0.9, "temperature": 0.8}
    messages = [SAID[0], {"role": "user", "content": "hello"}]
    options = DecodeOptions(seed=4, max_new_tokens=16, top_k=20, top_p=0.9, temperature=0.8)
    right = Talk(*models["chat"], options, messages=messages).answer()
    found = site.post("/v2/chat", {**body, "logprobs": True})
    assert found["message"]["content"] == [{"type": "text", "text": right.text}]
    assert found["finish_reason"] == ("COMPLETE" if right.finish_reason == "stop" else "MAX_TOKENS")
    assert [one["logprobs"][0] for one in found["logprobs"]] == list(right.logprobs)
    status, raw, _ = site.call("POST", "/v2/chat", {**body, "stream": True})
    events = said(raw)
    assert (
        status == 200
        and "".join(one["delta"]["message"]["content"]["text"] for one in events if one["type"] == "content-delta") == right.text
    )
    assert [events[i]["type"] for i in (0, 1, -2, -1)] == ["message-start", "content-start", "content-end", "message-end"]
    assert events[-1]["delta"]["usage"]["tokens"] == found["usage"]["tokens"] and found["usage"]["tokens"]["output_tokens"] == len(
        right.ids
    )
    end = right.text[2:4]
    stop = site.post("/v2/chat", {**body, "stop_sequences": [end]})
    assert stop["finish_reason"] == "STOP_SEQUENCE"
    assert stop["message"]["content"][0]["text"] == right.text[: right.text.find(end)].rstrip()
    schema = {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"], "additionalProperties": False}
    form = {"type": "json_object", "json_schema": schema}
    assert "null" in site.post("/v2/chat", {**body, "max_tokens": 60, "response_format": form})["message"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("path", "more", "word"),
    [
        ("/v2/chat", {"tools": [{"type": "function"}]}, "tools"),
        ("/v2/chat", {"documents": ["a"]}, "documents"),
        ("/v2/chat", {"safety_mode": "STRICT"}, "safety_mode"),
        ("/v2/chat", {"max_tokens": 0}, "max_tokens"),
        ("/v2/chat", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        ("/v2/chat", {"messages": [{"role": "assistant", "content": "a"}]}, "last message"),
        ("/v2/chat", {"logprobs": True, "stream": True}, "logprobs"),
        ("/v2/chat", {"p": 2}, "p is wrong"),
        ("/v2/embed", {"inputs": [{"content": []}]}, "inputs"),
        ("/v2/embed", {"output_dimension": 9999}, "output_dimension"),
        ("/v1/embed", {"images": ["data:"]}, "images"),
        ("/v1/embed", {"texts": [""]}, "texts[0]"),
        ("/v1/rerank", {"documents": [{"title": "a"}]}, "documents[0]"),
        ("/v2/rerank", {"model": "filler"}, "masked-language-modeling"),
        ("/v1/classify", {"examples": [{"text": "a", "label": "b"}]}, "examples"),
        ("/v1/classify", {"preset": "a"}, "preset"),
    ],
)
def test_what_is_wrong_is_said(site: Any, path: str, more: dict[str, Any], word: str) -> None:
    usual: dict[str, dict[str, Any]] = {
        "chat": {"model": "chat", "messages": SAID},
        "embed": {"model": "filler", "texts": ["a"]},
        "rerank": {"model": "ranker", "query": "a", "documents": ["b"]},
        "classify": {"model": "labels", "inputs": ["a"]},
    }
    said = site.refused(path, {**usual[path.rpartition("/")[2]], **more})
    assert set(said) == {"message"} and word in said["message"]


def test_paths_that_are_not_here(site: Any) -> None:
    assert "/v2/none" in site.refused("/v2/none", {}, 404)["message"]
    assert "/v1/generate" in site.refused("/v1/generate", {}, 404)["message"]
    assert "does not exist" in site.refused("/v1/embed", {"model": "other", "texts": ["a"]}, 404)["message"]
    assert site.refused("/v1/embeddings", {"model": "plain"})["error"]["param"] == "input"  # OpenAI's, though it begins the same
    assert site.call("POST", "/v2/chat", {}, {})[:2] == (401, {"message": "a key is missing: send it as Authorization: Bearer KEY"})

"""Vertex AI's and KServe's bodies over HTTP; Google's client is in test_clients.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.tasks.pipeline import pipeline
from harken.tasks.talk import Talk

PLACE = "/v1/projects/p/locations/l"


def test_text_by_every_path(site: Any, models: dict[str, Any]) -> None:
    asked = {"temperature": 0.8, "topP": 0.9, "topK": 20, "seed": 3, "maxOutputTokens": 9}
    right = generate(*models["plain"], ["abc"] * 4, DecodeOptions(temperature=0.8, top_p=0.9, top_k=20, seed=3, max_new_tokens=9))
    instances: list[Any] = ["abc", {"prompt": "abc"}, {"content": "abc"}, {"text": "abc"}]
    paths = ["/v1/models/plain", f"{PLACE}/endpoints/plain", f"{PLACE}/publishers/google/models/plain"]
    paths += ["/v1/endpoints/e/deployedModels/plain"]
    for path in paths:
        found = site.post(f"{path}:predict", {"instances": instances, "parameters": asked})
        assert [one["content"] for one in found["predictions"]] == [one.text[3:] for one in right]
    assert (
        site.post(f"{PLACE}/endpoints/plain:predict", {"instances": ["a"], "parameters": {"max_tokens": 2}})["deployedModelId"] == "plain"
    )
    several = site.post("/v1/models/plain:predict", {"instances": ["abc"], "parameters": {**asked, "candidateCount": 3}})["predictions"]
    assert len(several[0]["candidates"]) == 3


def test_a_chat(site: Any, models: dict[str, Any]) -> None:
    said = [{"role": "system", "content": "be kind."}, {"role": "user", "content": "hello"}]
    right = Talk(*models["chat"], DecodeOptions(temperature=0, max_new_tokens=12), messages=said).answer()
    authors = {"context": "be kind.", "messages": [{"author": "me", "content": "hello"}]}
    asked = {"temperature": 0, "maxOutputTokens": 12}
    found = site.post(f"{PLACE}/endpoints/chat:predict", {"instances": [{"messages": said}, authors], "parameters": asked})["predictions"]
    assert [one["candidates"][0]["content"] for one in found] == [right.text] * 2


def test_other_tasks(site: Any, models: dict[str, Any]) -> None:
    text = "the film was great."
    (found,) = site.post("/v1/models/labels:predict", {"instances": [{"content": text, "mimeType": "text/plain"}]})["predictions"]
    right = pipeline("text-classification", models["labels"])(text, top_k=None)
    assert found["displayNames"] == [one["label"] for one in right] and found["ids"] == [
        str(("bad", "good").index(one["label"])) for one in right
    ]
    (vector,) = site.post("/v1/models/filler:predict", {"instances": [{"content": text}]})["predictions"]
    unit = pipeline("feature-extraction", models["filler"])(text, pooling="mean", normalize=True)
    assert np.allclose(vector["embeddings"]["values"], unit, atol=1e-6) and vector["embeddings"]["statistics"]["token_count"] == 7
    (tags,) = site.post("/v1/models/tagger:predict", {"instances": [text]})["predictions"]
    assert tags.keys() == {"displayNames", "confidences", "textSegmentStartOffsets", "textSegmentEndOffsets"}
    asked = {"question": "what is paris?", "context": "paris is the capital of france."}
    assert "answer" in site.post("/v1/models/finder:predict", {"instances": [asked]})["predictions"][0]


def test_what_is_ready(site: Any) -> None:
    status, found, _ = site.call("GET", "/v1/models/plain")
    assert status == 200 and found["ready"] is True and found["name"] == "plain"
    assert site.call("GET", "/v1/endpoints/e/deployedModels/plain")[1] == {"name": "plain", "ready": True}
    assert site.call("GET", "/v1/endpoints/e/deployedModels/other")[0] == 404


@pytest.mark.parametrize(
    ("model", "body", "word"),
    [
        ("plain", {"instances": []}, "instances"),
        ("plain", {"instances": ["a"], "parameters": {"groundingConfig": {}}}, "parameters.groundingConfig"),
        ("plain", {"instances": ["a"], "parameters": {"topK": 1, "top_k": 1}}, "parameters.topK"),
        ("plain", {"instances": ["a"], "parameters": {"maxOutputTokens": 0}}, "parameters.maxOutputTokens"),
        ("plain", {"instances": [{"image": "a"}]}, "instances[0]"),
        ("plain", {"instances": [{"prompt": "a", "image": "b"}]}, "'image'"),
        ("plain", {"instances": ["a"], "explain": True}, "explain"),
        ("chat", {"instances": [{"messages": [], "context": "a"}]}, "instances[0].messages"),
        ("chat", {"instances": [{"messages": [{"role": "user", "content": "a"}], "examples": [1]}]}, "examples"),
        ("labels", {"instances": ["a"], "parameters": {"temperature": 1}}, "parameters.temperature"),
    ],
)
def test_what_is_wrong_is_said(site: Any, model: str, body: Any, word: str) -> None:
    for path in (f"/v1/models/{model}", f"{PLACE}/endpoints/{model}"):
        said = site.refused(f"{path}:predict", body)["error"]
        assert (said["code"], said["status"]) == (400, "INVALID_ARGUMENT") and word in said["message"]


def test_other_errors_have_their_names(site: Any) -> None:
    assert site.refused("/v1/models/other:predict", {"instances": ["a"]}, 404)["error"]["status"] == "NOT_FOUND"
    assert site.refused("/v1/models/plain:explain", {"instances": ["a"]}, 405)["error"]["status"] == "INVALID_ARGUMENT"
    assert site.refused(f"{PLACE}/endpoints/plain:rawPredict", {}, 404)["error"]["status"] == "NOT_FOUND"
    status, said, _ = site.call("POST", "/v1/models/plain:predict", {}, {"x-goog-api-key": "wrong"})
    assert status == 401 and said["error"]["status"] == "UNAUTHENTICATED"
    assert site.call("POST", "/v1/models/plain:predict", {"instances": ["a"]}, {"x-goog-api-key": "secret"})[0] == 200

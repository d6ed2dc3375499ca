"""Azure's paths: OpenAI's answers, of the model that the path names."""

from __future__ import annotations

from typing import Any

import openai
import pytest


@pytest.fixture(scope="module")
def client(site: Any) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(azure_endpoint=site.address, api_key="secret", api_version="2024-10-21", max_retries=0)


def test_a_deployment_is_a_model(client: openai.AzureOpenAI, site: Any) -> None:
    said: Any = [{"role": "user", "content": "hello"}]
    plain = openai.OpenAI(base_url=f"{site.address}/v1", api_key="secret")
    right = plain.chat.completions.create(model="chat", messages=said, seed=3, max_tokens=12).choices[0].message.content
    found = client.chat.completions.create(model="chat", messages=said, seed=3, max_tokens=12)
    assert found.choices[0].message.content == right and found.model == "chat" and found.usage
    pieces = client.chat.completions.create(model="chat", messages=said, seed=3, max_tokens=12, stream=True)
    assert "".join(one.choices[0].delta.content or "" for one in pieces if one.choices) == right
    assert client.completions.create(model="plain", prompt="abc", max_tokens=4, temperature=0).usage.completion_tokens <= 4
    assert len(client.embeddings.create(model="plain", input="abc").data[0].embedding) == 42
    assert client.responses.create(model="chat", input="hello", max_output_tokens=12).status in ("completed", "incomplete")
    assert "chat" in [one.id for one in client.models.list()]


def test_the_deployment_says_which(site: Any) -> None:
    fixed = openai.AzureOpenAI(azure_endpoint=site.address, azure_deployment="plain", api_key="secret", api_version="x", max_retries=0)
    assert fixed.completions.create(model="whatever", prompt="abc", max_tokens=2).model == "plain"
    body = {"prompt": "abc", "max_tokens": 2}
    assert site.call("POST", "/openai/deployments/plain/completions?api-version=x", body, {"api-key": "secret"})[0] == 200
    assert site.post("/openai/v1/completions", {**body, "model": "plain"})["object"] == "text_completion"


def test_what_is_wrong_is_said_as_openai_does(client: openai.AzureOpenAI, site: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.completions.create(model="other", prompt="abc")
    assert site.refused("/openai/deployments/plain/completions", {"prompt": "a", "data_sources": []})["error"]["param"] == "data_sources"
    assert site.refused("/openai/deployments/plain/images/generations", {}, 404)["error"]["type"] == "not_found_error"
    assert site.refused("/openai/deployments/plain/completions", [1])["error"]["message"]
    status, body, _ = site.call("POST", "/openai/deployments/plain/completions", {}, {"api-key": "wrong"})
    assert status == 401 and body["error"]["code"] == "invalid_api_key"

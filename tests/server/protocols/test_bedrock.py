"""Bedrock's bodies over HTTP; boto3 is in test_clients.py."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest

from harken.decode.generate import generate
from harken.decode.options import DecodeOptions
from harken.tasks.talk import Talk

SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=secret/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00"}
TOLD = [{"role": "system", "content": "be kind."}, {"role": "user", "content": "hello"}]


def messages(raw: bytes) -> list[tuple[dict[str, str], Any]]:
    """(headers, payload) of each message of a stream, its checksums looked at."""
    found = []
    while raw:
        total, size = int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:8], "big")
        assert zlib.crc32(raw[:8]) == int.from_bytes(raw[8:12], "big")
        assert zlib.crc32(raw[: total - 4]) == int.from_bytes(raw[total - 4 : total], "big")
        headers, at = {}, 12
        while at < 12 + size:
            name = raw[at + 1 : at + 1 + raw[at]].decode()
            at += 1 + raw[at]
            assert raw[at] == 7
            length = int.from_bytes(raw[at + 1 : at + 3], "big")
            headers[name] = raw[at + 3 : at + 3 + length].decode()
            at += 3 + length
        found.append((headers, json.loads(raw[12 + size : total - 4])))
        raw = raw[total:]
    return found


def chunks(raw: bytes) -> list[Any]:
    """What the model says, part by part."""
    assert all(headers[":event-type"] == "chunk" for headers, _ in messages(raw))
    return [json.loads(base64.b64decode(payload["bytes"])) for _, payload in messages(raw)]


def test_titan_text(site: Any, models: dict[str, Any]) -> None:
    (right,) = generate(*models["plain"], ["abc"], DecodeOptions(max_new_tokens=9, temperature=0))
    body = {"inputText": "abc", "textGenerationConfig": {"maxTokenCount": 9, "temperature": 0}}
    status, found, _ = site.call("POST", "/model/plain/invoke", body, SIGNED)
    assert status == 200 and found["results"][0]["outputText"] == right.text[3:] and found["inputTextTokenCount"] == 4
    assert found["results"][0]["tokenCount"] == len(right.ids)
    status, raw, headers = site.call("POST", "/model/plain/invoke-with-response-stream", body)
    assert status == 200 and headers["content-type"] == "application/vnd.amazon.eventstream"
    parts = chunks(raw)
    assert "".join(part["outputText"] for part in parts) == right.text[3:]
    assert parts[-1]["completionReason"] == ("LENGTH" if right.finish_reason == "length" else "FINISH")
    body["textGenerationConfig"]["stopSequences"] = [right.text[5]]  # type: ignore[index]
    assert site.post("/model/plain/invoke", body)["results"][0]["completionReason"] == "STOP_CRITERIA_MET"


def test_titan_vectors(site: Any) -> None:
    right = site.post("/v1/embeddings", {"model": "filler", "input": "the film"})["data"][0]["embedding"]
    found = site.post("/model/filler/invoke", {"inputText": "the film"})
    assert np.allclose(found["embedding"], right, atol=1e-6) and found["inputTextTokenCount"] == 4
    typed = site.post("/model/filler/invoke", {"inputText": "the film", "dimensions": 8, "embeddingTypes": ["float", "binary"]})
    assert len(typed["embedding"]) == 8 and set(typed["embeddingsByType"]["binary"]) <= {0, 1}


def test_anthropics_messages(site: Any, models: dict[str, Any]) -> None:
    right = Talk(*models["chat"], DecodeOptions(temperature=0, max_new_tokens=14), messages=TOLD).answer()
    hello = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
    body = {"anthropic_version": "bedrock-2023-05-31", "system": "be kind.", "messages": [hello], "max_tokens": 14, "temperature": 0}
    found = site.post("/model/chat/invoke", body)
    assert found["content"] == [{"type": "text", "text": right.text}] and found["usage"]["output_tokens"] == len(right.ids)
    assert found["stop_reason"] == ("max_tokens" if right.finish_reason == "length" else "end_turn")
    parts = chunks(site.call("POST", "/model/chat/invoke-with-response-stream", body)[1])
    assert "".join(part["delta"]["text"] for part in parts if part["type"] == "content_block_delta") == right.text
    assert parts[0]["type"] == "message_start" and parts[-1]["type"] == "message_stop"
    stop = right.text[2:4]
    assert site.post("/model/chat/invoke", {**body, "stop_sequences": [stop]})["stop_sequence"] == stop


def test_converse(site: Any, models: dict[str, Any]) -> None:
    right = Talk(*models["chat"], DecodeOptions(seed=3, temperature=0.8, max_new_tokens=14), messages=TOLD).answer()
    body = {"messages": [{"role": "user", "content": [{"text": "hello"}]}], "system": [{"text": "be kind."}]}
    body |= {"inferenceConfig": {"maxTokens": 14, "temperature": 0.8}, "additionalModelRequestFields": {"seed": 3}}  # type: ignore[dict-item]
    found = site.post("/model/arn:aws:bedrock:us-east-1::foundation-model%2Fchat/converse", body)
    assert found["output"]["message"] == {"role": "assistant", "content": [{"text": right.text}]}
    assert found["usage"]["outputTokens"] == len(right.ids) and found["metrics"]["latencyMs"] >= 0
    events = messages(site.call("POST", "/model/chat/converse-stream", body)[1])
    kinds = [headers[":event-type"] for headers, _ in events]
    assert kinds[0] == "messageStart" and kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    assert "".join(payload["delta"]["text"] for _, payload in events if "delta" in payload) == right.text
    assert events[-1][1]["usage"]["totalTokens"] == found["usage"]["totalTokens"]


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("plain/invoke", {"prompt": "a"}, "inputText"),
        ("plain/invoke", {"inputText": "a", "textGenerationConfig": {"topK": 3}}, "textGenerationConfig.topK"),
        ("plain/invoke", {"inputText": "a", "textGenerationConfig": {"maxTokenCount": 0}}, "textGenerationConfig.maxTokenCount"),
        ("plain/invoke", {"inputText": "a" * 500, "textGenerationConfig": {}}, "context length"),
        ("plain/invoke", b"{", "not JSON"),
        ("plain/invoke", b"[]", "object"),
        ("filler/invoke", {"inputText": "a", "normalize": False}, "normalize"),
        ("filler/invoke-with-response-stream", {"inputText": "a"}, "stream"),
        ("chat/invoke", {"messages": [{"role": "user", "content": "a"}]}, "max_tokens is missing"),
        ("chat/invoke", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 3, "tools": [{}]}, "tools"),
        (
            "chat/invoke",
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}], "max_tokens": 3},
            "messages[0].content",
        ),
        ("chat/converse", {"messages": [{"role": "user", "content": [{"image": {}}]}]}, "messages[0].content[0]"),
        ("chat/converse", {"messages": [{"role": "user", "content": [{"text": "a"}]}], "toolConfig": {"tools": []}}, "toolConfig"),
        ("chat/converse", {"messages": [{"role": "assistant", "content": [{"text": "a"}]}]}, "last message"),
        (
            "chat/converse",
            {"messages": [{"role": "user", "content": [{"text": "a"}]}], "additionalModelRequestFields": {"top_a": 1}},
            "additionalModelRequestFields.top_a",
        ),
    ],
)
def test_what_is_wrong_is_said(site: Any, path: str, body: Any, word: str) -> None:
    status, said, headers = site.call("POST", f"/model/{path}", body)
    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationException") and word in said["message"]


def test_other_errors_have_their_names(site: Any) -> None:
    status, _, headers = site.call("POST", "/model/other/invoke", {"inputText": "a"})
    assert (status, headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")
    status, _, headers = site.call("POST", "/model/plain/count-tokens", {})
    assert (status, headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")
    status, said, headers = site.call(
        "POST", "/model/plain/invoke", {}, {"authorization": SIGNED["authorization"].replace("secret", "wrong")}
    )
    assert (status, headers["x-amzn-errortype"]) == (401, "AccessDeniedException") and "key" in said["message"]

"""Nonsense against every route that takes a body: the server lives, every error has the protocol's body, memory stays where it was."""

from __future__ import annotations

import http.client
import json
import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from harken.server.app import Server, application
from harken.server.engine import Engine
from harken.server.guard import Rules
from harken.server.limits import Limits
from harken.server.served import Served

WORDS = ["", "a", "abc", "plain", "chat", "\ud800", "\x00", "é" * 30, "a" * 300, "<|im_start|>", "user", "json_object", "text", "-1", "NaN"]
OPENAI = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
FIELDS = (
    "inputText",
    "textGenerationConfig",
    "messages",
    "max_tokens",
    "instances",
    "parameters",
    "inputs",
    "prompt",
    "temperature",
    "system",
)
"""Of routes that take bodies of several kinds."""
NUMBERS = [0, 1, -1, 2, 5, 0.5, 1e308, -1e308, 2**31, 2**63, 2**64, float("nan"), float("inf"), 10**30]


@pytest.fixture(scope="module")
def server(kinds: Any, talker: Any) -> Server:
    models = [Served("plain", *kinds("gpt2")), Served("chat", *talker("messages"))]
    return Server(Engine(models, Limits(max_running=8, max_waiting=16, cache_memory=0.001)), Rules(keys={}))


@pytest.fixture(scope="module")
def address(server: Server, live: Any) -> Iterator[str]:
    with live(server) as address:
        yield address


def nonsense(rng: random.Random, deep: int = 0) -> Any:
    kind = rng.randrange(7 if deep < 4 else 5)
    if kind < 2:
        return rng.choice(WORDS)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind == 4:
        return rng.choice([None, True, False])
    if kind == 5:
        return [nonsense(rng, deep + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS): nonsense(rng, deep + 1) for _ in range(rng.randrange(4))}


def bodies(fields: dict[str, Any], rng: random.Random) -> Iterator[Any]:
    """Bodies with a few fields spoiled, and some that are nothing at all."""
    good: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "prompt": "abc", "input": "abc", "max_tokens": 3}
    while True:
        body = {name: good[name] for name in fields if name in good} | {"model": rng.choice(["plain", "chat"])}
        for name in rng.sample(sorted(fields), min(rng.randrange(1, 4), len(fields))):
            body[name] = nonsense(rng)
        if rng.random() < 0.1:
            body[rng.choice(WORDS)] = nonsense(rng)
        yield body if rng.random() < 0.9 else nonsense(rng)


@pytest.mark.parametrize("count", [60, pytest.param(600, marks=pytest.mark.slow)])
def test_nonsense_is_answered_with_an_error(count: int, address: str, server: Server) -> None:
    document = application(Server(server.engine, Rules(keys={}))).openapi()
    rng, refused = random.Random(count), 0
    for path, operations in document["paths"].items():
        kinds = operations.get("post", {}).get("requestBody", {}).get("content", {"application/json": {}})
        if "post" not in operations or "application/json" not in kinds:
            continue
        name = kinds["application/json"].get("schema", {}).get("$ref", "").rpartition("/")[2]
        fields = document["components"]["schemas"].get(name, {}).get("properties") or dict.fromkeys(FIELDS)
        makes, place = bodies(fields, rng), re.sub(r"{[^}]*}", "plain", path)
        for _ in range(count):
            body = json.dumps(next(makes)).encode()
            if rng.random() < 0.05:
                body = body[: rng.randrange(len(body) + 1)] + bytes(rng.randrange(256) for _ in range(3))
            wire = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
            wire.request("POST", place, body, {"content-type": "application/json"})
            answer = wire.getresponse()
            text = answer.read()
            wire.close()
            assert answer.status in (200, 400, 404, 413, 429), (place, body, answer.status, text)
            refused += answer.status != 200
            if answer.status != 200:
                said = json.loads(text)
                assert said
                if place in OPENAI:
                    assert set(said["error"]) == {"message", "type", "param", "code"}
    assert refused > count and {*OPENAI} <= {*document["paths"]}
    assert server.engine.running == server.engine.waiting == 0 and not server.engine._open
    assert all(batch.nbytes <= 2 * batch.room for batch in server.engine.batches.values())

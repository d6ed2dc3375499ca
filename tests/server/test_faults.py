"""Clients that vanish, that never finish to ask and that never read, beside others: the server lives, and holds nothing for them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from harken.server import guard
from harken.server.app import Server
from harken.server.engine import Engine
from harken.server.guard import Rules
from harken.server.limits import Limits
from harken.server.live import Punctual
from harken.server.served import Served

PLAIN = {"model": "plain", "prompt": "abc", "max_tokens": 6, "temperature": 0}
LONG = {"model": "plain", "prompt": "abc", "max_tokens": 40, "min_tokens": 40, "temperature": 1, "stream": True}


@pytest.fixture(scope="module")
def server(kinds: Any) -> Server:
    return Server(Engine([Served("plain", *kinds("gpt2"))], Limits(max_running=64, max_waiting=512)), Rules(keys={}))


@pytest.fixture(scope="module")
def address(server: Server, live: Any) -> Iterator[str]:
    with live(server) as address:
        yield address


def line(address: str, buffer: int | None = None) -> socket.socket:
    """A connection; `buffer`: bytes that it takes unread."""
    place = urlsplit(address)
    wire = socket.socket()
    if buffer is not None:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    wire.settimeout(20)
    wire.connect((place.hostname, place.port))
    return wire


def request(body: dict[str, Any], path: str = "/v1/completions") -> bytes:
    """As it goes over the wire."""
    text = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n".encode() + text
    )


def asked(address: str, body: dict[str, Any]) -> tuple[int, Any]:
    """(status, answer) of an ordinary client."""
    with contextlib.closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)) as wire:
        wire.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
        answer = wire.getresponse()
        return answer.status, json.loads(answer.read())


def ended(wire: socket.socket) -> bool:
    """Whether the other side has closed."""
    try:
        while wire.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def still(server: Server) -> None:
    """Nothing is under way any more, soon."""
    end = time.monotonic() + 30
    while server.engine.running or server.engine.waiting or server.engine._open:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    "said",
    [b"", b"POST /v1/comp", b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nx-slow", request(PLAIN) + b"POST /v1/completions HT"],
)
def test_who_does_not_finish_to_ask_is_left(said: bytes, address: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Punctual, "patience", 0.5)
    wires = [line(address) for _ in range(40)]
    for wire in wires:
        wire.sendall(said)
    assert asked(address, PLAIN)[0] == 200  # others have their answer meanwhile
    assert all(map(ended, wires))
    for wire in wires:
        wire.close()
    still(server)


def test_who_says_on_slowly_but_in_time_is_heard(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Punctual, "patience", 5.0)
    text = request(PLAIN)
    with contextlib.closing(line(address)) as wire:
        for at in range(0, len(text), 40):
            wire.sendall(text[at : at + 40])
            time.sleep(0.02)
        assert wire.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_body_that_stops_in_the_middle(address: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "STALLED", 0.5)
    wires = [line(address) for _ in range(10)]
    for wire in wires:
        wire.sendall(request(PLAIN)[:-9])
    assert asked(address, PLAIN)[0] == 200
    assert all(map(ended, wires))
    still(server)


def test_who_does_not_read_holds_up_nobody(address: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "STALLED", 1.0)
    right = asked(address, PLAIN)
    wire = line(address, 1024)
    much = {**LONG, "n": 64, "logprobs": 5, "model": "plain"}
    wire.sendall(request(much) * 6)
    for _ in range(5):
        assert asked(address, PLAIN)[1]["choices"] == right[1]["choices"]
    time.sleep(2)
    still(server)
    heard = bytearray()
    with contextlib.closing(wire), contextlib.suppress(ConnectionError):
        while piece := wire.recv(1 << 20):
            heard += piece
    assert heard.startswith(b"HTTP/1.1 200") and heard.count(b"[DONE]") < 6  # it was given up


def test_many_that_vanish_in_the_middle_of_an_answer(address: str, server: Server) -> None:
    right = asked(address, PLAIN)
    for _ in range(4):
        wires = [line(address) for _ in range(25)]
        for n, wire in enumerate(wires):
            wire.sendall(request({**LONG, "seed": n}))
        for wire in wires[::2]:
            assert wire.recv(20).startswith(b"HTTP/1.1 200")
        for wire in wires:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset, and no farewell
            wire.close()
        assert asked(address, PLAIN)[1]["choices"] == right[1]["choices"]
    still(server)
    assert all(batch.nbytes <= 2 * batch.room for batch in server.engine.batches.values())


def test_what_no_memory_is_there_for(kinds: Any, live: Any) -> None:
    tight = Server(Engine([Served("plain", *kinds("gpt2"))], Limits(cache_memory=0.00002)), Rules(keys={}))
    with live(tight) as address:
        status, said = asked(address, {**PLAIN, "prompt": "abc" * 14, "n": 8, "temperature": 1})
        assert status == 400 and set(said["error"]) == {"message", "type", "param", "code"}, said
        assert asked(address, {**PLAIN, "prompt": "a", "max_tokens": 1})[0] == 200  # what there is room for is answered
        still(tight)

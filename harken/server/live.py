"""The application on a socket, until it is told to end: then answers under way have their time, and end properly."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ..base.errors import InputError
from .app import Server, application
from .guard import STALLED


class Live(uvicorn.Server):
    """uvicorn, which tells the engine to end as soon as it is told itself, and not when all have left."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self.served = server

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, and wait for what is under way."""
        ending = asyncio.ensure_future(self.served.engine.drain(self.served.grace))
        await super().shutdown(sockets)
        await ending


class Punctual(AutoHTTPProtocol):
    """uvicorn's protocol, which leaves a client that does not say in time what it asks: uvicorn itself waits for ever, and holds the
    connection."""

    patience = STALLED
    loop: asyncio.AbstractEventLoop
    transport: Any
    cycle: Any
    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._rest()

    def _watch(self) -> None:
        """Let time run until a request is whole up to its body."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._rest()
        elif self.timer is None:
            self.timer = self.loop.call_later(self.patience, self.transport.abort)

    def _rest(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens. InputError when it cannot."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise InputError(f"--host {host} --port {port} cannot be listened on ({error.strerror or error}): take another --port") from None
    with made:
        yield made


def configured(server: Server, **more: Any) -> uvicorn.Config:
    """uvicorn's settings: it says nothing itself, and gives up clients that stay when all else has ended."""
    wait = int(server.grace) + 10
    app: Any = application(server)
    more = {"http": Punctual, "log_level": "warning", "access_log": False, "server_header": False, **more}
    return uvicorn.Config(app, timeout_graceful_shutdown=wait, **more)


def listen(server: Server, where: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    for each in (signal.SIGINT, signal.SIGTERM):  # uvicorn takes them, and raises them once more when it has ended
        signal.signal(each, lambda *_: None)
    asyncio.run(Live(configured(server), server).serve(sockets=[where]))

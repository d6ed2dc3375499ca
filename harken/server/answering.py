"""An answer on its way to a client: as a whole, or as events of a stream, for as long as somebody listens.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse

from ..base.errors import HarkenError
from ..base.report import say
from .protocols.protocol import Fault
from .refusal import Refusal
from .writing import Who, Writing

Result = TypeVar("Result")
QUIET = 15.0
"""Seconds without an event after which a stream says that it is still there."""


def who_of(request: Request) -> Who:
    """Who asks."""
    return request.state.who


async def heard(request: Request, work: Awaitable[Result]) -> Result:
    """The result of some work, which is given up when the client leaves. Refusal (499) then, which nobody sees."""
    task: asyncio.Future[Result] = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(left(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refusal("the client has gone", 499)
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def left(request: Request) -> None:
    """When the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def data(value: Any, event: str | None = None) -> bytes:
    """One event of a stream."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


class Streamed(StreamingResponse):
    """Events as they come. `writing`: given up when the client leaves, whether anything was sent or not."""

    def __init__(
        self,
        writing: Writing,
        events: AsyncIterator[bytes],
        error: Callable[[Fault], Any],
        headers: Mapping[str, str] | None = None,
        media_type: str = "text/event-stream",
    ) -> None:
        """`error`: the protocol's body for what goes wrong after the beginning, sent as the last event; bytes are sent as they are."""
        comments = media_type == "text/event-stream"
        super().__init__(_kept(events, error, comments), headers={"cache-control": "no-store", **(headers or {})}, media_type=media_type)
        self.writing = writing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.writing.cancel()


async def _kept(events: AsyncIterator[bytes], error: Callable[[Fault], Any], comments: bool) -> AsyncIterator[bytes]:
    """The events, a comment where there are none for long and there may be `comments`, and what went wrong."""
    coming: asyncio.Future[bytes] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events))  # pyright: ignore[reportArgumentType]
            done, _ = await asyncio.wait((coming,), timeout=QUIET)
            if not done:
                if comments:
                    yield b": still here\n\n"
                continue
            ready, coming = coming, None
            yield ready.result()
    except StopAsyncIteration:
        return
    except Exception as wrong:
        said = error(fault_of(wrong))
        yield said if isinstance(said, bytes) else data(said)
    finally:
        if coming is not None:
            coming.cancel()


def fault_of(wrong: Exception) -> Fault:
    """What is said of an error in the middle of an answer."""
    if isinstance(wrong, Refusal):
        return Fault(wrong.status, str(wrong), wrong.param, wrong.code)
    if isinstance(wrong, HarkenError):
        return Fault(400 if wrong.exit_code == 2 else 500, str(wrong))
    say(f"an answer broke off: {type(wrong).__name__}: {wrong}")
    return Fault(500, "the server could not go on with this answer; its log says more", code="internal_error")

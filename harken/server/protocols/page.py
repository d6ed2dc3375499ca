"""The page at `/`, and what it asks beside OpenAI's protocol: cards of models, training curves, attention, tokens with alternatives, load.

The page and its files need no key: they hold nothing of the models. All that they ask does, where there are keys.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from ...decode.settle import inherited
from ...draw.labels import printable
from ...view.inspect import shown
from .. import about, looking
from ..answering import Streamed, begun, data, heard, seed_of, who_of
from ..pages import files
from ..planning import encoded_prompt
from ..refusal import Refusal
from ..served import Served
from ..writing import Ended, Token, Writing
from .openai_fields import Sampling, decoding, error_body, finite, translated
from .protocol import Body, Protocol

if TYPE_CHECKING:
    from ..app import Server

TOP = 10
"""Alternatives of a token at most."""
TOKENS = 64
"""New tokens where nobody says."""


class CompleteBody(Body):
    """A text to go on from, or its ids, which say exactly where a branch begins."""

    model: str
    prompt: str = ""
    ids: Annotated[list[int], Field(max_length=100_000)] | None = None
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    top: int = Field(5, ge=1, le=TOP)


class AttentionBody(Body):
    """A text that the model is to read, or a chat; with a target: the source of it."""

    model: str
    text: Annotated[str, Field(max_length=1_000_000)] = ""
    messages: list[dict[str, Any]] = Field(default_factory=list, max_length=1000)
    target: Annotated[str, Field(max_length=1_000_000)] | None = None
    top: int = Field(5, ge=1, le=TOP)


def routes(server: Server) -> APIRouter:
    """All of them."""
    router, engine = APIRouter(), server.engine
    static(router)

    @router.get("/harken/models", tags=["page"])
    async def models() -> dict[str, Any]:
        """A card of every model."""
        return {"models": [await asyncio.to_thread(about.card, one) for one in engine.models.values()]}

    @router.get("/harken/training", tags=["page"])
    async def training(model: str) -> dict[str, Any]:
        """How the loss of a model fell while it learned."""
        return {"model": model, "lines": await asyncio.to_thread(about.curves, engine.find(model).folder)}

    @router.get("/harken/server", tags=["page"])
    async def load() -> dict[str, Any]:
        """What is under way now, and what was counted since the server began."""
        return loaded(server)

    @router.post("/harken/attention", tags=["page"])
    async def attention(body: AttentionBody, request: Request) -> dict[str, Any]:
        """Where a model looks as it reads a text, head by head, and what it expects of every token."""
        served = engine.find(body.model)
        if not (body.text or body.messages):
            raise Refusal("there is nothing to read: give a text, or messages", param="text")
        turn = engine.work(lambda: looking.look(served, body.text, body.messages, body.target, body.top))
        (found,) = await heard(request, turn)
        return await asyncio.to_thread(looking.seen, found)

    @router.post("/harken/complete", tags=["page"], response_class=Response)
    async def complete(body: CompleteBody, request: Request) -> Response:
        """A text with the probability of each of its tokens, and how it goes on, as a stream of events."""
        served = engine.find(body.model)
        asked = Sampling.model_validate(body.model_dump(include={"model", "temperature", "top_p", "seed"}))
        with translated():
            prompt = await asyncio.to_thread(encoded_prompt, served, body.ids or body.prompt)
            options = decoding(served, asked, body.max_tokens or min(TOKENS, engine.limits.max_new_tokens))
            known = [] if served.model.reads == "source" else await heard(request, engine.weigh(served, prompt.ids, body.top))
            usual = inherited(served.usual, options.given, {})
            if (usual.get("num_beams") or 1) > 1 and served.model.reads == "text":  # alternatives are of one token after the other
                options = dataclasses.replace(options, num_beams=1, num_return_sequences=1)
            top = body.top if served.batched and not usual.get("penalty_alpha") else 0
            writing = await engine.write(served, [prompt], options, top=top, stream=True, who=who_of(request))
            await begun(request, writing)
        return Streamed(writing, events(writing, known), error_body, seed_of(writing))

    return router


def static(router: APIRouter) -> None:
    """The page and its files, which browsers keep until they change."""

    def add(path: str, body: bytes, headers: dict[str, str]) -> None:
        async def file(request: Request) -> Response:
            if request.headers.get("if-none-match") == headers["etag"]:
                return Response(status_code=304, headers=headers)
            return Response(body, headers=headers)

        router.add_api_route(path, file, methods=["GET", "HEAD"], include_in_schema=False)

    for path, (body, headers) in files().items():
        add(path, body, headers)


async def events(writing: Writing, known: Sequence[Token]) -> AsyncIterator[bytes]:
    """{prompt: tokens}, then {tokens} as they come, then {end, seed}."""
    served = writing.served
    yield data({"prompt": [told(served, token, first=i == 0) for i, token in enumerate(known)]})
    async with writing:
        async for event in writing:
            if event.tokens:
                yield data({"tokens": [told(served, token) for token in event.tokens]})
            if isinstance(event, Ended):
                text = event.found.text[len(writing.rows[0].prompt.shown) :]
                yield data({"end": event.found.finish_reason, "text": text, "seed": writing.plan.options.seed})


def told(served: Served, token: Token, *, first: bool = False) -> dict[str, Any]:
    """A token as the page shows it. `first`: nothing stands before it, so nothing was expected."""
    words = served.tokenizer.target
    text = shown(words, token.id)
    return {
        "id": token.id,
        "piece": printable(text, running=True),
        "label": printable(text),
        "special": token.id in words.special_ids,
        "logprob": None if first else finite(token.logprob),
        "top": [] if first else [[id, printable(shown(words, id)), finite(logprob)] for id, logprob in token.top],
    }


def loaded(server: Server) -> dict[str, Any]:
    """What the server does; of texts only how long they are."""
    engine, now = server.engine, time.monotonic()
    going: dict[Writing, str] = {}
    for batch in list(engine.batches.values()):
        going |= {flight.writing: "waiting" for flight in list(batch.waiting)}
        going |= {flight.writing: "running" for flight in list(batch.flying)}
    requests = [
        {
            "id": one.who.id,
            "key": one.who.key,
            "model": one.served.name,
            "state": state,
            "read": one.prompt_tokens,
            "written": one.completion_tokens,
            "seconds": round(now - one.began, 2),
        }
        for one, state in going.items()
        if not one.done and not one.cancelled
    ]

    def total(counter: Any) -> int:
        return int(sum(each.value for found in counter.collect() for each in found.samples if each.name.endswith("_total")))

    return {
        "seconds": round(time.time() - server.started, 1),
        "running": engine.running,
        "waiting": engine.waiting,
        "requests": requests,
        "read": total(engine.tally.read) + sum(each["read"] for each in requests),
        "written": total(engine.tally.written) + sum(each["written"] for each in requests),
        "answered": total(engine.tally.requests),
        "cache_bytes": sum(batch.nbytes for batch in list(engine.batches.values())),
        "max_running": engine.limits.max_running,
        "max_waiting": engine.limits.max_waiting,
    }


PROTOCOL = Protocol("page", ("/harken/", "/page/"), routes, error_body)

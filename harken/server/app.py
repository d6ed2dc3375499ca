"""The application: every protocol's routes over one engine, health and metrics, and every error in the words of the protocol it concerns.

    app = application(Server(engine, Rules(keys={})))
A FastAPI application; its document is at /openapi.json.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from ..base.errors import HarkenError, InputError
from .answering import Json
from .engine import Engine
from .guard import Guard, Rules
from .protocols.protocol import Fault, Protocol
from .protocols.table import PROTOCOLS
from .refusal import Refusal, closing
from .tuning import Tuning

WORDS = {"extra_forbidden": "is not supported here: leave it out", "missing": "is missing"}
"""What is wrong with a field, where pydantic's own words say less."""
JSON: dict[str, Any] = {"application/json": {}}


@dataclass(eq=False)
class Server:
    """What the routes work with. `grace`: seconds that answers under way have when the server ends · `tuning`: where models learn more;
    None: nowhere."""

    engine: Engine
    rules: Rules
    grace: float = 30.0
    tuning: Tuning | None = None
    started: float = field(default_factory=time.time)


def application(server: Server, protocols: Sequence[Protocol] | None = None) -> FastAPI:
    """The FastAPI application of a server; its engine begins and ends with it."""
    spoken = tuple(protocols or (importlib.import_module(name).PROTOCOL for name in PROTOCOLS))

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        server.engine.start()
        if server.tuning is not None:
            await server.tuning.start(server.engine)
        yield
        if server.tuning is not None:
            await server.tuning.stop()
        await server.engine.drain(server.grace)

    app = FastAPI(title="harken", version=_version(), lifespan=life, docs_url=None, redoc_url=None, default_response_class=Json)
    app.state.server, app.state.protocols = server, spoken
    common(app, server)
    for protocol in spoken:
        app.include_router(protocol.routes(server))
    handle(app, spoken)
    app.openapi = lambda: document(app)  # pyright: ignore[reportAttributeAccessIssue]
    app.add_middleware(
        Guard,  # pyright: ignore[reportArgumentType]
        rules=server.rules,
        error=lambda path, fault, retry: respond(spoken, path, fault, retry),
        tally=server.engine.tally,
    )
    return app


def common(app: FastAPI, server: Server) -> None:
    """The routes that are of no protocol."""
    engine = server.engine

    @app.get("/health", tags=["server"])
    async def health() -> dict[str, Any]:
        """Whether requests are taken."""
        if engine.closing:
            raise closing()
        if not engine.alive:
            raise Refusal("nothing is computed any more: start the server again", 503, code="dead")
        return {"status": "ok", "models": list(engine.models), "running": engine.running, "waiting": engine.waiting}

    @app.get("/metrics", tags=["server"], response_class=Response)
    async def metrics() -> Response:
        """What was counted, for Prometheus."""
        return Response(engine.tally.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


def handle(app: FastAPI, spoken: Sequence[Protocol]) -> None:
    """Turn what goes wrong inside the routes into the protocols' errors."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return respond(spoken, request.url.path, wrong_field(error), None)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        says = {404: f"there is no {request.url.path} here", 405: f"{request.method} is not possible on {request.url.path}"}
        message = str(error.detail) if error.status_code not in says else says[error.status_code]
        return respond(spoken, request.url.path, Fault(error.status_code, message), None)

    @app.exception_handler(HarkenError)
    async def harken(request: Request, error: HarkenError) -> Response:
        if isinstance(error, Refusal):
            fault, retry = Fault(error.status, str(error), error.param, error.code), error.retry
        else:
            fault, retry = Fault(400 if isinstance(error, InputError) else 500, str(error)), None
        return respond(spoken, request.url.path, fault, retry)


def respond(spoken: Sequence[Protocol], path: str, fault: Fault, retry: int | None) -> Response:
    """An error in the words of the protocol that a path belongs to; of the first where it belongs to none."""
    protocol = max(spoken, key=lambda one: one.fits(path))
    headers = {**protocol.headers(fault), **({} if retry is None else {"retry-after": str(retry)})}
    if fault.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Json(protocol.error(fault), fault.status, headers)


def wrong_field(error: RequestValidationError) -> Fault:
    """What is wrong with a body, by its first field that is: 400, and not FastAPI's 422, which clients do not know."""
    first = error.errors()[0]
    where = [part for part in first["loc"] if part not in ("body", "query", "path")]
    if first["type"] == "json_invalid":
        return Fault(400, f"the body is not JSON: {first.get('ctx', {}).get('error', 'it cannot be read')}")
    kinds = ("function-", "list[", "constrained-", "literal[", "union[", "model[")
    names = [str(part) for part in where if not (isinstance(part, str) and part.startswith(kinds))]
    name = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in names).lstrip(".")
    said = first["msg"].removeprefix("Value error, ")
    says = WORDS.get(first["type"]) or f"is wrong: {said[:1].lower()}{said[1:]}"
    return Fault(400, f"{name or 'the body'} {says}", name or None, "unknown_parameter" if first["type"] == "extra_forbidden" else None)


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with errors as they are, and with every part of a path that a route reads from the request itself."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes, description="Models of harken behind a port.")
        for place, path in found["paths"].items():
            for operation in path.values():
                known = operation.setdefault("parameters", [])
                names = set(re.findall(r"{([^}]*)}", place)) - {each["name"] for each in known if each["in"] == "path"}
                known += [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in sorted(names)]
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = {
                    "description": "What is wrong, in the protocol's words.",
                    "content": {"application/json": {}},
                }
        for name in ("HTTPValidationError", "ValidationError"):
            found.get("components", {}).get("schemas", {}).pop(name, None)
        app.openapi_schema = found
    return app.openapi_schema


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("harken")
    except metadata.PackageNotFoundError:
        return "0+source"

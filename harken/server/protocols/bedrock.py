"""Amazon Bedrock's runtime: `invoke` with bodies of Titan and of Anthropic's messages, and `converse`, whole or as a stream.

The id of a model is its name here. A request that is signed as AWS has it bears the key as its access key id (the secret may be anything,
the signature is not looked at); a bearer token, as in AWS_BEARER_TOKEN_BEDROCK, is the key itself.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError

from ..answering import Json
from ..refusal import Refusal
from ..served import Served
from . import bedrock_anthropic, bedrock_converse, bedrock_titan
from .eventstream import name_of
from .protocol import Body, Fault, Protocol

if TYPE_CHECKING:
    from ..app import Server

Known = TypeVar("Known", bound=Body)
VECTORS = ("dimensions", "normalize", "embeddingTypes")
JSON = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}


def routes(server: Server) -> APIRouter:
    """invoke and converse, and their streams."""
    found = APIRouter(tags=["bedrock"])

    @found.post("/model/{model:path}/invoke", response_class=Json, openapi_extra=JSON)
    async def invoke(model: str, request: Request) -> Response:
        """The answer to a body of Titan, or of Anthropic's messages."""
        return await invoked(model, request, stream=False)

    @found.post("/model/{model:path}/invoke-with-response-stream", response_class=Json, openapi_extra=JSON)
    async def streamed(model: str, request: Request) -> Response:
        """The same in parts."""
        return await invoked(model, request, stream=True)

    async def invoked(model: str, request: Request, *, stream: bool) -> Response:
        given, served = await object_of(request), served_as(server, model)
        if "messages" in given or "anthropic_version" in given:
            body = checked(bedrock_anthropic.MessagesBody, given)
            return await bedrock_anthropic.answered(server, served, body, request, stream)
        if "inputText" not in given:
            raise Refusal("the body is neither Titan's, with inputText, nor Anthropic's, with messages", param="inputText")
        embeds = any(name in given for name in VECTORS) or ("textGenerationConfig" not in given and not served.writes)
        if not embeds:
            return await bedrock_titan.written(server, served, checked(bedrock_titan.TextBody, given), request, stream)
        if stream:
            raise Refusal("vectors have no stream: invoke the model without one")
        return await bedrock_titan.embedded(server, served, checked(bedrock_titan.VectorBody, given), request)

    @found.post("/model/{model:path}/converse", response_class=Json)
    async def converse(model: str, body: bedrock_converse.ConverseBody, request: Request) -> Response:
        """A reply to messages."""
        return await bedrock_converse.answered(server, served_as(server, model), body, request, stream=False)

    @found.post("/model/{model:path}/converse-stream", response_class=Json)
    async def converse_stream(model: str, body: bedrock_converse.ConverseBody, request: Request) -> Response:
        """The same in events."""
        return await bedrock_converse.answered(server, served_as(server, model), body, request, stream=True)

    return found


def served_as(server: Server, model: str) -> Served:
    """The model of an id, or of an ARN that ends with it."""
    return server.engine.find(model.rpartition("/")[2] if model.startswith("arn:") else model)


async def object_of(request: Request) -> dict[str, Any]:
    """The body, whatever its type is said to be: clients leave that to the caller."""
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise Refusal(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refusal("the body should be a JSON object")
    return found


def checked(kind: type[Known], given: dict[str, Any]) -> Known:
    """A body of a kind; what is wrong with its fields is said as with any other."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def error_body(fault: Fault) -> dict[str, Any]:
    """A sentence; the kind of error is in a header."""
    return {"message": fault.message}


PROTOCOL = Protocol("bedrock", ("/model/",), routes, error_body, lambda fault: {"x-amzn-errortype": name_of(fault)})

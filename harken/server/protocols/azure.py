"""Azure's paths of OpenAI's protocol: a deployment is a model by its name. The fields, the answers and the errors are OpenAI's.

/openai/deployments/{deployment}/chat/completions?api-version=…        the deployment says which model, whatever the body says
/openai/v1/…                                                           as /v1/…
Any api-version is taken, and the key may come as `api-key`. https://learn.microsoft.com/azure/ai-foundry/openai/reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from . import openai_chat, openai_completions, openai_embeddings, openai_responses
from .openai import card
from .openai_fields import error_body
from .protocol import Protocol
from .worded import Pathed

if TYPE_CHECKING:
    from ..app import Server


def routes(server: Server) -> APIRouter:
    """By deployment, and by model."""
    engine, found = server.engine, APIRouter(tags=["azure"])
    deployed = APIRouter(prefix="/openai/deployments/{model}", route_class=Pathed)
    for part in (openai_chat, openai_completions, openai_embeddings):
        part.add(deployed, server)
    plain = APIRouter(prefix="/openai/v1")
    for part in (openai_chat, openai_completions, openai_embeddings, openai_responses):
        part.add(plain, server)
    older = APIRouter(prefix="/openai")
    openai_responses.add(older, server)

    @older.get("/models")
    @plain.get("/models")
    async def models() -> dict[str, Any]:
        """The models that are served."""
        return {"object": "list", "data": [card(one) for one in engine.models.values()]}

    @older.get("/models/{model:path}")
    @plain.get("/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        """One of them."""
        return card(engine.find(model))

    for router in (deployed, plain, older):
        found.include_router(router)
    return found


PROTOCOL = Protocol("azure", ("/openai/",), routes, error_body)

"""OpenAI's protocol: models, chat, completions, embeddings, responses. https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from . import openai_chat, openai_completions, openai_embeddings, openai_responses, openai_tuning
from .openai_fields import error_body
from .protocol import Protocol

if TYPE_CHECKING:
    from ..app import Server
    from ..served import Served


def routes(server: Server) -> APIRouter:
    """All of them, and the list of models."""
    router, engine = APIRouter(prefix="/v1", tags=["openai"]), server.engine

    @router.get("/models")
    async def models() -> dict[str, Any]:
        """The models that are served."""
        return {"object": "list", "data": [card(one) for one in engine.models.values()]}

    @router.get("/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        """One of them."""
        return card(engine.find(model))

    for part in (openai_chat, openai_completions, openai_embeddings, openai_responses, openai_tuning):
        part.add(router, server)
    return router


def card(served: Served) -> dict[str, Any]:
    """A model as OpenAI describes it, and what else is good to know: to KServe, that it is ready."""
    return {
        "id": served.name,
        "name": served.name,
        "ready": True,
        "object": "model",
        "created": served.created,
        "owned_by": "harken",
        "max_model_len": served.context,
        "task": served.model.config.task,
    }


PROTOCOL = Protocol("openai", ("/v1/", "/"), routes, error_body)

"""OpenAI's files and fine-tuning jobs: each job is a `harken train`, and what comes of it is served at once.

Off unless the server was started with a folder to keep files and runs in.
https://platform.openai.com/docs/api-reference/fine-tuning
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.datastructures import UploadFile

from ..answering import Json
from ..refusal import Refusal
from ..tuning import Tuning
from .openai_fields import only
from .protocol import Body

if TYPE_CHECKING:
    from ..app import Server

EPOCHS = 3
"""Passes over the examples where nobody says."""
RATE = 1e-4
"""What learning_rate_multiplier multiplies."""
Auto = Literal["auto"]


class Hyperparameters(Body):
    """How to learn."""

    n_epochs: Auto | Annotated[int, Field(ge=1, le=50)] = "auto"
    batch_size: Auto | Annotated[int, Field(ge=1, le=256)] = "auto"
    learning_rate_multiplier: Auto | Annotated[float, Field(gt=0)] = "auto"


class Supervised(Body):
    """Learning from what the assistant says."""

    hyperparameters: Hyperparameters | None = None


class Method(Body):
    """What is learned by."""

    type: Literal["supervised"]
    supervised: Supervised | None = None


class JobBody(Body):
    """A model, what it is to learn from, and how."""

    model: str
    training_file: str
    validation_file: str | None = None
    hyperparameters: Hyperparameters | None = None
    method: Method | None = None
    suffix: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")] | None = None
    seed: int | None = Field(None, ge=0, lt=2**31)
    metadata: dict[str, str] | None = None
    integrations: only([]) = None  # pyright: ignore[reportInvalidTypeForm]


def add(router: APIRouter, server: Server) -> None:
    """Its routes."""
    add_files(router, server)
    add_jobs(router, server)


def tuning_of(server: Server) -> Tuning:
    """Where jobs are done. Refusal (404) where they are not."""
    if server.tuning is None:
        raise Refusal("files and fine-tuning jobs are off: start the server with --fine-tune FOLDER", 404)
    return server.tuning


def add_files(router: APIRouter, server: Server) -> None:
    """Upload, list, look at, read and delete."""

    @router.post("/files")
    async def upload(request: Request) -> dict[str, Any]:
        """A file of examples, one JSON object a line; the purpose is fine-tune."""
        tuning = tuning_of(server)
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise Refusal("a file is sent as multipart/form-data, with file and purpose", param="file")
        async with request.form(max_files=1, max_fields=8) as form:
            if unknown := [name for name in form if name not in ("file", "purpose")]:
                raise Refusal(f"{unknown[0]} is not supported here: leave it out", param=unknown[0])
            file = form.get("file")
            if form.get("purpose") != "fine-tune":
                raise Refusal(f"purpose must be fine-tune, not {form.get('purpose')!r}", param="purpose")
            if not isinstance(file, UploadFile):
                raise Refusal("file is missing", param="file")
            return await asyncio.to_thread(tuning.add_file, file.filename or "file.jsonl", await file.read())

    @router.get("/files")
    async def files() -> dict[str, Any]:
        """All of them."""
        return listed(list(tuning_of(server).files.values()))

    @router.get("/files/{id}")
    async def file(id: str) -> dict[str, Any]:
        """One of them."""
        return tuning_of(server).file(id)

    @router.get("/files/{id}/content", response_class=Response)
    async def content(id: str) -> Response:
        """What is in it."""
        tuning = tuning_of(server)
        tuning.file(id)
        return Response(await asyncio.to_thread(tuning.path_of(id).read_bytes), media_type="application/octet-stream")

    @router.delete("/files/{id}")
    async def delete(id: str) -> dict[str, Any]:
        """No longer keep it."""
        tuning_of(server).remove(id)
        return {"id": id, "object": "file", "deleted": True}


def add_jobs(router: APIRouter, server: Server) -> None:
    """Create, list, look at, cancel, and what happened."""

    @router.post("/fine_tuning/jobs", response_class=Json)
    async def create(body: JobBody) -> Response:
        """A job; it is done when those before it are."""
        tuning = tuning_of(server)
        return Json(shown(tuning.add_job(job_of(server, tuning, body))))

    @router.get("/fine_tuning/jobs", response_class=Json)
    async def jobs(after: str | None = None, limit: int = 20) -> Response:
        """Those there are, the newest first."""
        return Json(page([shown(job) for job in reversed(tuning_of(server).jobs.values())], after, limit))

    @router.get("/fine_tuning/jobs/{id}", response_class=Json)
    async def job(id: str) -> Response:
        """One of them."""
        return Json(shown(tuning_of(server).job(id)))

    @router.post("/fine_tuning/jobs/{id}/cancel", response_class=Json)
    async def cancel(id: str) -> Response:
        """End it."""
        return Json(shown(tuning_of(server).cancel(id)))

    @router.get("/fine_tuning/jobs/{id}/events", response_class=Json)
    async def events(id: str, after: str | None = None, limit: int = 20) -> Response:
        """What happened, the newest first."""
        tuning = tuning_of(server)
        return Json(page(list(reversed(happened(tuning, tuning.job(id)))), after, limit))

    @router.get("/fine_tuning/jobs/{id}/checkpoints", response_class=Json)
    async def checkpoints(id: str) -> Response:
        """None: the best of a run is what is served."""
        tuning_of(server).job(id)
        return Json(page([], None, 10))


def job_of(server: Server, tuning: Tuning, body: JobBody) -> dict[str, Any]:
    """A new job. Refusal for a model or a file that cannot be used."""
    served = server.engine.find(body.model)
    if served.folder is None or served.adapter is not None:
        raise Refusal(f"the model {body.model!r} has no folder of its own to learn from: take its base", param="model")
    for name in ("training_file", "validation_file"):
        if (id := getattr(body, name)) is not None:
            tuning.file(id, name)
    nested = body.method.supervised.hyperparameters if body.method and body.method.supervised else None
    if nested is not None and body.hyperparameters is not None:
        raise Refusal("hyperparameters are given twice: leave those outside of method out", param="hyperparameters")
    asked = nested or body.hyperparameters or Hyperparameters.model_validate({})
    id, seed = f"ftjob-{secrets.token_hex(12)}", secrets.randbelow(2**31) if body.seed is None else body.seed
    flags = ["--model", str(served.folder), "--task", "instruct", "--threads", "1", "--seed", str(seed)]
    flags += ["--epochs", str(EPOCHS if asked.n_epochs == "auto" else asked.n_epochs)]
    flags += [] if asked.batch_size == "auto" else ["--batch-size", str(asked.batch_size)]
    flags += [] if asked.learning_rate_multiplier == "auto" else ["--learning-rate", str(RATE * asked.learning_rate_multiplier)]
    flags += [] if body.validation_file is None else ["--valid", str(tuning.path_of(body.validation_file))]
    chosen = asked.model_dump()
    return {
        "id": id,
        "object": "fine_tuning.job",
        "model": body.model,
        "created_at": int(time.time()),
        "finished_at": None,
        "fine_tuned_model": None,
        "organization_id": "harken",
        "result_files": [],
        "status": "queued",
        "training_file": body.training_file,
        "validation_file": body.validation_file,
        "hyperparameters": chosen,
        "method": {"type": "supervised", "supervised": {"hyperparameters": chosen}},
        "trained_tokens": None,
        "error": None,
        "integrations": [],
        "seed": seed,
        "estimated_finish": None,
        "metadata": body.metadata,
        "name": f"ft:{re.sub('^ft:', '', body.model)}:{body.suffix or ''}:{id[-8:]}",
        "harken": flags,
    }


def shown(job: dict[str, Any]) -> dict[str, Any]:
    """A job as clients see it: nothing of this machine."""
    return {name: value for name, value in job.items() if name not in ("name", "harken")}


def happened(tuning: Tuning, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a job, in order: what was measured at each step among them."""
    begun, found = job["created_at"], [("message", "Created fine-tuning job", {})]
    for one in tuning.metrics(job["id"]):
        if "loss" in one:
            told = {"step": one["step"], "train_loss": one["loss"]}
            found.append(("metrics", f"Step {one['step']}: training loss={one['loss']:.4f}", told))
        elif "valid_loss" in one:
            told = {"step": one["step"], "valid_loss": one["valid_loss"]}
            found.append(("metrics", f"Step {one['step']}: validation loss={one['valid_loss']:.4f}", told))
    if job["finished_at"] is not None:
        wrong = "" if job["error"] is None else f": {job['error']['message']}"
        found.append(("message", f"The job has {job['status']}{wrong}", {}))
    level = "error" if job["status"] == "failed" else "info"
    return [
        {
            "id": f"ftevent-{job['id'][6:]}-{place}",
            "object": "fine_tuning.job.event",
            "created_at": begun if place < len(found) - 1 else job["finished_at"] or begun,
            "level": level if place == len(found) - 1 else "info",
            "message": message,
            "type": kind,
            "data": told,
        }
        for place, (kind, message, told) in enumerate(found)
    ]


def listed(items: list[Any]) -> dict[str, Any]:
    """A list that is whole."""
    return {"object": "list", "data": items, "has_more": False}


def page(items: list[dict[str, Any]], after: str | None, limit: int) -> dict[str, Any]:
    """A part of a list: `limit` of those behind the one with the id `after`."""
    ids = [one["id"] for one in items]
    begin = ids.index(after) + 1 if after in ids else 0
    end = begin + max(1, min(limit, 1000))
    return {**listed(items[begin:end]), "has_more": end < len(items)}

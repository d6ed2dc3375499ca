"""What a protocol is to the application: its routes, and how it says what is wrong. A new one is a file and a line in table.py."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from ..app import Server

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True)
class Fault:
    """Something is wrong. `message`: a sentence · `param`: the field · `code`: a word for programs."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None

    @property
    def type(self) -> str:
        """The kind of error, as OpenAI calls it."""
        return TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")


@dataclass(frozen=True)
class Protocol:
    """`prefixes`: the paths it answers, whole ones, or their beginnings where they end in /; * stands for anything; the longest that fits
    decides whose errors are shown · `routes`: made for a server · `error`: the JSON body that says what is wrong · `headers`: beside it."""

    name: str
    prefixes: tuple[str, ...]
    routes: Callable[[Server], APIRouter]
    error: Callable[[Fault], Any]
    headers: Callable[[Fault], Mapping[str, str]] = lambda fault: {}

    def fits(self, path: str) -> int:
        """Length of the longest prefix that a path has; 0 for none."""
        shapes = ((len(prefix), f"{prefix}*" if prefix.endswith("/") else prefix) for prefix in self.prefixes)
        return max((length for length, shape in shapes if fnmatch.fnmatchcase(path, shape)), default=0)


class Body(BaseModel):
    """A request's body: a field that is not known is refused, by name."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=(), strict=False)

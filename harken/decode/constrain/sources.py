"""Where a JSON schema may come from: a dict, JSON text, a file, a pydantic model, a dataclass."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ...base.errors import InputError

PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema_of(given: Any) -> Any:
    """The schema as a dict (or true, false). InputError when it is none."""
    if isinstance(given, bool | Mapping):
        return given
    if isinstance(given, type) and hasattr(given, "model_json_schema"):
        return given.model_json_schema()
    if isinstance(given, type) and dataclasses.is_dataclass(given):
        known: dict[type, dict[str, Any]] = {}
        return {**_schema(given, given.__name__, known), "$defs": {one.__name__: schema for one, schema in known.items()}}
    if isinstance(given, str | os.PathLike):
        text, name = os.fspath(given), "json_schema"
        if not text.lstrip().startswith(("{", "true", "false")):
            name = text
            try:
                text = Path(text).read_text("utf-8")
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise InputError(f"json_schema {name!r} is neither a schema nor a file that can be read ({why})") from None
        try:
            found = json.loads(text)
        except ValueError as error:
            raise InputError(f"{name} is not JSON ({error}): mend it") from None
        if isinstance(found, bool | dict):
            return found
        raise InputError(f"{name} must hold a schema, an object in braces, not {type(found).__name__}")
    raise InputError(f"json_schema must be a dict, JSON, a file, a pydantic model or a dataclass, not {type(given).__name__}")


def _schema(kind: Any, path: str, known: dict[type, dict[str, Any]]) -> dict[str, Any]:
    """The schema of a Python type; those of dataclasses go to `known`."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return {}
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    if origin is typing.Annotated:
        return _schema(inner[0], path, known)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(one, path, known) for one in inner]}
    if kind is list or origin is list:
        return {"type": "array", "items": _schema(inner[0] if inner else Any, path, known)}
    if kind is dict or origin is dict:
        if inner and inner[0] is not str:
            raise InputError(f"{path}: the keys of an object in JSON are text, not {inner[0]}: let it be a dict[str, …]")
        return {"type": "object", "additionalProperties": _schema(inner[1] if inner else Any, path, known)}
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        parts = [_schema(one, path, known) for one in inner]
        return {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts), "maxItems": len(parts)}
    if origin is tuple and inner:
        return {"type": "array", "items": _schema(inner[0], path, known)}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [one.value for one in kind]}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if kind not in known:
            known[kind] = {}
            hints = typing.get_type_hints(kind)
            fields = [field for field in dataclasses.fields(kind) if field.init]
            known[kind] |= {
                "type": "object",
                "properties": {field.name: _schema(hints[field.name], f"{path}.{field.name}", known) for field in fields},
                "required": [
                    one.name for one in fields if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
                ],
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{kind.__name__}"}
    raise InputError(
        f"{path}: no JSON is known for the type {kind}: use text, numbers, bool, None, lists, dicts, Literal, Enum or dataclasses"
    )

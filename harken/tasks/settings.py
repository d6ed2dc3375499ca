"""The options of a call, checked: names that are known, values of the right kind. InputError says which it is and what it should be."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from ..base.errors import InputError, did_you_mean
from ..base.options import check_bounds

KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
IDLE: dict[str, tuple[Any, ...]] = {
    "framework": ("pt", None),
    "trust_remote_code": (False, None),
    "use_fast": (True, False, None),
    "num_workers": (0, None),
    "binary_output": (False, None),
    "feature_extractor": (None,),
    "image_processor": (None,),
    "model_kwargs": (None, {}),
    "padding": (True, False, None),
    "pad_token_id": (None,),
}
"""Options of Hugging Face's pipelines that ask for nothing here, at these values; a whole number of workers or id of padding is one."""

RIVALS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
"""Two ways to say the same, of which a caller gives one."""


def settled(task: str, before: Any, given: Mapping[str, Any]) -> Any:
    """The options `before` with what is `given`, of the same class."""
    known = {f.name for f in dataclasses.fields(before)}
    hints = typing.get_type_hints(type(before))
    values = {}
    for name, value in given.items():
        if name not in known and name in IDLE:
            if not (value in IDLE[name] or (name in ("num_workers", "pad_token_id") and type(value) is int)):
                raise InputError(f"{name}={value!r} is not possible here: leave it out")
            continue
        if name not in known:
            raise InputError(f"{task} has no option {name!r}{did_you_mean(name, known)}")
        values[name] = fitting(name, value, hints[name])
    for one, other in RIVALS:  # what is given now stands for both
        for name, rival in ((one, other), (other, one)):
            if values.get(name) is not None and rival in known:
                values.setdefault(rival, None)
    found = dataclasses.replace(before, **values)
    check_bounds(found)
    return found


def fitting(name: str, value: Any, annotation: Any) -> Any:
    """`value`, with a list as a tuple. InputError when it is not of the kind of its field."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if value is None and types.NoneType in inner:
            return None
        others = [each for each in inner if each is not types.NoneType]
        if len(others) == 1:
            return fitting(name, value, others[0])
        return value
    if origin is typing.Literal:
        if value not in inner:
            names = [str(each) for each in inner]
            close = did_you_mean(str(value), names)
            raise InputError(f"{name} must be one of {', '.join(names)}, not {value!r}{close if close.startswith(' (did') else ''}")
        return value
    if origin is tuple:
        values = [value] if isinstance(value, str | int) else value
        if not isinstance(values, list | tuple):
            raise InputError(f"{name} must be a list, not {value!r}")
        return tuple(fitting(name, each, inner[0]) for each in values)
    if annotation is Any:
        return value
    right = isinstance(value, int | float) if annotation is float else isinstance(value, annotation)
    if not right or (isinstance(value, bool) and annotation is not bool):
        raise InputError(f"{name} must be {KINDS[annotation]}, not {value!r}")
    return value

"""Rotary positions in config.json: both spellings of the settings, what each type needs, and how far the model then reads.

Old files say `rope_theta` and `rope_scaling`, new ones `rope_parameters`, which holds both. The formulas are in nn/position.py.
"""

from __future__ import annotations

from typing import Any

from ..base.errors import InputError, did_you_mean
from ..nn.position import SCALINGS, Settings

NEEDS = {"llama3": ("factor", "low_freq_factor", "high_freq_factor"), "default": ()}
"""The numbers a type cannot do without; the others need `factor`."""


def read(values: dict[str, Any]) -> dict[str, Any]:
    """config.json's object with `rope_theta` and `rope_scaling` as the old spelling has them; other keys stay."""
    given, scaling = values.get("rope_parameters") or {}, values.get("rope_scaling") or {}
    for each in (given, scaling):
        if not isinstance(each, dict) or any(isinstance(value, dict) for value in each.values()):
            raise InputError(f"config.json: rotary positions must be set for all layers at once, not as {each!r}")
    theta = scaling.get("rope_theta", given.get("rope_theta", values.get("rope_theta")))
    scaling = scaling or {key: value for key, value in given.items() if key != "rope_theta"}
    return {**values, "rope_theta": theta, "rope_scaling": None if scaling.items() <= {("rope_type", "default")} else scaling}


def settings(theta: float, scaling: dict[str, Any] | None, length: int, values: dict[str, Any]) -> Settings:
    """What Rotary asks for. `length`: max_position_embeddings · `values`: further keys of config.json.

    InputError where the type is not known or lacks a number.
    """
    rope = dict(scaling or {})
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in SCALINGS:
        raise InputError(
            f"config.json asks for rotary positions of type {kind!r}, which this version cannot turn{did_you_mean(str(kind), SCALINGS)}"
        )
    if any((each.get("partial_rotary_factor") or 1.0) != 1.0 for each in (rope, values)):
        raise InputError("config.json: partial_rotary_factor is not 1, but this version turns whole heads only")
    for name in NEEDS.get(kind, ("factor",)):
        if type(rope.get(name)) not in (int, float) or rope[name] <= 0:
            raise InputError(f"config.json: rotary positions of type {kind!r} need a positive number {name}, not {rope.get(name)!r}")
    learned = values.get("original_max_position_embeddings") or rope.get("original_max_position_embeddings") or length
    return {**rope, "rope_type": kind, "rope_theta": theta, "original_max_position_embeddings": length if kind == "dynamic" else learned}


def must_turn(width: int) -> None:
    """InputError unless a head of this width is made of pairs."""
    if width % 2:
        raise InputError(f"config.json: a head is {width} wide, but rotary positions turn pairs and need an even head_dim")


def context(rope: Settings, length: int) -> int:
    """Tokens the model reads at once: max_position_embeddings, which some types leave at the length before stretching."""
    if rope["rope_type"] in ("linear", "dynamic"):
        return round(length * max(1, rope["factor"]))
    if rope["rope_type"] == "yarn":
        return max(length, round(rope["original_max_position_embeddings"] * max(1, rope["factor"])))
    return length

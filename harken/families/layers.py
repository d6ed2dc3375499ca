"""How far each layer of a model sees, as config.json's `layer_types` says it."""

from __future__ import annotations

from ..base.errors import InputError

LAYERS = ("full_attention", "sliding_attention")
"""Layers that see everything, and those that see what is near."""


def check_layers(types: list[str] | None, count: int) -> None:
    """InputError unless each of so many layers is one of these, where they are named."""
    if types is not None and (len(types) != count or not set(types) <= set(LAYERS)):
        raise InputError(f"config.json: layer_types must name one of {', '.join(LAYERS)} for each of {count} layers")


def settled(types: list[str] | None, count: int, every: int) -> tuple[list[str], int]:
    """The kind of each of so many layers, and how far apart are those that see everything, where that is regular: what transformers 4 goes
    by. Where no kinds are named it is `every`. InputError as above."""
    check_layers(types, count)
    ways = {step: [LAYERS[n % step > 0] for n in range(count)] for step in (every, *range(1, count + 1))}
    types = types or ways[every]
    return types, next((step for step, way in ways.items() if way == types), every)


def near(types: list[str], layer: int) -> bool:
    """Whether a layer sees what is near only."""
    return types[layer] == LAYERS[1]

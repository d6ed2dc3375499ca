"""The table through which families are reached: model_type -> module, imported when asked for."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ..base.errors import InputError, did_you_mean
from ..nn.block import Block
from ..nn.linear import Linear
from ..nn.models import Model
from .config import Config

FAMILIES = {
    "bigram": "harken.families.bigram",
    "mlp": "harken.families.mlp",
    "rnn": "harken.families.recurrent",
    "gru": "harken.families.recurrent",
    "lstm": "harken.families.recurrent",
    "cosine": "harken.families.cosine",
    "gpt2": "harken.families.gpt2",
    "llama": "harken.families.llama",
    "ngram": "harken.families.ngram",
    "mixture": "harken.families.mixture",
}


def family(model_type: str) -> ModuleType:
    """The family's module: `build`, `names`, `IGNORE`, `LEARNS` and its Config. InputError when it is not known."""
    if model_type not in FAMILIES:
        raise InputError(f"model family {model_type!r} is not known{did_you_mean(model_type, FAMILIES)}")
    return importlib.import_module(FAMILIES[model_type])


def config_class(model_type: str) -> type[Config]:
    """The family's config dataclass."""
    return next(
        c
        for c in vars(family(model_type)).values()
        if isinstance(c, type) and issubclass(c, Config) and getattr(c, "model_type", "") == model_type
    )


def read_config(values: dict[str, Any], where: str) -> Config:
    """config.json's object -> the family's config. InputError names `where`."""
    if not isinstance(values.get("model_type"), str):
        raise InputError(f"{where} has no model_type, so the model's family is not known")
    return config_class(values["model_type"]).read(values)


def build(config: Config, seed: int | None = None) -> Model:
    """A model with fresh weights; with a seed they are the same every time and torch's own random state is left alone."""
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        model = family(config.model_type).build(config)
        initialise(model, config.initializer_range)
    model.config = config
    return model.eval()


def initialise(model: Model, std: float) -> None:
    """Normal(0, std) matrices, zero biases; what writes to the residual path is divided by √(2 · layers), as GPT-2 has it."""
    layers = max(1, sum(isinstance(part, Block) for part in model.modules()))
    for name, part in model.named_modules():
        if isinstance(part, Linear | nn.Embedding):
            residual = name.endswith((".out", ".down"))
            nn.init.normal_(part.weight, 0.0, std / (2 * layers) ** 0.5 if residual else std)
    model.initialise()

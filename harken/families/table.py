"""The table through which families are reached: model_type -> module, imported when asked for."""

from __future__ import annotations

import dataclasses
import importlib
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ..base.errors import InputError, did_you_mean
from ..nn.embedding import Embedding
from ..nn.linear import Linear
from ..nn.models import Model
from ..nn.position import Learned, waves
from ..nn.relative import RelativeBias
from ..nn.stack import Stack
from .config import Config

FAMILIES = {
    "bigram": "harken.families.bigram",
    "mlp": "harken.families.mlp",
    "rnn": "harken.families.recurrent",
    "gru": "harken.families.recurrent",
    "lstm": "harken.families.recurrent",
    "cosine": "harken.families.cosine",
    "gpt": "harken.families.gpt",
    "openai-gpt": "harken.families.gpt",
    "gpt2": "harken.families.gpt2",
    "llama": "harken.families.llama",
    "mistral": "harken.families.mistral",
    "qwen2": "harken.families.qwen2",
    "qwen3": "harken.families.qwen3",
    "bert": "harken.families.bert",
    "roberta": "harken.families.roberta",
    "distilbert": "harken.families.distilbert",
    "albert": "harken.families.albert",
    "modernbert": "harken.families.modernbert",
    "seq2seq": "harken.families.seq2seq",
    "transformer": "harken.families.transformer",
    "t5": "harken.families.t5",
    "bart": "harken.families.bart",
    "marian": "harken.families.marian",
    "ngram": "harken.families.ngram",
    "mixture": "harken.families.mixture",
    "vectors": "harken.families.vectors",
}
MODEL_TYPES = {"gpt": "openai-gpt"}
"""What config.json calls a family, where that is not the name people know."""
MASKED = ("masked-language-modeling", "pretraining")


def family(name: str) -> ModuleType:
    """The family's module: `build`, `names`, `IGNORE`, `LEARNS` and its Config. InputError when it is not known."""
    if name not in FAMILIES:
        raise InputError(f"model family {name!r} is not known{did_you_mean(name, FAMILIES)}")
    return importlib.import_module(FAMILIES[name])


def config_class(name: str) -> type[Config]:
    """The family's config dataclass."""
    model_type = MODEL_TYPES.get(name, name)
    return next(
        c
        for c in vars(family(name)).values()
        if isinstance(c, type) and issubclass(c, Config) and getattr(c, "model_type", "") == model_type
    )


def read_config(values: dict[str, Any], where: str) -> Config:
    """config.json's object -> the family's config. InputError names `where`."""
    if not isinstance(values.get("model_type"), str):
        raise InputError(f"{where} has no model_type, so the model's family is not known")
    return config_class(values["model_type"]).read(values)


def build(config: Config, task: str | None = None, *, seed: int | None = None) -> Model:
    """A model with fresh weights and the head of `task`, None: that of the config; `families.tasks.tasks_of` names them.

    With a seed the weights are the same every time and torch's own random state is left alone. InputError for a task the family has
    no head for.
    """
    config = config if task is None else dataclasses.replace(config, task=task, extra=dict(config.extra))
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        model = family(config.model_type).build(config)
        model.config = config
        initialise(model, config.initializer_range)
    return model.eval()


def initialise(model: Model, std: float) -> None:
    """Normal(0, std) matrices, zero biases; in pre-norm blocks, whose sum grows from layer to layer, what writes to it is divided by
    √(2 · layers), as GPT-2 has it, or √(3 · layers) where each also looks at a source.

    Learned positions that a norm follows begin, in a model of masked tokens, as waves three times as strong as tokens: one turn then leads
    from every place to its neighbour, which a head need not find place by place, and the model soon knows more than how often words are. A
    model that judges whole texts would hear its words less."""
    share = {}  # of what writes to a sum: how many do
    for stack in (part for part in model.modules() if isinstance(part, Stack)):
        parts = [
            part for block in stack.blocks if block.order == "pre" for part in (block.attn, block.cross, block.mlp) if part is not None
        ]
        share |= {getattr(part, "out", getattr(part, "down", None)): len(parts) for part in parts}
    for part in model.modules():
        if isinstance(part, Linear | nn.Embedding):
            nn.init.normal_(part.weight, 0.0, std / share.get(part, 1) ** 0.5)
        if isinstance(part, Linear) and part.first != 1:
            part.weight.detach()[: part.widths[0]] *= part.first
    for embed in (part for part in model.modules() if isinstance(part, Embedding) and model.config.task in MASKED):
        if isinstance(embed.positions, Learned) and embed.norm is not None:
            table = embed.positions.weight.detach()
            table.copy_(torch.from_numpy(waves(*table.shape)) * (3 * 2**0.5 * std))
    for part in model.modules():
        if isinstance(part, RelativeBias):
            part.initialise()
    model.initialise()

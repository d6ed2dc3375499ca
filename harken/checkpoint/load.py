"""folder -> (model, tokenizer): every tensor found, every tensor used, every mismatch one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ..base.errors import InputError, did_you_mean
from ..base.files import read_json
from ..families import names
from ..families.table import build, family, read_config
from ..nn.models import Model
from ..text.tokenizer import Tokenizer

WEIGHTS = "model.safetensors"


def load(folder: str | os.PathLike[str]) -> tuple[Model, Tokenizer]:
    """Read a run or checkpoint folder. The model is in float32 and in evaluation mode.

    InputError names the file and the mend: no such folder, no config.json, an unknown family, a missing, foreign, misshapen or
    damaged tensor, a tokenizer that does not fit the vocabulary.
    """
    folder = existing(folder)
    config = read_config(read_json(folder / "config.json"), str(folder / "config.json"))
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size > config.vocab_size:
        raise InputError(f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model only {config.vocab_size} rows for them")
    model = build(config, seed=0)
    read_weights(model, folder / WEIGHTS)
    return model, tokenizer


def opened(source: str | os.PathLike[str] | tuple[Model, Tokenizer]) -> tuple[Model, Tokenizer]:
    """A (model, tokenizer): as given, or loaded from the folder that was named."""
    if isinstance(source, tuple):
        return source
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"a model is the path of its folder or a (model, tokenizer) pair, not {type(source).__name__}")
    return load(source)


def existing(folder: str | os.PathLike[str]) -> Path:
    """The folder as a Path, if it is one that holds a model."""
    path = Path(folder)
    if path.is_file():
        raise InputError(f"{path} is a file; name the folder of a model (it holds config.json and {WEIGHTS})")
    if not path.is_dir():
        near = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, near) if near else ""
        raise InputError(f"there is no model folder {path}{hint if 'did you mean' in hint else ''}")
    if not (path / "config.json").is_file():
        raise InputError(f"{path} holds no model: config.json is missing")
    return path


def read_weights(model: Model, path: Path) -> None:
    """Copy a safetensors file into the model, through its family's name table."""
    module = family(model.config.model_type)
    if not path.is_file():
        raise InputError(f"{path} does not exist: the weights are missing")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (a reader, not a dict)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged or not a safetensors file ({error})") from None
    with torch.no_grad():
        names.read(model, tensors, module.names(model.config), ignore=module.IGNORE, where=str(path))

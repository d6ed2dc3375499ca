"""(model, tokenizer) -> folder: config.json, generation_config.json, model.safetensors and the tokenizer's files, each atomic."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..base.errors import RunError
from ..base.files import replacing, write_json
from ..families import names
from ..families.table import family
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .load import WEIGHTS


def save(model: Model, tokenizer: Tokenizer, folder: str | os.PathLike[str]) -> None:
    """Write a folder that `harken.load` and transformers open. RunError when it cannot be written; files there stay whole."""
    folder = Path(folder)
    save_weights(model, folder)  # first: a full disk shows here, before anything has changed
    save_setting(model, tokenizer, folder)


def save_setting(model: Model, tokenizer: Tokenizer, folder: Path) -> None:
    """All but the weights."""
    config = model.config.write()
    dtype = next((str(p.dtype).removeprefix("torch.") for p in model.parameters()), "float32")
    write_json(folder / "config.json", config | {k: dtype for k in ("dtype", "torch_dtype") if k in config})  # what is in the file now
    ends = {k: getattr(model.config, k) for k in ("bos_token_id", "eos_token_id", "pad_token_id") if getattr(model.config, k) is not None}
    write_json(folder / "generation_config.json", {**ends, "do_sample": True})
    tokenizer.save(folder)


def save_weights(model: Model, folder: Path) -> None:
    """model.safetensors under the family's own tensor names; tied tensors once."""
    tensors = names.write(model, family(model.config.model_type).names(model.config))
    save_tensors(folder / WEIGHTS, tensors, {"format": "pt"})


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """A safetensors file, whole or not at all."""
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            if "os error 28" in str(error).lower() or "os error 27" in str(error).lower():
                raise OSError(28, "no space left on device") from error
            raise RunError(f"{path} cannot be written ({error}); what was there before is unchanged") from error

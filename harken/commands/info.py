"""`harken info MODEL`: what a model is, read from its folder's headers; no weight is loaded and torch stays out of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import read_json
from ..base.options import argument, option
from ..base.report import count
from .command import command

WEIGHTS = "model.safetensors"

# Hugging Face has one name per size and generation; the first that config.json knows counts.
SIZES = {
    "context": ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length"),
    "vocabulary": ("vocab_size",),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "width": ("hidden_size", "n_embd", "d_model", "dim"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
}
# In this order: `attention.output.LayerNorm` is a norm, `embeddings.LayerNorm` too.
PARTS = {
    "norms": r"norm|(^|\.)ln_",
    "head": r"^(lm_head|head|score|classifier|cls|qa_outputs|pooler)\b",
    "embed": r"embed|(^|\.)w[tp]e\b|^shared\b",
    "attention": r"att(n|ention)",
    "recurrent": r"\.(input|state)\.",
    "counts": r"^(parts\.\d\.)?counts\.",
    "mlp": r"mlp|ffn?\b|feed_?forward|intermediate|DenseReluDense|output\.dense|\.fc\d",
}
BUFFERS = r"\.attn\.(masked_)?bias$|inv_freq$|position_ids$"  # saved by some, learnt by none
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8", "U8": "uint8"}


@dataclass(frozen=True)
class InfoOptions:
    """Say what a model is: family, sizes, parameters, context."""

    model: str = argument("folder of the model")
    json: bool = option(False, "print one JSON object")


@command("info", InfoOptions)
def info(options: InfoOptions) -> dict[str, Any]:
    """Returns one dictionary: model, family, parameters (tied ones once), parameters_by_part, dtype, bytes (of the weight files), context
    (tokens), vocabulary, layers, width, heads, tokenizer, task, trained. What the folder does not say is None.

    InputError names the file: no such folder, no config.json, missing or damaged weights, a damaged tokenizer.
    """
    folder = Path(options.model)
    if not (folder / "config.json").is_file():
        from ..checkpoint.load import existing  # brings torch: only for its sentence about what is wrong

        existing(folder)
    config = read_json(folder / "config.json")
    parts, dtypes, size = _weights(folder, config)
    record = read_json(folder / "harken.json") if (folder / "harken.json").is_file() else {}
    return {
        "model": str(folder),
        "family": config.get("model_type"),
        "parameters": sum(parts.values()),
        "parameters_by_part": {part: parts[part] for part in ("embed", "attention", "mlp", "norms", "head", "other") if parts[part]},
        "dtype": ", ".join(DTYPES.get(name, name.lower()) for name, _ in dtypes.most_common()),
        "bytes": size,
        **_sizes(config, str(folder / "config.json")),
        "tokenizer": _tokenizer(folder),
        "task": record.get("task"),
        "trained": _trained(record) if record else None,
    }


@info.show
def show(result: dict[str, Any], options: InfoOptions) -> None:
    """An aligned table; one JSON object where asked for."""
    if options.json:
        print(json.dumps(result, ensure_ascii=False))
        return
    total = f"{result['parameters']:,}"
    rows = {"model": result["model"], "family": result["family"]}
    rows["parameters"] = f"{total}   {result['dtype']}, {count(result['bytes'])}B on disk"
    for part, number in result["parameters_by_part"].items():
        rows[f"  {part}"] = f"{number:>{len(total)},}   {number / result['parameters']:5.1%}"
    for name in ("layers", "width", "heads", "context", "vocabulary", "tokenizer", "task"):
        rows[name] = result[name]
    rows |= result["trained"] or {}
    width = max(map(len, rows))
    for name, value in rows.items():
        if value is not None:
            unit = {"context": " tokens", "vocabulary": " tokens", "loss": " nats per token", "seconds": " s"}.get(name, "")
            print(f"{name:<{width}}   {_said(value)}{unit}")


def _said(value: Any) -> str:
    return str(value) if not isinstance(value, int | float) else format(value, "," if isinstance(value, int) else ",.6g")


def _weights(folder: Path, config: dict[str, Any]) -> tuple[Counter[str], Counter[str], int]:
    """(parameters by part, parameters by dtype, bytes) from the headers of the weight files."""
    files = _files(folder)
    tensors = {name: (shape, dtype) for file in files for name, shape, dtype in _header(file)}
    if config.get("tie_word_embeddings", config.get("model_type") == "gpt2"):
        tensors.pop("lm_head.weight", None)  # some files hold the tied head once more
    parts: Counter[str] = Counter()
    dtypes: Counter[str] = Counter()
    for name, (shape, dtype) in tensors.items():
        if re.search(BUFFERS, name) and not (name.endswith("attn.bias") and len(shape) == 1):
            continue
        part = next((part for part, pattern in PARTS.items() if re.search(pattern, name, re.IGNORECASE)), "other")
        parts[part] += prod(shape)
        dtypes[dtype] += prod(shape)
    return parts, dtypes, sum(file.stat().st_size for file in files)


def _files(folder: Path) -> list[Path]:
    index = folder / f"{WEIGHTS}.index.json"
    if not (folder / WEIGHTS).is_file() and index.is_file():
        table = read_json(index).get("weight_map")
        if not isinstance(table, dict):
            raise InputError(f"{index} has no weight_map: copy it again from where the model comes from")
        return [folder / str(name) for name in sorted(set(table.values()))]
    return [folder / WEIGHTS]


def _header(path: Path) -> Iterator[tuple[str, list[int], str]]:
    """(name, shape, dtype) of every tensor in a safetensors file; the tensors stay where they are."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(f"{path} does not exist: the weights are missing")
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  (a reader, not a dict)
                part = file.get_slice(name)
                yield name, part.get_shape(), part.get_dtype()
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or not a safetensors file ({error})") from None


def _sizes(config: dict[str, Any], where: str) -> dict[str, Any]:
    """The sizes that config.json gives; where it is silent, the family's own defaults."""
    values = dict(config)
    if any(not any(name in values for name in names) for names in SIZES.values()):
        from ..families.table import FAMILIES, read_config  # brings torch: only for a config.json that leaves sizes out

        if values.get("model_type") in FAMILIES:
            values = read_config(config, where).write()
    return {size: next((values[name] for name in names if values.get(name) is not None), None) for size, names in SIZES.items()}


def _trained(record: dict[str, Any]) -> dict[str, Any]:
    """What a run's own record tells of it; a run that has not ended has no result yet."""
    result, data = record.get("result") or {}, record.get("data") or {}
    told = {"status": record.get("status"), "data": data.get("source"), **{key: result.get(key) for key in ("steps", "seconds", "loss")}}
    return {key: value for key, value in told.items() if value is not None}


def _tokenizer(folder: Path) -> str | None:
    from ..text.tokenizer import Tokenizer

    return Tokenizer.load(folder).kind if (folder / "tokenizer.json").is_file() else None

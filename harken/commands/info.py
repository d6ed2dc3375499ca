"""`harken info MODEL`: what a model is, read from its headers; no weight is loaded and torch stays out of it.

A .bin has no header that can be read without torch, so it brings torch; its tensors stay where they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import read_json
from ..base.options import argument, option
from ..base.report import as_json, count
from .command import command

# Hugging Face has one name per size and generation; the first that config.json knows counts.
SIZES = {
    "context": ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length"),
    "vocabulary": ("vocab_size",),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers"),
    "width": ("hidden_size", "n_embd", "d_model", "dim"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads"),
}
DECODER = ("decoder_layers", "num_decoder_layers")
"""Where a model that reads a source may have another number of layers."""
# In this order: `attention.output.LayerNorm` is a norm, `embeddings.LayerNorm` too.
PARTS = {
    "norms": r"norm|(^|\.)ln_",
    "head": r"^(\w*head|score|\w*classifier|cls|qa_outputs|(lm_)?predictions|vocab_\w+)\b|(^|\.)pooler\b|^decoder\.\w+$",
    "embed": r"embed|(^|\.)w[tp]e\b|(^|\.)shared\b",
    "attention": r"att(n|ention)|\.cross\.|^(align|mix)\.",
    "recurrent": r"\.(input|state)\.|^bridge\.",
    "counts": r"^(parts\.\d\.)?counts\.",
    "mlp": r"mlp|ffn?(_output)?\b|feed_?forward|intermediate|DenseReluDense|output\.dense|\.fc\d",
}
SHOWN = ("embed", "attention", "recurrent", "counts", "mlp", "norms", "head", "other")
BUFFERS = r"\.attn\.(masked_)?bias$|inv_freq$|position_ids$|^final_logits_bias$"  # saved by some, learnt by none
TWINS = r"^((lm_head|(cls\.)?predictions)\.decoder|decoder|lm_head|vocab_projector)\.weight$|^(lm_head|(cls\.)?predictions)\.decoder\.bias$"
"""Saved once more by some where they are tied."""
SIDES = r"^((model|transformer)\.)?(encoder|decoder)\.embed_tokens\.weight$"
"""The token vectors of a source and its target, saved once more by some where both sides share them."""
UNTIED = ("llama", "mistral", "qwen2", "qwen3")
"""Families that tie nothing unless config.json says so."""
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8", "I4": "int4", "U8": "uint8"}


@dataclass(frozen=True)
class InfoOptions:
    """Say what a model is: family, sizes, parameters, memory, context, tasks."""

    model: str | None = argument(None, "folder or Hub id of the model")
    revision: str | None = option(None, "branch, tag or commit on the Hub")
    speed: bool = option(False, "say which kernels answer on this machine, and what is left to torch; needs no MODEL")
    json: bool = option(False, "print one JSON object")


@command("info", InfoOptions)
def info(options: InfoOptions) -> dict[str, Any]:
    """Returns one dictionary: model, family, parameters (tied ones once), parameters_by_part, dtype, bytes (of the weight files), memory
    (bytes of the weights as they are loaded: in float32 where they are not quantised), context (tokens), vocabulary, layers, width, heads,
    decoder_layers (of a model that also has an encoder, whose are layers and heads), tokenizer, task, tasks (that it can be loaded for),
    trained, adapter (kind, base, rank, targets, parameters; the rest is then of its base). What the folder does not say is None. Of a Hub
    id only small files and headers are downloaded. With `speed` also kernels: numba, threading_layer, simd, types, left_to_torch and more,
    alone where there is no model.

    InputError names the file: no such folder, no config.json, missing or damaged weights, a damaged tokenizer.
    """
    if options.speed:
        from ..measure.kernels import kernels  # brings torch

        return (info.run(replace(options, speed=False)) if options.model is not None else {}) | {"kernels": kernels()}
    if options.model is None:
        raise InputError("MODEL is missing: name a folder or an id on the Hub, or ask for --speed")
    from ..checkpoint.adapter_config import base_of, read_setting
    from ..checkpoint.files import existing
    from ..checkpoint.hub import located
    from ..families.tasks import task_of, tasks_of

    folder = existing(located(options.model, revision=options.revision, weights=False))
    base = base_of(folder, weights=False)
    adapter = _adapter(folder, options.model, options.revision) if base != folder else None
    source, revision = (options.model, options.revision) if adapter is None else (adapter["base"], read_setting(folder).revision)
    config = read_json(next(one for one in (folder, base) if (one / "config.json").is_file()) / "config.json")
    parts, dtypes, size, memory = _weights(base, config, source, revision)
    record = read_json(folder / "harken.json") if (folder / "harken.json").is_file() else {}
    tasks = list(tasks_of(config))
    parameters = sum(parts.values())
    return {
        "model": options.model,
        "family": config.get("model_type"),
        "parameters": parameters,
        "parameters_by_part": {part: parts[part] for part in SHOWN if parts[part]},
        "dtype": ", ".join(DTYPES.get(name, name.lower()) for name, _ in dtypes.most_common()),
        "bytes": size,
        "memory": memory,
        **_sizes(config, str(folder / "config.json")),
        "decoder_layers": next((config[name] for name in DECODER if config.get(name) is not None), None),
        "tokenizer": _tokenizer(folder) or _tokenizer(base),
        "task": record.get("task") or (task_of(config["model_type"], config.get("architectures")) if tasks else None),
        "tasks": tasks,
        "trained": _trained(record) if record else None,
        "adapter": adapter,
    }


@info.show
def show(result: dict[str, Any], options: InfoOptions) -> None:
    """An aligned table; one JSON object where asked for."""
    if options.json:
        print(as_json(result))
        return
    if "kernels" in result:
        _show_kernels(result["kernels"])
        if "model" not in result:
            return
        print()
    total = f"{result['parameters']:,}"
    rows = {"model": result["model"], "family": result["family"]}
    rows["parameters"] = f"{total}   {result['dtype']}, {count(result['bytes'])}B on disk, {count(result['memory'])}B in memory"
    for part, number in result["parameters_by_part"].items():
        rows[f"  {part}"] = f"{number:>{len(total)},}   {number / result['parameters']:5.1%}"
    for name in ("layers", "decoder_layers", "width", "heads", "context", "vocabulary", "tokenizer", "task"):
        rows[name.replace("_", " ")] = result[name]
    if adapter := result["adapter"]:
        learned = f"{adapter['parameters']:,} parameters on {', '.join(adapter['targets'])}"
        rows |= {"adapter": f"{adapter['kind']} of rank {adapter['rank']}: {learned}", "base": adapter["base"]}
    rows["can do"] = ", ".join(result["tasks"]) or None
    rows |= result["trained"] or {}
    width = max(map(len, rows))
    for name, value in rows.items():
        if value is not None:
            unit = {"context": " tokens", "vocabulary": " tokens", "loss": " nats per token", "seconds": " s"}.get(name, "")
            print(f"{name:<{width}}   {_said(value)}{unit}")


def _show_kernels(found: dict[str, Any]) -> None:
    """What runs here, a line a fact; then what weights can be held as, and what torch does."""
    wide = f" ({found['bits']} bits)" if found["bits"] else ""
    compiled = "compiled now, and kept for the next time" if found["compiled"] else "found compiled"
    cache = f"{found['cache']} ({compiled})" if found["cache"] else "none: compiled in every process, unless NUMBA_CACHE_DIR names a folder"
    rows = [
        ("kernels", f"Numba {found['numba']} for {found['processor']}, {found['simd']}{wide}"),
        ("threads", f"{found['threads']}, started by {found['threading_layer']}"),
        ("cache", cache),
        *found["types"].items(),
    ]
    left = [f"{what}: {why}" for what, why in found["left_to_torch"].items()]
    rows += [(f"left to torch {found['torch']}" if not i else "", each) for i, each in enumerate(left)]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}   {value}")


def _said(value: Any) -> str:
    return str(value) if not isinstance(value, int | float) else format(value, "," if isinstance(value, int) else ",.6g")


def _adapter(folder: Path, model: str, revision: str | None) -> dict[str, Any]:
    """What an adapter is; its parameters are those of the parts it brings whole, too."""
    from ..checkpoint import hub
    from ..checkpoint.adapter_config import read_setting
    from ..checkpoint.files import weight_files

    setting = read_setting(folder)
    path = folder if Path(model).exists() else hub.located(model, revision=revision)  # it is small
    names = [setting.targets] if isinstance(setting.targets, str) else list(setting.targets)
    return {
        "kind": "DoRA" if setting.dora else "LoRA",
        "base": setting.base,
        "rank": setting.rank,
        "targets": names,
        "parameters": sum(prod(each.shape) for each in _headers(weight_files(path)[0])),
    }


def _weights(folder: Path, config: dict[str, Any], source: str, revision: str | None) -> tuple[Counter[str], Counter[str], int, int]:
    """(parameters by part, parameters by dtype, bytes, bytes when loaded) from the headers of the weight files."""
    from ..checkpoint import hub
    from ..checkpoint.files import LOWS, SCALES, weight_files

    try:
        files = weight_files(folder)
        tensors, size = {each.name: each for file in files for each in _headers(file)}, sum(file.stat().st_size for file in files)
    except InputError:
        if Path(source).exists():
            raise
        found, size = hub.headers(source, revision=revision)
        tensors = {each.name: each for each in found}
    beside = {name: name.removesuffix(SCALES).removesuffix(LOWS) for name in tensors if name.endswith((SCALES, LOWS))}
    twins, memory = _twins(config), 0
    copies = f"{TWINS}|{SIDES}" if SIDES in twins else TWINS
    once = {each.shape for name, each in tensors.items() if not re.search(copies, name)}
    parts: Counter[str] = Counter()
    dtypes: Counter[str] = Counter()
    for name, each in tensors.items():
        if beside.get(name) in tensors:  # of a matrix that is quantised: no parameters of their own
            memory += 2 * prod(each.shape)
            continue
        mask = re.search(BUFFERS, name) and not (name.endswith("attn.bias") and len(each.shape) == 1)
        waves = config.get("model_type") == "marian" and "embed_positions" in name  # which BART learns
        if mask or waves or (re.search(twins, name) and each.shape in once):
            continue
        if re.search(twins, name):  # some files hold the second of two alone
            once.add(each.shape)
        part = next((part for part, pattern in PARTS.items() if re.search(pattern, name, re.IGNORECASE)), "other")
        codes, pairs = name + SCALES in tensors, name + LOWS in tensors
        number = prod(each.shape) * (2 if pairs else 1)
        parts[part] += number
        dtypes["I4" if pairs else each.dtype] += number
        memory += prod(each.shape) * (1 if codes else 4)
    return parts, dtypes, size, memory


def _twins(config: dict[str, Any]) -> str:
    """What in the names of tensors tells that they are there once already."""
    tied = config.get("tie_word_embeddings", config.get("model_type") not in UNTIED)
    shared = (tied or config.get("model_type") == "t5") and config.get("share_encoder_decoder_embeddings", True)
    return "|".join([TWINS] * bool(tied) + [SIDES] * bool(shared)) or "(?!)"


def _headers(path: Path) -> Iterator[Any]:
    """What a file of weights says of its tensors."""
    from ..checkpoint.files import Header, headers

    if path.suffix != ".bin":
        yield from headers(path)
        return
    from ..checkpoint.tensors import Tensors
    from ..checkpoint.write import CODES

    for name, tensor in Tensors([path]).items():
        yield Header(name, tuple(tensor.shape), CODES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch.")))


def _sizes(config: dict[str, Any], where: str) -> dict[str, Any]:
    """The sizes that config.json gives; where it is silent, the family's own defaults."""
    values = dict(config)
    if any(not any(name in values for name in names) for names in SIZES.values()):
        from ..families.table import FAMILIES, read_config  # brings torch: only for a config.json that leaves sizes out

        if values.get("model_type") in FAMILIES:
            values = read_config(config, where).write()
    found = {size: next((values[name] for name in names if values.get(name) is not None), None) for size, names in SIZES.items()}
    if values.get("model_type") == "roberta" and isinstance(found["context"], int):
        found["context"] -= 1 + (values.get("pad_token_id", 1) or 0)  # its positions begin behind that of padding
    return found


def _trained(record: dict[str, Any]) -> dict[str, Any]:
    """What a run's own record tells of it; a run that has not ended has no result yet."""
    result, data = record.get("result") or {}, record.get("data") or {}
    told = {"status": record.get("status"), "data": data.get("source"), **{key: result.get(key) for key in ("steps", "seconds", "loss")}}
    return {key: value for key, value in told.items() if value is not None}


def _tokenizer(folder: Path) -> str | None:
    from ..text.tokenizer import Tokenizer

    return Tokenizer.load(folder).kind if (folder / "tokenizer.json").is_file() else None

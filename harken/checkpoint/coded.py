"""Quantised weights in files: the codes of a matrix stand under its own name X.weight, X.weight.scales and, of int4, X.weight.lows beside
them, all in the orientation it had. Codes have a first dimension of 1, so that others stop at their shape instead of taking them for
weights.

The numbers are those of `nn/quant.py`: what is read back is given the very same codes when it is packed. config.json says
`quantization_config: {"quant_method": "harken", "bits": 8 | 4, "group": 32}`; only harken reads such a folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.errors import InputError
from ..base.files import read_json
from ..families import names
from ..nn.linear import Linear
from ..nn.models import Model
from ..nn.quant import GROUP, decode, hold, kind_of
from .files import LOWS, SCALES

SETTING, METHOD = "quantization_config", "harken"
BITS = {8: "int8", 4: "int4"}


def setting(bits: int) -> dict[str, Any]:
    """What config.json says of weights quantised to so many bits."""
    return {"quant_method": METHOD, "bits": bits, "group": GROUP}


def held_of(folder: Path) -> str | None:
    """int8 or int4 for a folder of weights quantised here, else None. InputError for those of others."""
    found = read_json(folder / "config.json").get(SETTING)
    if not found:
        return None
    method = found.get("quant_method") if isinstance(found, dict) else found
    if method != METHOD:
        raise InputError(f"{folder} holds weights quantised by {method}, which are not read here: take the model as it was before")
    if found.get("bits") not in BITS or found.get("group") != GROUP:
        raise InputError(f"{folder / 'config.json'}: {SETTING} must say bits 8 or 4 and group {GROUP}: quantise the model anew")
    return BITS[found["bits"]]


def written(model: Model, table: dict[str, names.Rule], kind: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a model under the family's names, matrices as `kind` holds them."""
    for key, place in names.places(model, table).items():
        tensor, module = place.of(place.into), place.name.rpartition(".")[0]
        part = model.get_submodule(module)
        own = kind_of(module, part.inputs, kind) if isinstance(part, Linear) and place.name.endswith(".weight") else "float32"
        if own == "float32":
            yield key, tensor
            continue
        rows = tensor.T if place.transposed else tensor
        width = rows.shape[1] if own == "int8" else rows.shape[1] // 2
        held: Any = hold(rows, own)
        for name, array in held.table().items():
            part = torch.from_numpy(array[: len(rows), : width if name == "codes" else None])
            part = part if name == "codes" else part.contiguous().view(torch.bfloat16)
            part = part.T if place.transposed else part
            yield (key, part[None]) if name == "codes" else (f"{key}.{name}", part)


def read(codes: Tensor, scales: Tensor, lows: Tensor | None, where: str) -> Tensor:
    """A matrix of float32, as its codes stand for it. InputError when they do not belong together."""
    codes = codes[0] if codes.dim() == 3 and len(codes) == 1 else codes
    turned = codes.dim() == scales.dim() == 2 and len(codes) != len(scales)  # it lies there as (inputs, outputs)
    if turned:
        codes, scales, lows = codes.T, scales.T, None if lows is None else lows.T
    wanted = torch.int8 if lows is None else torch.uint8
    columns = codes.shape[-1] * (1 if lows is None else 2)
    fits = codes.dim() == 2 and codes.dtype == wanted and scales.shape == (len(codes), -(-columns // GROUP))
    if not fits or any(each is not None and (each.dtype != torch.bfloat16 or each.shape != scales.shape) for each in (scales, lows)):
        raise InputError(f"{where} has codes and scales that do not belong together: quantise the model anew")
    bits = [None if each is None else each.contiguous().view(torch.uint16).numpy() for each in (scales, lows)]
    found = torch.from_numpy(decode(codes.numpy(), *bits))  # pyright: ignore[reportArgumentType]
    return found.T if turned else found


def coded(keys: Collection[str]) -> dict[str, list[str]]:
    """Of the tensors in a file: the matrices that are there as codes, each with what stands beside it."""
    return {key: [part for part in (key + SCALES, key + LOWS) if part in keys] for key in keys if key + SCALES in keys}

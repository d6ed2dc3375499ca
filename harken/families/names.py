"""Translate parameter names between harken and a checkpoint, both ways, from one table per family; strict both ways.

A rule maps one of our modules to theirs; `*` stands for the layer number. Weight and bias follow their module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..base.errors import InputError
from ..nn.linear import Linear


class Cat(tuple[str, ...]):
    """Our one tensor is the concatenation (rows) of these of theirs: Cat(q, k, v)."""

    __slots__ = ()

    def __new__(cls, *names: str):
        return super().__new__(cls, names)


class Transposed(str):
    """Theirs is stored (inputs, outputs), as GPT-2's Conv1D."""

    __slots__ = ()


Rule = str | Cat


def resolve(name: str, table: dict[str, Rule]) -> tuple[list[str], bool]:
    """Our parameter's name -> (the tensors of theirs it is made of, whether they are stored transposed)."""
    module, _, leaf = name.rpartition(".")
    for ours, theirs in table.items():
        match = re.fullmatch(re.escape(ours).replace(r"\*", r"(\d+)"), module)
        if match:
            layer = match[1] if match.groups() else ""
            names = theirs if isinstance(theirs, Cat) else (theirs,)
            return [f"{n.replace('*', layer)}.{leaf}" for n in names], isinstance(theirs, Transposed)
    raise KeyError(f"no rule names {name}")


def read(model: nn.Module, theirs: dict[str, Tensor], table: dict[str, Rule], *, ignore: Iterable[str] = (), where: str) -> None:
    """Load `theirs` into `model`. InputError names the first tensor that is missing, left over or of the wrong shape."""
    used: set[str] = set()
    for name, ours in model.state_dict(keep_vars=True).items():
        keys, transposed = resolve(name, table)
        missing = [k for k in keys if k not in theirs]
        if missing:
            raise InputError(f"{where} lacks the tensor {missing[0]}")
        used.update(keys)
        learned = isinstance(ours, nn.Parameter)
        for key, rows in zip(keys, _rows(model, name, ours, len(keys)), strict=True):
            part, shape = theirs[key], (rows, *ours.shape[1:])
            shape = shape[::-1] if transposed else shape
            if part.shape != shape and learned:
                raise InputError(f"{where}: {key} has shape {tuple(part.shape)}, config.json asks for {shape}")
            if part.is_floating_point() != ours.is_floating_point():
                wanted = "floating-point weights" if learned else str(ours.dtype).removeprefix("torch.")
                raise InputError(f"{where}: {key} holds {str(part.dtype).removeprefix('torch.')}, not {wanted}")
        parts = [theirs[k].T if transposed and theirs[k].dim() == 2 else theirs[k] for k in keys]
        value = parts[0] if len(parts) == 1 else torch.cat(parts)
        if learned:
            with torch.no_grad():
                ours.copy_(value)
        else:  # counts: a buffer is as large as what was counted
            module, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(module), leaf, value.contiguous())
    left = [k for k in theirs if k not in used and not any(re.search(p, k) for p in ignore)]
    if left:
        raise InputError(f"{where} has {len(left)} tensor(s) this family does not know, the first is {left[0]}")


def write(model: nn.Module, table: dict[str, Rule]) -> dict[str, Tensor]:
    """The inverse of `read`: contiguous tensors under their names."""
    out: dict[str, Tensor] = {}
    for name, parameter in model.state_dict().items():
        keys, transposed = resolve(name, table)
        value = parameter.detach()
        if len(keys) > 1:
            parts = value.split(_rows(model, name, parameter, len(keys)))
            out.update((k, part.contiguous()) for k, part in zip(keys, parts, strict=True))
        else:
            out[keys[0]] = value.T.contiguous() if transposed and value.dim() == 2 else value.contiguous()
    return out


def _rows(model: nn.Module, name: str, parameter: Tensor, count: int) -> list[int]:
    """How many rows of `parameter` each of its `count` tensors on disk holds."""
    layer = model.get_submodule(name.rpartition(".")[0])
    return list(layer.widths) if count > 1 and isinstance(layer, Linear) else [parameter.shape[0]]

"""Translate parameter names between harken and a checkpoint, both ways, from one table per family; strict both ways.

A rule maps one of our modules to theirs; `*` stands for the layer number. Weight and bias follow their module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..base.errors import InputError
from ..nn.linear import UPDATES, Linear


class Cat(tuple[str, ...]):
    """Our one tensor is the concatenation (rows) of these of theirs: Cat(q, k, v)."""

    __slots__ = ()

    def __new__(cls, *names: str):
        return super().__new__(cls, names)


class Transposed(str):
    """Theirs is stored (inputs, outputs), as GPT-2's Conv1D."""

    __slots__ = ()


class Bare(str):
    """Theirs has this very name, with no weight or bias behind it."""

    __slots__ = ()


Rule = str | Cat


@dataclass(frozen=True)
class Place:
    """Where a tensor of theirs belongs: in our tensor `name`, `rows` rows from row `start` on."""

    name: str
    into: Tensor
    start: int
    rows: int
    transposed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Of theirs."""
        shape = (self.rows, *self.into.shape[1:])
        return shape[::-1] if self.transposed else shape

    def of(self, ours: Tensor) -> Tensor:
        """The view of our tensor that is theirs, in their shape."""
        part = ours.detach().narrow(0, self.start, self.rows) if ours.dim() else ours.detach()
        return part.T if self.transposed else part


def resolve(name: str, table: dict[str, Rule]) -> tuple[list[str], bool]:
    """Our parameter's name -> (the tensors of theirs it is made of, whether they are stored transposed)."""
    module, _, leaf = name.rpartition(".")
    for ours, theirs in table.items():
        match = re.fullmatch(re.escape(ours).replace(r"\*", r"(\d+)"), module)
        if match:
            layer = match[1] if match.groups() else ""
            if isinstance(theirs, Bare):
                return [str(theirs)], False
            names = theirs if isinstance(theirs, Cat) else (theirs,)
            return [f"{n.replace('*', layer)}.{leaf}" for n in names], isinstance(theirs, Transposed)
    raise KeyError(f"no rule names {name}")


def places(model: nn.Module, table: dict[str, Rule]) -> dict[str, Place]:
    """Every tensor of theirs that the model is made of, by their name, in our order; a tied tensor comes once."""
    found = {}
    for name, ours in model.state_dict(keep_vars=True).items():
        if f".{UPDATES}." in name:  # of an adapter, which has files of its own
            continue
        keys, transposed = resolve(name, table)
        start = 0
        for key, rows in zip(keys, _rows(model, name, ours, len(keys)), strict=True):
            found[key] = Place(name, ours, start, rows, transposed and ours.dim() == 2)
            start += rows
    return found


def check(place: Place, tensor: Tensor, key: str, where: str) -> None:
    """InputError unless the tensor `key` of the file `where` can be put there."""
    learned, counts = isinstance(place.into, nn.Parameter), not place.into.is_floating_point()  # these are as many as were counted
    if len(tensor.shape) != len(place.shape) if counts else tensor.shape != place.shape:
        raise InputError(f"{where}: {key} has shape {tuple(tensor.shape)}, config.json asks for {place.shape}")
    if tensor.is_floating_point() == counts:
        wanted = "floating-point weights" if learned else str(place.into.dtype).removeprefix("torch.")
        raise InputError(f"{where}: {key} holds {str(tensor.dtype).removeprefix('torch.')}, not {wanted}")


def put(model: nn.Module, place: Place, tensor: Tensor) -> None:
    """Copy a tensor of theirs to its place, whatever its precision."""
    if place.into.is_floating_point():
        rows = place.into.detach().narrow(0, place.start, place.rows) if place.into.dim() else place.into.detach()
        if place.transposed:  # fast into contiguous memory and within one precision
            tensor = tensor.T if tensor.dtype == rows.dtype else tensor.T.contiguous()
        elif tensor.dtype == rows.dtype and rows.device == tensor.device == torch.device("cpu"):
            np.copyto(_bytes(rows), _bytes(tensor))  # torch's threads wait for each other: several times slower on a shared machine
            return
        rows.copy_(tensor)
    else:  # counts: a buffer is as large as what was counted
        module, _, leaf = place.name.rpartition(".")
        setattr(model.get_submodule(module), leaf, tensor.clone(memory_format=torch.contiguous_format).to(place.into.device))


def read(model: nn.Module, theirs: Mapping[str, Tensor], table: dict[str, Rule], *, ignore: Iterable[str] = (), where: str) -> None:
    """Load `theirs` into `model`. InputError names the first tensor that is missing, left over or does not fit; then nothing is changed."""
    spots = places(model, table)
    missing = [key for key in spots if key not in theirs]
    if missing:
        raise InputError(f"{where} lacks the tensor {missing[0]}")
    for key, place in spots.items():
        check(place, theirs[key], key, where)
    left = [key for key in theirs if key not in spots and not any(re.search(p, key) for p in ignore)]
    if left:
        raise InputError(f"{where} has {len(left)} tensor(s) this family does not know, the first is {left[0]}")
    for key, place in spots.items():
        put(model, place, theirs[key])


def write(model: nn.Module, table: dict[str, Rule]) -> Iterator[tuple[str, Tensor]]:
    """The inverse of `read`: every tensor under its name, as a view that need not be contiguous; nothing is copied."""
    for key, place in places(model, table).items():
        yield key, place.of(place.into)


def _bytes(tensor: Tensor) -> np.ndarray:
    return tensor.reshape(-1).view(torch.uint8).numpy()


def _rows(model: nn.Module, name: str, parameter: Tensor, count: int) -> list[int]:
    """How many rows of `parameter` each of its `count` tensors on disk holds."""
    layer = model.get_submodule(name.rpartition(".")[0])
    return list(layer.widths) if count > 1 and isinstance(layer, Linear) else [parameter.shape[0] if parameter.dim() else 1]

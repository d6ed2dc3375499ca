"""A whole model made ready to answer, matrices as the kernels want them and all else in float32, and ready to learn again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ..base.errors import InputError
from .linear import UPDATES, Linear
from .quant import KINDS, kind_of

PACKABLE = {torch.float32, torch.bfloat16}


def check_kind(kind: str) -> str:
    """The kind. InputError unless weights can be held so."""
    if kind not in KINDS:
        raise InputError(f"weights are not held as {kind!r} (known: {', '.join(KINDS)})")
    return kind


def linears(model: nn.Module) -> Iterator[Linear]:
    """Every matrix of a model, once."""
    return (part for part in model.modules() if isinstance(part, Linear))


def place(model: nn.Module) -> torch.device:
    """Where the weights are, packed or not."""
    held = (each for part in model.modules() for each in (*part._buffers.values(), *part._parameters.values()) if each is not None)
    return next((each.device for each in held if each.numel()), torch.device("cpu"))


def pack(model: nn.Module, kind: str | None, where: str = "") -> list[nn.Parameter] | None:
    """Pack every matrix as `kind`, or as it was learned, as an adapter's always are: they are small, and what they add is too. Returns what
    had to become float32 beside them; None, and nothing changed, where the kernels cannot serve: on another device than a CPU, in float16.
    `where`: the place of a part of a model."""
    stored = {part.weight.dtype for part in linears(model)}
    if len(stored) > 1 or not stored <= PACKABLE or any(part.weight.device.type != "cpu" for part in linears(model)):
        return None
    learned = "bfloat16" if stored == {torch.bfloat16} else "float32"
    for name, part in model.named_modules(prefix=where):
        if isinstance(part, Linear):
            part.pack(learned if f".{UPDATES}." in name else kind_of(name, part.inputs, kind or learned))
    narrow = [one for part in model.modules() for one in part._parameters.values() if one is not None and one.dtype == torch.bfloat16]
    widened = list({id(one): one for one in narrow if one.numel()}.values())
    convert(widened, torch.float32)
    return widened


def warm() -> None:
    """Get the product ready before it is asked for: Numba takes 0.2 s to find what it compiled before. For a thread, beside what reads."""
    layer = Linear(1, 1)
    layer.pack()
    with torch.no_grad():
        layer(torch.ones(1, 1))


def unpack(model: nn.Module, widened: list[nn.Parameter]) -> None:
    """The inverse, as far as packed weights still know what they were."""
    for layer in linears(model):
        layer.unpack()
    convert(widened, torch.bfloat16)


def freeze(model: nn.Module, kind: str, learned: set[nn.Parameter]) -> None:
    """Hold every matrix as `kind` but those that learn, and those of adapters."""
    for name, part in model.named_modules():
        if isinstance(part, Linear) and part.weight not in learned and f".{UPDATES}." not in name:
            part.freeze(kind_of(name, part.inputs, kind))


@torch.inference_mode(False)
def convert(parameters: list[nn.Parameter], dtype: torch.dtype) -> None:
    """Give parameters, the very same objects, another precision."""
    for each in parameters:
        each.data = each.data.to(dtype)

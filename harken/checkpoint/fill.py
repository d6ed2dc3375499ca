"""Weight files -> a model, tensor by tensor: nothing is drawn that the file overwrites, nothing is held twice.

A parameter's memory is asked for when the model is built and touched when its tensor is copied in, so what a model takes while it is
loaded is its weights and one tensor more.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..base.errors import InputError
from ..families import names, table
from ..families.config import Config
from ..families.tasks import tasks_of
from ..nn.encoder import Encoder
from ..nn.models import Model
from .match import Match, match
from .tensors import Tensors

EMBED = "stack.embed.tokens"
WRITER = r"^(\w+\.)?decoder\."
"""Tensors of the half that a task may do without."""
DRAWS = {
    f"{name}_" for name in ("normal", "uniform", "trunc_normal", "random", "bernoulli", "exponential", "kaiming_uniform", "xavier_uniform")
}


class Undrawn(TorchFunctionMode):
    """Inside, no random number is drawn into a tensor unless it lies in the memory of one that is `wanted`.

    Everything else a constructor does (ones, zeros, tables of rotary positions) is done, which it would not be on torch's meta device.
    """

    def __init__(self, wanted: Collection[Tensor] = ()):
        super().__init__()
        self.wanted = {each.untyped_storage().data_ptr() for each in wanted}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in DRAWS:
            into = args[0] if args else kwargs["tensor"]
            if into.untyped_storage().data_ptr() not in self.wanted:
                return into
        return func(*args, **kwargs)


@dataclass(frozen=True)
class Filled:
    """What became of the tensors. `new`: modules the file has no tensors for, by the names files give them · `unused`: tensors of heads
    that this task has no use for · `untied`: what the file holds beside different token vectors, though config.json ties them to these ·
    `stored`: by the family's names, the precision each tensor has in the file."""

    model: Model
    new: list[str]
    unused: list[str]
    untied: list[str]
    stored: dict[str, torch.dtype]


def filled(
    config: Config,
    tensors: Tensors,
    where: str,
    *,
    fresh: bool,
    dtype: str,
    device: torch.device,
    renew: bool = False,
    mapped: bool = False,
) -> Filled:
    """A model with the weights of a file. `fresh`: whether a head that the file lacks is made new; else it is an error · `renew`: whether
    the last layer of the head is, whatever the file holds · `mapped`: matrices stay in the file until they are packed, so that what only
    answers is not held twice on its way; whoever asks for it packs soon, because the file must not be written into meanwhile.

    InputError names the first tensor that is missing, left over or does not fit.
    """
    model, spots, found = _matched(config, tensors, where)
    if renew:
        for name in [name for name, theirs in found.known.items() if spots[theirs].name.startswith("head.out.")]:
            found.absent.append(found.known.pop(name))
            found.unused.append(name)
    untied = _differs(config, tensors, found)
    if untied:
        apart = _apart(config, untied, tensors, where, (spots, found))
        untied = [name for name in untied if name in apart[2].known]  # for the others this task has no use
        model, spots, found = apart if untied else (model, spots, found)
    new = _absent(spots, found, where, fresh)
    stored = {}
    for name, theirs in found.taken():
        names.check(spots[theirs], tensors[name], name, str(tensors.homes[name]))
        stored[theirs] = tensors[name].dtype
    drawn = [spots[theirs].into for theirs in found.absent]
    if drawn:
        _draw(model, drawn)
    _settle(model, device, precision(tensors) if dtype == "auto" else getattr(torch, dtype), drawn)
    wanted: dict[str, list[str]] = {}
    for name, theirs in found.taken():
        wanted.setdefault(name, []).append(theirs)
    for name, tensor in tensors.drain():
        for theirs in wanted.get(name, ()):
            if not (mapped and lay(spots[theirs], tensor)):
                names.put(model, spots[theirs], tensor)
    return Filled(model if device.type == "cpu" else model.to(device), new, found.unused, untied, stored)


def lay(place: names.Place, tensor: Tensor) -> bool:
    """Let a matrix be the tensor of theirs itself, as it lies in the file; False, and nothing is done, where it is a part of one or has
    another precision. What is written into it later is the process's own: the file stays as it is."""
    into = place.into
    if not isinstance(into, nn.Parameter) or into.dim() != 2 or place.rows != len(into):
        return False
    if tensor.dtype != into.dtype or tensor.device != into.device:
        return False
    into.data = tensor.T if place.transposed else tensor
    return True


def precision(tensors: Tensors) -> torch.dtype:
    """The floating-point type that most of a file's weights have."""
    sizes: Counter[torch.dtype] = Counter()
    for name in tensors:
        if tensors[name].is_floating_point():
            sizes[tensors[name].dtype] += tensors[name].numel()
    return sizes.most_common(1)[0][0] if sizes else torch.float32


def undrawn(config: Config) -> Model:
    """The model of a config, ready to be filled."""
    with Undrawn():
        model = table.family(config.model_type).build(config)
    model.config = config
    return model.eval()


def _matched(config: Config, tensors: Tensors, where: str) -> tuple[Model, dict[str, names.Place], Match]:
    """A model to fill, the places of its tensors, and which of the file's belong there."""
    model = undrawn(config)
    spots = names.places(model, _rules(config))
    ignore = (*table.family(config.model_type).IGNORE, *((WRITER,) if config.reads == "source" and isinstance(model, Encoder) else ()))
    found = match(tensors, spots, prefixes=prefixes(config), ignore=ignore, where=where)
    _stand_in(config, spots, tensors, found)
    return model, spots, found


def prefixes(config: Config) -> list[str]:
    """How names of the body may begin in a file, whatever the task it was made for."""
    vectors = (rules.get(EMBED) for rules in map(_rules, _siblings(config)))
    return sorted({f"{name.split('.')[0]}." for name in vectors if isinstance(name, str) and "." in name} - {"decoder."})


def _rules(config: Config) -> dict[str, Any]:
    return table.family(config.model_type).names(config)


def _vectors(config: Config) -> str | None:
    """What the family calls the token vectors, where a head is tied to them or both sides share them."""
    tied = getattr(config, "tie_word_embeddings", False) or getattr(config, "shared", False)
    return f"{_rules(config)[EMBED]}.weight" if tied and EMBED in _rules(config) else None


def _siblings(config: Config) -> list[Config]:
    """The same model, for each task it can be built for: some families name the body otherwise for some of them."""
    return [dataclasses.replace(config, task=task) for task in tasks_of(config)]


def _stand_in(config: Config, spots: dict[str, names.Place], tensors: Tensors, found: Match) -> None:
    """Of tensors that are tied a file may hold the other one alone: the head for the token vectors, one of two names for a bias."""
    embed = _vectors(config)
    for theirs in list(found.absent):
        if theirs == embed:
            twins = [name for name in found.unused if tensors[name].shape == spots[theirs].shape]
        else:
            module, _, leaf = theirs.rpartition(".")
            twins = [f"{module.removesuffix('.decoder')}.bias" if module.endswith(".decoder") else f"{module}.decoder.bias"]
            twins = twins if leaf == "bias" else []
        twin = next((name for name in twins if name in found.unused), None)
        if twin is not None:
            found.absent.remove(theirs)
            found.unused.remove(twin)
            found.known[twin] = theirs


def _differs(config: Config, tensors: Tensors, found: Match) -> list[str]:
    """Matrices that are tied to another one and not the same in the file; a true copy is forgotten."""
    first = {theirs: name for name, theirs in found.known.items()}
    vectors, differs = first.get(_vectors(config) or ""), []
    for name in list(found.unused):
        bias = first.get(name.replace(".decoder.bias", ".bias"))
        twin = vectors if vectors is not None and tensors[name].shape == tensors[vectors].shape else bias
        if twin is not None and torch.equal(tensors[name], tensors[twin]):
            found.unused.remove(name)
        elif twin is not None and twin == vectors:
            differs.append(name)
    return differs


def _apart(
    config: Config, differs: Collection[str], tensors: Tensors, where: str, tied: tuple[Collection[str], Match]
) -> tuple[Model, dict[str, names.Place], Match]:
    """`_matched` for the same model with nothing tied that differs; what the file does not hold is a copy of the vectors it was `tied` to,
    by the places and the match of the model in which it is."""
    vectors = next(name for name, theirs in tied[1].known.items() if theirs == _vectors(config))
    changes: Any = {"tie_word_embeddings": False}
    config = dataclasses.replace(config, **changes)
    if any("embed_tokens" in name for name in differs) and getattr(config, "shared", False):
        changes = {"share_encoder_decoder_embeddings": False}
        config = dataclasses.replace(config, **changes)
    model, spots, found = _matched(config, tensors, where)
    for theirs in list(found.absent):
        if theirs not in tied[0] and spots[theirs].shape == tensors[vectors].shape:
            found.absent.remove(theirs)
            found.copies[theirs] = vectors
    if found.copies and vectors in found.unused:
        found.unused.remove(vectors)
    return model, spots, found


def _absent(spots: dict[str, names.Place], found: Match, where: str, fresh: bool) -> list[str]:
    """Modules of the head that have no tensor in the file, by the names files give them. InputError where anything else is missing."""
    new = []
    for theirs in found.absent:
        module = spots[theirs].name.rpartition(".")[0]
        alone = all(spots[name].name.rpartition(".")[0] != module for name in found.known.values())
        if not (fresh and alone and module.split(".")[0] == "head"):
            raise InputError(f"{where} lacks the tensor {theirs}")
        if isinstance(spots[theirs].into, nn.Parameter):  # what is never learned is made as it is without a file: a bias of zeros
            new.append(theirs.rpartition(".")[0] or theirs)
    return list(dict.fromkeys(new))


def _draw(model: Model, new: list[Tensor]) -> None:
    """Fresh weights for some tensors, as the family has it; the same every time, and torch's own random state is left alone."""
    with torch.random.fork_rng(devices=[]), Undrawn(new):
        torch.manual_seed(0)
        table.initialise(model, model.config.initializer_range)


def _settle(model: Model, device: torch.device, dtype: torch.dtype, drawn: Collection[Tensor]) -> None:
    """Give every weight its memory, in its precision and where it is to lie; what is to be copied in is not copied before."""
    for tensor in model.state_dict(keep_vars=True).values():
        if tensor.dtype == torch.float32 and (tensor.dtype != dtype or tensor.device != device):  # any other dtype has its reason
            kept = any(tensor is each for each in drawn)
            tensor.data = tensor.data.to(device, dtype) if kept else torch.empty(tensor.shape, dtype=dtype, device=device)

"""Adapters: what a frozen matrix says, and a product of two narrow ones that learn.

    LoRA   y = x Wᵀ + b + s · B A drop(x)                             Hu et al. 2021, https://arxiv.org/abs/2106.09685
    DoRA   y = x W'ᵀ + b,  W' = m · (W + s B A) / ‖W + s B A‖ by row   Liu et al. 2024, https://arxiv.org/abs/2402.09353

s is α / r, or α / √r (https://arxiv.org/abs/2312.03732). B begins as zeros, m as the norms of W, so an adapter begins as nothing at all.
A fused matrix [Q | K | V] is as many matrices here as it is in a checkpoint: an update belongs to a slice of its rows.

K inputs · N outputs · r rank · B rows of a batch
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.errors import InputError, did_you_mean
from .dropout import dropout
from .linear import UPDATES, Linear

if TYPE_CHECKING:
    from .models import Model


@dataclass(frozen=True)
class Slice:
    """One matrix of a Linear: `rows` of its outputs from `start` on · `scale`: s."""

    start: int
    rows: int
    rank: int
    scale: float


class Update(nn.Module):
    """What one adapter adds to one Linear. `a` (Σ r, K): all of A, one slice below the other · `b`: each slice's B (rows, r) ·
    `magnitudes`: each slice's m (rows,), of DoRA."""

    def __init__(self, layer: Linear, slices: Sequence[Slice], *, dropout: float = 0.0, dora: bool = False):
        super().__init__()
        self.slices, self.dropout = tuple(sorted(slices, key=lambda each: each.start)), dropout
        self.on = (layer,)  # in a tuple, as it is no part of this one
        self.ranks = tuple(each.rank for each in self.slices)
        self.a = Linear(layer.inputs, sum(self.ranks), bias=False, widths=self.ranks)
        self.b = nn.ModuleList(Linear(each.rank, each.rows, bias=False) for each in self.slices)
        for b in self.bs:
            nn.init.zeros_(b.weight)
        self.magnitudes = nn.ParameterList(self._of(layer.values(), each).norm(dim=1) for each in self.slices) if dora else None
        self.to(layer.weight)  # of the precision it has to learn, packed or not
        self._known: tuple[Tensor, list[Tensor]] | None = None  # of a packed layer: m / ‖W + s B A‖ by slice

    @property
    def bs(self) -> list[Any]:
        """`b`, slice by slice."""
        return list(self.b)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """x (..., K), y = x Wᵀ + b (..., N) -> y with the update."""
        layer, read = self.on[0], dropout(x, self.dropout, self.training)
        low = self.a(read).split(self.ranks, -1)
        parts = [b(each) * part.scale for b, each, part in zip(self.bs, low, self.slices, strict=True)]
        if self.magnitudes is not None:
            plain = F.linear(read, layer.values()) if self.dropout and self.training else y if layer.bias is None else y - layer.bias
            factors = zip(self.factors(), parts, self.slices, strict=True)
            starts = ((m, part, plain[..., at.start : at.start + at.rows]) for m, part, at in factors)
            parts = [m * (base + part) - base for m, part, base in starts]  # what is kept for the gradient is one tensor, not two
        return y + self._spread([part.to(y.dtype) for part in parts], y)

    def factors(self) -> list[Tensor]:
        """Of DoRA, m / ‖W + s B A‖ of each slice; the norm has no gradient, as in section 4.3 of the paper."""
        assert self.magnitudes is not None
        if self.a.packed is not None and self._known is not None and self._known[0] is self.a.packed:
            return self._known[1]
        with torch.no_grad():
            weight = self.on[0].values()
            norms = [(self._of(weight, at) + low).norm(dim=1) for at, low in zip(self.slices, self._low(), strict=True)]
        found = [m / norm for m, norm in zip(self.magnitudes, norms, strict=True)]
        if self.a.packed is not None:  # nothing changes before it is unpacked
            self._known = self.a.packed, found
        return found

    def matrix(self) -> Tensor:
        """(N, K): W with the update. InputError where that drops inputs, which a matrix cannot."""
        if self.dropout and self.training:
            raise InputError("a recurrent layer reads with one matrix for all tokens, so no adapter on it can have dropout: set it to 0")
        weight = self.on[0].values()
        parts = self._low()
        if self.magnitudes is not None:
            factors = zip(self.factors(), parts, self.slices, strict=True)
            parts = [(m[:, None] - 1) * self._of(weight, at) + m[:, None] * low for m, low, at in factors]
        return weight + self._spread([part.T for part in parts], weight.T).T

    def _low(self) -> list[Tensor]:
        """s B A of each slice."""
        a = self.a.values().split(self.ranks)
        return [part.scale * (b.values() @ each) for b, each, part in zip(self.bs, a, self.slices, strict=True)]

    @staticmethod
    def _of(weight: Tensor, part: Slice) -> Tensor:
        return weight.detach()[part.start : part.start + part.rows]

    def _spread(self, parts: list[Tensor], y: Tensor) -> Tensor:
        """The slices' parts side by side, (..., N) as y has it; zeros where there is none."""
        whole, at = [], 0
        for part, each in zip(parts, self.slices, strict=True):
            whole += [y.new_zeros(*y.shape[:-1], each.start - at)] * (each.start > at) + [part]
            at = each.start + each.rows
        whole += [y.new_zeros(*y.shape[:-1], y.shape[-1] - at)] * (y.shape[-1] > at)
        return whole[0] if len(whole) == 1 else torch.cat(whole, -1)


@dataclass
class Whole:
    """One update for all rows; a Linear holds it in this, as what it holds itself would be a part of it twice."""

    update: Update

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """x (..., K), y (..., N) -> y with the update."""
        return self.update.add(x, y)

    def matrix(self) -> Tensor:
        """(N, K): W with the update."""
        return self.update.matrix()


@dataclass
class ByRow:
    """Each row of a batch of `rows` with an update of its own, or none."""

    rows: int
    groups: list[tuple[Update, Tensor]]

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """x (B, ..., K), y (B, ..., N) -> y with the updates."""
        if len(x) != self.rows:
            raise InputError(f"an adapter was named for each of {self.rows} rows, and the batch has {len(x)}: name one for each of them")
        out = y.clone()
        for update, rows in self.groups:
            out[rows] = update.add(x[rows], y[rows])
        return out

    def matrix(self) -> Tensor:
        """InputError: there is more than one."""
        raise InputError("a recurrent layer reads the whole batch with one matrix: name one adapter for all rows")


Choice = str | Sequence[str | None] | None


@dataclass
class Adapters:
    """The adapters on a model. `settings`: what each was made by, by its name · `chosen`: which answers, None for the model alone ·
    `merged`: whether that one's matrices are one with the model's.

    An adapter may bring parts of its own, such as a head: `kept`, by their place, then by adapter; under None the model's.
    """

    model: Model
    settings: dict[str, Any] = field(default_factory=dict)
    chosen: Choice = None
    merged: bool = False
    kept: dict[str, dict[str | None, nn.Module]] = field(default_factory=dict)
    _before: dict[Linear, Tensor] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Of the adapters that are on."""
        return list(self.settings)

    def put(self, name: str, updates: Mapping[str, Update], kept: Mapping[str, nn.Module], setting: Any) -> None:
        """Put one on, by the places of the parts it changes or replaces, and let it answer. InputError when the name is taken."""
        if name in self.settings or not name.replace("-", "_").isidentifier():
            taken = "is taken" if name in self.settings else "is none: take letters, digits and _"
            raise InputError(f"the adapter's name {name!r} {taken}")
        self._apart()
        self.use(None)
        self.model.unpack()
        for place, update in updates.items():
            layer = self.model.get_submodule(place)
            if not hasattr(layer, UPDATES):
                layer.add_module(UPDATES, nn.ModuleDict())
            layer.get_submodule(UPDATES).add_module(f"_{name}", update.train(layer.training))
        for place, part in kept.items():
            self.kept.setdefault(place, {None: self.model.get_submodule(place)})[name] = part.train(self.model.training)
        self.settings[name] = setting
        self.use(name)

    def use(self, choice: Choice) -> contextlib.AbstractContextManager[Any]:
        """Answer with the adapter of this name, with none, or with one of each row of a batch (names and None, in a list), from now on; in
        `with` only inside. InputError for a name that is not there."""
        self._apart()
        for name in {choice} if choice is None or isinstance(choice, str) else {*choice}:
            if name is not None and name not in self.settings:
                raise InputError(f"the model has no adapter {name!r}{did_you_mean(str(name), self.settings) if self.settings else ''}")
        before, back = self.chosen, contextlib.ExitStack()
        self._choose(choice)
        back.callback(self.use, before)
        return back

    def merge(self, *, keep: bool = True) -> None:
        """Make the adapter that answers one with the model's matrices, which are then as fast as without it; where `keep`, the old ones are
        kept, to go back to the same bits. Matrices held in fewer bits are rounded again, the update with them. InputError unless there is
        one for all rows."""
        self._apart()
        if not isinstance(self.chosen, str):
            raise InputError("no adapter answers for all rows, so there is none to merge: choose it, model.adapters.use(name)")
        packed = self.model.packed
        self.model.unpack()
        with torch.no_grad():
            for layer in self.layers():
                if layer.change is not None:
                    layer.thaw()
                    if keep:
                        self._before[layer] = layer.weight.detach().clone()
                    layer.weight.copy_(layer.matrix())
                    layer.change = None
        self.merged = True
        if not keep:
            self._forget()
        if packed:
            self.model.pack()

    def unmerge(self) -> None:
        """Undo `merge`, to the bit. InputError when nothing is merged."""
        if not self.merged:
            raise InputError("no adapter is merged: there is nothing to undo")
        packed = self.model.packed
        self.model.unpack()
        for layer, weight in self._before.items():
            layer.weight.data.copy_(weight)
        self._before.clear()
        self.merged = False
        self._choose(self.chosen)
        if packed:
            self.model.pack()

    def learned(self) -> dict[str, nn.Parameter]:
        """Name -> parameter of all that learns: the adapter that answers and the parts it brought; without one the whole model."""
        every = {name: each for name, each in self.model.named_parameters() if not (self.merged and f".{UPDATES}." in name)}
        if self.merged or not isinstance(self.chosen, str):
            return every
        own = f".{UPDATES}._{self.chosen}."
        brought = tuple(f"{place}." for place, parts in self.kept.items() if self.chosen in parts)
        return {name: each for name, each in every.items() if own in name or name.startswith(brought)}

    def layers(self) -> Iterator[Linear]:
        """Every Linear that an adapter is on."""
        return (part for part in self.model.modules() if isinstance(part, Linear) and hasattr(part, UPDATES))

    def of(self, name: str) -> dict[str, Update]:
        """Place -> update of one adapter."""
        ends = f".{UPDATES}._{name}"
        named = self.model.named_modules()
        return {place.removesuffix(ends): part for place, part in named if isinstance(part, Update) and place.endswith(ends)}

    def _apart(self) -> None:
        if self.merged:
            raise InputError("an adapter is merged with the model: call model.adapters.unmerge() first")

    def _choose(self, choice: Choice) -> None:
        names = [choice] if choice is None or isinstance(choice, str) else list(choice)
        for place, parts in self.kept.items():
            brought = {name if name in parts else None for name in names}
            if len(brought) > 1:
                raise InputError(f"{place} is another one of each adapter: name one adapter for all rows")
            self._replace(place, parts[brought.pop()])
        for layer in self.layers():
            there: Any = layer.get_submodule(UPDATES)._modules
            if choice is None or isinstance(choice, str):
                update = there.get(f"_{choice}")
                layer.change = None if update is None else Whole(update)
            else:
                groups = [(there[f"_{name}"], torch.tensor([n for n, each in enumerate(names) if each == name]))
                          for name in dict.fromkeys(names) if f"_{name}" in there]  # fmt: skip
                layer.change = ByRow(len(names), groups)
        self.chosen = choice if choice is None or isinstance(choice, str) else tuple(choice)

    def _replace(self, place: str, part: nn.Module) -> None:
        parent, _, leaf = place.rpartition(".")
        there = self.model.get_submodule(place)
        if there is not part:
            setattr(self.model.get_submodule(parent), leaf, part)
            part.to(self.model.device).train(there.training)
            self.model.suit(part, place)

    def _forget(self) -> None:
        for layer in list(self.layers()):
            delattr(layer, UPDATES)
        self.settings, self.kept, self.chosen, self.merged = {}, {}, None, False

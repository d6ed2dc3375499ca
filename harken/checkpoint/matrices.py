"""The matrices of a model under the names that its checkpoint has for them, and which of them are meant by a name or the end of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..base.errors import InputError, did_you_mean
from ..families import names
from ..families.table import family
from ..nn.linear import Linear
from ..nn.models import Model
from .adapter_config import ALL, Setting

TOKENS = "embed.tokens"
"""How the place of every table of token vectors ends."""


@dataclass(frozen=True)
class Matrix:
    """A matrix as a checkpoint has it: a slice of the Linear at `layer`."""

    layer: str
    start: int
    rows: int
    inputs: int
    transposed: bool

    @property
    def adapts(self) -> bool:
        """Whether an update can be put on it: rows of a table are looked up, too."""
        return not self.layer.endswith(TOKENS)

    @property
    def body(self) -> bool:
        """Whether it is one of those that are meant by all."""
        return self.adapts and not f".{self.layer}".startswith(".head.")


def matrices(model: Model) -> dict[str, Matrix]:
    """Every matrix of a model, by the name the checkpoint has for it."""
    found = {}
    for key, place in places(model).items():
        layer, _, leaf = place.name.rpartition(".")
        if leaf == "weight" and isinstance(part := model.get_submodule(layer), Linear):  # whose weight may be held in few bits, elsewhere
            found[key.removesuffix(".weight")] = Matrix(layer, place.start, place.rows or part.outputs, part.inputs, place.transposed)
    return found


def places(model: Model) -> dict[str, names.Place]:
    """Every tensor by the name the checkpoint has for it."""
    return names.places(model, family(model.config.model_type).names(model.config))


def chosen(there: Mapping[str, Matrix], targets: tuple[str, ...] | str) -> list[str]:
    """Which matrices are meant. InputError for one that is not there or cannot be adapted."""
    if targets in (ALL, (ALL,)):
        found = [name for name, matrix in there.items() if matrix.body]
    else:
        asked = (targets,) if isinstance(targets, str) else targets
        found = []
        for each in asked:
            meant = Setting(targets=targets if isinstance(targets, str) else (each,))
            some = [name for name, matrix in there.items() if meant.is_on(name) or f".{matrix.layer}".endswith(f".{each}")]
            if not some:
                leaves = {name.rpartition(".")[2] for name, matrix in there.items() if matrix.adapts}
                raise InputError(f"the model has no matrix called {each!r} to put an adapter on{did_you_mean(each, leaves)}")
            found += some
    for name in found:
        if not there[name].adapts:
            raise InputError(f"{name} is the table of token vectors, which cannot have an adapter: name matrices, or {ALL}")
    if not found:
        raise InputError("the model has no matrix to put an adapter on")
    return [name for name in there if name in found]


def shortened(wanted: Iterable[str], there: Mapping[str, Matrix]) -> tuple[str, ...]:
    """The ends of names that mean these matrices and no other, as people write them; else the names in full."""
    wanted = list(wanted)
    leaves = {name.rpartition(".")[2] for name in wanted}
    means = [name for name in there if name.rpartition(".")[2] in leaves]
    return tuple(sorted(leaves if len(means) == len(wanted) else wanted))

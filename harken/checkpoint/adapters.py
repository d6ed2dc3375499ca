"""Adapters on a model, from a folder and to a folder that peft reads and writes: adapter_config.json, adapter_model.safetensors.

    base_model.model.<matrix>.lora_A.weight (r, K)   .lora_B.weight (N, r)   .lora_magnitude_vector (N,) of DoRA
    base_model.model.<tensor>                        of a part that the adapter brings whole, such as a head

Which slice of which Linear a matrix is says the family's own table of names. Strict: every tensor has a place, and every matrix that the
config names has its tensors.   r rank · K inputs · N outputs
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..base.errors import InputError
from ..base.files import write_json
from ..base.report import say
from ..families import names
from ..families.table import family
from ..nn.lora import Slice, Update
from ..nn.models import Model
from .adapter_config import ALL, Setting, read_setting
from .files import ADAPTER, PICKLED, UPDATES, WEIGHTS, is_adapter, weight_files
from .fill import prefixes
from .match import spellings
from .matrices import TOKENS, Matrix, chosen, matrices, places, shortened
from .tensors import Tensors
from .write import save_tensors

ROOT = "base_model.model."
_PART = re.compile(r"(.+)\.(?:lora_(A|B)\.weight|lora_(magnitude_vector)(?:\.weight)?)")


def begin(model: Model, setting: Setting, *, name: str = "default", seed: int = 0) -> None:
    """Put on a new adapter, which changes nothing before it has learned; `setting.targets` are names of matrices or ends of them, the
    checkpoint's or ours, or `ALL`. InputError when one of them is not there."""
    there = matrices(model)
    wanted = chosen(there, setting.targets)
    setting = dataclasses.replace(setting, targets=shortened(wanted, there))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        updates = {layer: _update(model, layer, some, setting) for layer, some in _by_layer(wanted, there).items()}
    kept = {place: copy.deepcopy(model.get_submodule(place)) for place in _brought(model, setting.saved)}
    model.adapters.put(name, updates, kept, setting)


def put_on(model: Model, folder: Path, name: str = "default") -> None:
    """Put the adapter of a folder on a model, under this name; then it answers.

    InputError names the tensor that has no place, no partner or another shape, or the matrix that the config names and the file lacks.
    """
    setting, file = read_setting(folder), weight_files(folder)[0]
    tensors, there, spots = Tensors([file]), matrices(model), places(model)
    if setting.targets == ALL:
        setting = dataclasses.replace(setting, targets=chosen(there, ALL))
    begins = prefixes(model.config)
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    saved: dict[str, Tensor] = {}
    unused = []
    for key in tensors:
        bare = _bare(key, file)
        found = _PART.fullmatch(bare)
        if found:
            matrix = next((each for each in spellings(found[1], begins) if each in there), None)
            if matrix is None or not there[matrix].adapts:
                raise InputError(f"{file}: there is no matrix {found[1]} in the model that {key} could be put on")
            parts[matrix][found[2] or "m"] = tensors[key]
        elif place := next((each for each in spellings(bare, begins) if each in spots), None):
            saved[place] = tensors[key]
        elif any(pattern.startswith("^") and re.search(pattern, bare) for pattern in family(model.config.model_type).IGNORE):
            unused.append(bare)
        else:
            raise InputError(f"{file} has a tensor that this model has no place for, {key}: it was made for another base")
    _check_whole(parts, setting, there, begins, file)
    updates = {layer: _filled(model, layer, some, setting, parts, file) for layer, some in _by_layer(parts, there).items()}
    kept = _kept(model, saved, setting, file)
    if unused:
        say(f"{file}: these are not used for {model.config.task}: {', '.join(unused)}")
    model.adapters.put(name, updates, kept, setting)


def head_rows(folder: Path, config: Any) -> int | None:
    """How many things the head tells apart that an adapter brings; None where it brings none."""
    table = family(config.model_type).names(config)
    key = next((f"{theirs}.weight" for ours, theirs in table.items() if ours == "head.out" and isinstance(theirs, str)), None)
    tensors = Tensors(weight_files(folder))
    return next((len(tensors[name]) for name in tensors if name.removeprefix(ROOT) == key), None)


def save_adapter(model: Model, folder: Path) -> list[Path]:
    """Write the adapter that answers; returns the file of its weights. InputError when none does for all rows, or when the folder holds a
    whole model, which would be read instead."""
    if folder.is_dir() and not is_adapter(folder) and any(path.name.startswith((WEIGHTS, PICKLED)) for path in folder.iterdir()):
        raise InputError(f"{folder} holds a whole model, and an adapter beside its weights would not be seen: name another folder")
    setting, tensors = _chosen(model), adapter_tensors(model)
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / UPDATES[0], tensors, {"format": "pt"})
    there = matrices(model)
    transposed = any(there[name].transposed for name in there if f"{ROOT}{name}.lora_A.weight" in tensors)
    write_json(folder / ADAPTER, setting.write(transposed=transposed))
    return [folder / UPDATES[0]]


def adapter_tensors(model: Model) -> dict[str, Tensor]:
    """The tensors of the adapter that answers, under the names of its file."""
    updates, found = model.adapters.of(_name(model)), {}
    for name, matrix in matrices(model).items():
        if matrix.layer in updates:
            update = updates[matrix.layer]
            at = next((n for n, part in enumerate(update.slices) if part.start == matrix.start), None)
            if at is not None:
                found[f"{ROOT}{name}.lora_A.weight"] = update.a.weight.split(update.ranks)[at]
                found[f"{ROOT}{name}.lora_B.weight"] = update.bs[at].weight
                if update.magnitudes is not None:
                    found[f"{ROOT}{name}.lora_magnitude_vector"] = update.magnitudes[at]
    brought = tuple(f"{place}." for place, some in model.adapters.kept.items() if _name(model) in some)
    found |= {f"{ROOT}{key}": place.of(place.into) for key, place in places(model).items() if place.name.startswith(brought)}
    return {key: each.detach() for key, each in found.items()}


def reread(model: Model, path: Path) -> None:
    """Copy an adapter's tensors from the file that was saved of it into the one that answers. InputError when they are not the same."""
    theirs, own = Tensors([path]), adapter_tensors(model)
    if set(theirs) != set(own):
        raise InputError(f"{path} holds other tensors than this adapter, such as {sorted(set(theirs) ^ set(own))[0]}")
    for key, into in own.items():
        into.copy_(theirs[key])


def _chosen(model: Model) -> Setting:
    return model.adapters.settings[_name(model)]


def _name(model: Model) -> str:
    name = model.adapters.chosen
    if not isinstance(name, str):
        raise InputError("several adapters are on the model, and none of them is chosen: say which, model.adapters.use(name)")
    return name


def _bare(key: str, file: Path) -> str:
    """A tensor's name without what peft puts before it."""
    if "lora_embedding_" in key:
        raise InputError(f"{file}: {key} adapts a table of token vectors, which is not supported: merge it with peft, merge_and_unload()")
    if not key.startswith(ROOT):
        raise InputError(f"{file}: {key} is no name that peft gives the tensors of an adapter (they begin with {ROOT})")
    return key.removeprefix(ROOT)


def _by_layer(wanted: Iterable[str], there: Mapping[str, Matrix]) -> dict[str, list[tuple[str, Matrix]]]:
    """Layer -> (name, matrix) of those that lie in it, from the first row on."""
    found: dict[str, list[tuple[str, Matrix]]] = defaultdict(list)
    for name in wanted:
        found[there[name].layer].append((name, there[name]))
    return {layer: sorted(some, key=lambda each: each[1].start) for layer, some in found.items()}


def _update(model: Model, layer: str, some: list[tuple[str, Matrix]], setting: Setting) -> Update:
    slices = [Slice(m.start, m.rows, setting.rank_of(name), setting.scale_of(name)) for name, m in some]
    on: Any = model.get_submodule(layer)
    return Update(on, slices, dropout=setting.dropout, dora=setting.dora)


def _check_whole(
    parts: Mapping[str, Mapping[str, Tensor]], setting: Setting, there: Mapping[str, Matrix], begins: list[str], file: Path
) -> None:
    """InputError unless the file has all tensors of just those matrices that the config names."""
    if not parts:
        raise InputError(f"{file} holds no update of any matrix, so this adapter would change nothing: save it again")
    wanted = [name for name in there if there[name].adapts and any(setting.is_on(way) for way in spellings(name, begins))]
    for name in wanted:
        if name not in parts:
            raise InputError(f"{file} lacks {ROOT}{name}.lora_A.weight, though {ADAPTER} says the adapter is on {name}")
    for name, some in parts.items():
        for need, leaf in (("A", "lora_A.weight"), ("B", "lora_B.weight"), ("m", "lora_magnitude_vector")):
            if (need in some) != (need != "m" or setting.dora):
                what = "lacks" if need not in some else "has, though it is no DoRA,"
                raise InputError(f"{file} {what} {ROOT}{name}.{leaf}")
        if name not in wanted:
            raise InputError(f"{file} has an update of {name}, which {ADAPTER} does not name: one of the two files is another adapter's")


def _filled(
    model: Model, layer: str, some: list[tuple[str, Matrix]], setting: Setting, parts: Mapping[str, Mapping[str, Tensor]], file: Path
) -> Update:
    """A layer's update with its tensors. InputError for one of another shape."""
    for name, m in some:
        rank = setting.rank_of(name)
        for part, leaf, want in (("A", "lora_A.weight", (rank, m.inputs)), ("B", "lora_B.weight", (m.rows, rank)),
                                 ("m", "lora_magnitude_vector", (m.rows,))):  # fmt: skip
            if part in parts[name] and tuple(parts[name][part].shape) != want:
                shape = tuple(parts[name][part].shape)
                raise InputError(f"{file}: {ROOT}{name}.{leaf} has shape {shape}, the base and {ADAPTER} ask for {want}")
    update = _update(model, layer, some, setting)
    with torch.no_grad():
        update.a.weight.copy_(torch.cat([parts[name]["A"] for name, _ in some]))
        for n, (name, _) in enumerate(some):
            update.bs[n].weight.copy_(parts[name]["B"])
            if update.magnitudes is not None:
                update.magnitudes[n].copy_(parts[name]["m"])
    return update


def _kept(model: Model, saved: Mapping[str, Tensor], setting: Setting, file: Path) -> dict[str, nn.Module]:
    """Place -> the parts an adapter brings whole. InputError when one of them is not whole, or is not named in its config."""
    kept: dict[str, nn.Module] = {}
    spots = places(model)
    for place in _brought(model, setting.saved):
        kept[place] = copy.deepcopy(model.get_submodule(place))
    for key, spot in spots.items():
        part, _, leaf = spot.name.rpartition(".")
        if part not in kept:
            if key in saved:
                raise InputError(f"{file} holds {key} whole, which modules_to_save in {ADAPTER} does not name: what is it for?")
            continue
        if key not in saved:
            raise InputError(f"{file} lacks {ROOT}{key}, though modules_to_save in {ADAPTER} names it")
        names.check(spot, saved[key], key, str(file))
        names.put(kept[part], dataclasses.replace(spot, name=leaf, into=getattr(kept[part], leaf)), saved[key])
    return kept


def _brought(model: Model, saved: Iterable[str]) -> list[str]:
    """The places of the parts that peft would call so. InputError for one that is shared."""
    found = []
    for key, spot in places(model).items():
        part, module = spot.name.rpartition(".")[0], key.rpartition(".")[0]
        if not any(module.endswith(each) or f".{each}." in f".{module}." for each in saved) or part in found:
            continue
        if part.endswith(TOKENS) or next(model.get_submodule(part).children(), None) is not None:
            raise InputError(f"modules_to_save names {module}, which has more than one use or part here: name heads alone")
        found.append(part)
    return found

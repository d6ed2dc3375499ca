"""Which files of a folder hold the weights, and what their headers say; no tensor is read and torch stays out of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..base.errors import InputError, did_you_mean
from ..base.files import read_json

WEIGHTS, PICKLED = "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"
GENERATION = "generation_config.json"
ADAPTER = "adapter_config.json"
UPDATES = ("adapter_model.safetensors", "adapter_model.bin")
"""An adapter's weights, the second as older versions of peft wrote them."""
SCALES, LOWS = ".scales", ".lows"
"""What stands behind the name of a matrix of codes in the names of the tensors beside it (`coded.py`)."""
POINTER = b"version https://git-lfs.github.com/"
FOREIGN = {
    "tf_model.h5": "TensorFlow",
    "flax_model.msgpack": "Flax",
    "model.ckpt.index": "TensorFlow",
    "model.onnx": "ONNX",
    "rust_model.ot": "Rust",
}


@dataclass(frozen=True)
class Header:
    """What a file says of a tensor: `dtype` as safetensors writes it (F32, BF16, I64 …)."""

    name: str
    shape: tuple[int, ...]
    dtype: str


def existing(folder: Path) -> Path:
    """The folder, if it is one that holds a model. InputError says what is wrong with it."""
    if folder.is_file():
        raise InputError(f"{folder} is a file; name the folder of a model (it holds config.json and {WEIGHTS})")
    if not folder.is_dir():
        near = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        hint = did_you_mean(folder.name, near) if near else ""
        raise InputError(f"there is no model folder {folder}{hint if 'did you mean' in hint else ''}")
    if not (folder / "config.json").is_file() and not is_adapter(folder):
        raise InputError(f"{folder} holds no model: config.json is missing")
    return folder


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and no weights of a whole model."""
    whole = any((folder / f"{name}{end}").is_file() for name in (WEIGHTS, PICKLED) for end in ("", INDEX))
    return (folder / ADAPTER).is_file() and not whole


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights: safetensors before pickled ones, one file before shards.

    Of an adapter its own. InputError when there is none, or when a shard is missing.
    """
    for name in (WEIGHTS, PICKLED):
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}{INDEX}").is_file():
            return _shards(folder / f"{name}{INDEX}")
    if (folder / ADAPTER).is_file():
        for name in UPDATES:
            if (folder / name).is_file():
                return [folder / name]
        raise InputError(f"{folder / UPDATES[0]} does not exist: the adapter's weights are missing")
    foreign = next((f": the folder has only {kind} weights ({name})" for name, kind in FOREIGN.items() if (folder / name).is_file()), "")
    raise InputError(f"{folder / WEIGHTS} does not exist: the weights are missing{foreign}")


def _shards(index: Path) -> list[Path]:
    """The shards that an index names, each once. They lie beside it: a name that leads elsewhere is refused."""
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table or not all(isinstance(name, str) for name in table.values()):
        raise InputError(f"{index} has no weight_map: copy it again from where the model comes from")
    names = sorted(set(table.values()))
    for name in names:
        if Path(name).name != name or name in ("", "..") or "\\" in name or "\0" in name:
            raise InputError(f"{index} names {name!r}, which is not a file beside it: this is refused; copy the model again")
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise InputError(
            f"{index.parent / missing[0]} does not exist: {len(missing)} of the {len(names)} files that {index.name} names "
            "are missing; copy them too"
        )
    return [index.parent / name for name in names]


def headers(path: Path) -> Iterator[Header]:
    """What a safetensors file says of its tensors, in the order in which they lie in it."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: the weights are missing")
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.offset_keys():
                part = file.get_slice(name)
                yield Header(name, tuple(part.get_shape()), part.get_dtype())
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: object) -> InputError:
    """The sentence for a file of weights that cannot be read."""
    kind = "safetensors" if path.suffix == ".safetensors" else "PyTorch"
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if file.read(len(POINTER)) == POINTER:
            return InputError(f"{path} is only Git LFS's pointer to the weights: run `git lfs pull` in its folder, or download it anew")
    first = (str(error).splitlines() or [""])[0] or type(error).__name__
    return InputError(f"{path} is damaged or not a {kind} file ({first}): copy it again from where the model comes from")

"""The tensors of weight files by name, mapped from the disk and read when they are asked for; no pickle is ever executed."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..base.errors import InputError
from .coded import coded, read
from .files import damaged


class Tensors(Mapping[str, Tensor]):
    """All tensors of one or more files. `homes`: the file of each. A matrix that lies there as codes (`coded.py`) is one of float32.

    What comes from safetensors or from a zipped .bin lies in the file until it is read; a .bin of before 2020 is held in memory, one
    file at a time. InputError names the file that is damaged, or that asks to run code.
    """

    def __init__(self, files: Sequence[Path]):
        self.homes: dict[str, Path] = {}
        self._open: dict[Path, Any] = {}
        self._coded: dict[str, dict[str, Path]] = {}  # of each such matrix: what stands beside it, and where
        for path in files:
            for name in self._names(path):
                if name in self.homes:
                    raise InputError(f"{path} holds {name}, and so does {self.homes[name]}: which one is meant cannot be known")
                self.homes[name] = path
        for name, parts in coded(self.homes).items():
            self._coded[name] = {part: self.homes.pop(part) for part in parts}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._coded:
            return self._held(name, self.homes[name])
        parts = {part.rpartition(".")[2]: self._held(part, path) for part, path in self._coded[name].items()}
        return read(self._held(name, self.homes[name]), parts["scales"], parts.get("lows"), f"{self.homes[name]}: {name}")

    def _held(self, name: str, path: Path) -> Tensor:
        """As it lies in the file."""
        held = self._file(path)
        try:
            return held[name] if isinstance(held, dict) else held.get_tensor(name)
        except SafetensorError as error:
            raise damaged(path, error) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.homes)

    def __len__(self) -> int:
        return len(self.homes)

    def drain(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor, file by file in the order in which they lie there; what was handed out is let go of."""
        for name, path in self.homes.items():
            yield name, self[name]
            held = self._open[path]
            if isinstance(held, dict) and name in held:
                del held[name]

    def _names(self, path: Path) -> list[str]:
        held = self._file(path)
        return list(held) if isinstance(held, dict) else held.offset_keys()

    def _file(self, path: Path) -> Any:
        """The open file: a safetensors reader, or a dictionary of tensors."""
        if path not in self._open:
            if not path.is_file():
                raise InputError(f"{path} does not exist: the weights are missing")
            if path.suffix == ".bin":
                zipped = zipfile.is_zipfile(path)
                if not zipped:
                    self._open.clear()  # only one such file at a time
                self._open[path] = _unpickled(path, mapped=zipped)
            else:
                try:
                    self._open[path] = safe_open(path, framework="pt")
                except (SafetensorError, OSError) as error:
                    raise damaged(path, error) from None
        return self._open[path]


def _unpickled(path: Path, *, mapped: bool) -> dict[str, Tensor]:
    """The tensors of a .bin file; whatever else the pickle asks for is refused and nothing of it runs."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles written otherwise than torch does; they are refused below
            held = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked:
            raise InputError(
                f"{path} asks to run {asked[1]} when it is read, which weights never need: it is refused and nothing was run; "
                "get the model as safetensors from someone you trust"
            ) from None
        raise damaged(path, "it holds something else than weights, and nothing of that was run") from None
    except Exception as error:  # whatever damaged bytes make of a reader: RuntimeError, EOFError, KeyError, UnicodeDecodeError …
        raise damaged(path, error) from None
    if not isinstance(held, dict):
        raise InputError(f"{path} holds a {type(held).__name__}, not named tensors: save the state dictionary of the model alone")
    for name, value in held.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            raise InputError(f"{path} holds more than plain tensors ({name!r} is none): save the state dictionary of the model alone")
    return held

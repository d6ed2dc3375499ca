"""Named tensors -> safetensors files, tensor by tensor, so that never more than one is held twice; each file whole or not at all.

The library's own writer wants every tensor contiguous at the same time; a GPT-2, stored transposed, would be in memory once more.
The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..base.errors import InputError, RunError
from ..base.files import replacing
from .files import INDEX, WEIGHTS

CODES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""In the order in which they lie in a file, the widest first, so that each begins at a multiple of its size."""
SHARD = "5GB"
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


class Written(NamedTuple):
    """A tensor, and the precision in which it goes to the disk."""

    tensor: Tensor
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes on the disk."""
        return self.tensor.numel() * self.dtype.itemsize


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """One safetensors file."""
    with replacing(path) as temporary:
        _stream(temporary, {name: Written(tensor, tensor.dtype) for name, tensor in tensors.items()}, metadata)


def save_shards(folder: Path, tensors: Mapping[str, Written], limit: int, metadata: dict[str, str]) -> list[Path]:
    """model.safetensors, or shards of at most `limit` bytes and their index; returns the files of weights.

    All of them are written before the first takes its place, and those of an older checkpoint go last.
    """
    parts = _split(tensors, limit)
    names = [WEIGHTS] if len(parts) == 1 else [f"model-{n:05}-of-{len(parts):05}.safetensors" for n in range(1, len(parts) + 1)]
    with ExitStack() as stack:
        if len(parts) > 1:
            index = stack.enter_context(replacing(folder / f"{WEIGHTS}{INDEX}"))  # entered first, so renamed last
            table = {name: file for file, part in zip(names, parts, strict=True) for name in part}
            facts = {"metadata": {"total_size": sum(each.nbytes for each in tensors.values())}, "weight_map": table}
            index.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", "utf-8")
        for file, part in zip(names, parts, strict=True):
            _stream(stack.enter_context(replacing(folder / file)), {name: tensors[name] for name in part}, metadata)
    for path in folder.iterdir():
        ours = re.fullmatch(rf"model(-\d{{5}}-of-\d{{5}})?\.safetensors({re.escape(INDEX)})?", path.name)
        if ours and path.name not in names and not (len(names) > 1 and path.name == WEIGHTS + INDEX):
            path.unlink()
    return [folder / name for name in names]


def size_of(text: str | int) -> int:
    """ "5GB", "300MB" or a number -> bytes. InputError when it is neither."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?B?)\s*", str(text).upper())
    unit = found and (found[2] if found[2] in UNITS else found[2] + "B")
    if not found or unit not in UNITS or float(found[1]) <= 0:
        raise InputError(f"max_shard_size must be a size such as 5GB or 300MB, not {text!r}")
    return max(1, int(float(found[1]) * UNITS[unit]))


def _split(tensors: Mapping[str, Written], limit: int) -> list[list[str]]:
    """Names in their order, cut wherever one more tensor would be too many; one that is larger than `limit` stands alone."""
    parts: list[list[str]] = [[]]
    size = 0
    for name, each in tensors.items():
        if parts[-1] and size + each.nbytes > limit:
            parts.append([])
            size = 0
        parts[-1].append(name)
        size += each.nbytes
    return parts


def _stream(path: Path, tensors: Mapping[str, Written], metadata: dict[str, str]) -> None:
    for name, each in tensors.items():
        if each.dtype not in CODES:
            raise RunError(f"{path} cannot hold {name}: {each.dtype} has no place in a safetensors file")
    order = sorted(tensors, key=lambda name: (list(CODES).index(tensors[name].dtype), name))
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name in order:
        tensor, dtype = tensors[name]
        begin, end = end, end + tensors[name].nbytes
        header[name] = {"dtype": CODES[dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            value = tensors[name].tensor.detach().to("cpu", tensors[name].dtype).contiguous()
            file.write(value.flatten().view(torch.uint8).numpy().data)

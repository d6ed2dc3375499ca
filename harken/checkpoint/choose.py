"""In which precision weights are read, and how they are held to answer: as asked, or with `dtype="auto"` as narrow as they may be: the
narrowest whose perplexity on a text stays within 0.5 % of float32's."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

from ..base.errors import InputError, did_you_mean
from ..base.files import read_json
from ..base.report import say
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .coded import BITS, held_of

PLAIN = ("float32", "bfloat16", "float16")
"""What weights can be read in."""
DTYPES = (*PLAIN, *BITS.values(), "auto")
NARROWEST_FIRST = ("int4", "int8", "bfloat16")
MOST = 1.005
"""Perplexity over that of float32 that a narrower weight may have."""
CHARACTERS, TOKENS, FEWEST = 100_000, 4_096, 64
"""Of the text: how much is read, how much measured, and what is too little to tell."""


def check_dtype(name: str) -> str:
    """The name of a dtype. InputError when it is not known."""
    if name not in DTYPES:
        raise InputError(f"dtype {name!r} is not known{did_you_mean(name, DTYPES)}")
    return name


def read_as(folder: Path, dtype: str, device: torch.device) -> str:
    """In which precision a folder's weights are read, if they shall be held as `dtype`: one of PLAIN, or auto for that of the file.
    InputError unless they can be."""
    own = held_of(folder)
    if own is not None and dtype not in ("float32", "auto", own):
        raise InputError(f"{folder} is quantised to {own}, so it cannot be {dtype}: leave dtype out, or take the model as it was before")
    if dtype in BITS.values() and device.type != "cpu":
        raise InputError(f"dtype {dtype} is for a CPU: on {device} take bfloat16")
    return "float32" if dtype in BITS.values() else dtype


def hold(model: Model, tokenizer: Tokenizer | None, folder: Path, dtype: str, text: str | os.PathLike[str] | None = None) -> None:
    """Hold the weights of a model that was read from `folder`, or from the base of the adapter there, as `dtype` says."""
    if dtype in BITS.values():
        model.pack(dtype)
    elif dtype == "auto" and model.held is None and model.device.type == "cpu":
        choose(model, tokenizer, folder, text)


def choose(model: Model, tokenizer: Tokenizer | None, folder: Path, text: str | os.PathLike[str] | None) -> None:
    """Hold the weights of a model as narrow as its perplexity on the file `text` allows, and say which.

    Default: what the run in `folder` learned from. InputError when a file that is named cannot be read."""
    try:
        ids = _sample(model, tokenizer, folder, text)
    except _Unknown as reason:
        say(f"dtype auto: the weights stay as they are, because {reason}")
        return
    model.float()  # what a narrower file holds is found again
    base, told = perplexity(model, ids), []
    for kind in NARROWEST_FIRST:
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        model.pack(kind)
        found = perplexity(model, ids)
        told.append(f"{kind} {100 * (found / base - 1):+.2f} %")
        if found <= base * MOST:
            say(f"dtype auto: {kind}; perplexity of {ids.numel():,} tokens is {found:.4g}, with float32 {base:.4g} ({', '.join(told)})")
            return
        model.pack("float32")
        model.load_state_dict(kept)
    say(f"dtype auto: the weights stay float32, because narrower ones move the perplexity too far ({', '.join(told)})")


@torch.inference_mode()
def perplexity(model: Model, ids: torch.Tensor) -> float:
    """Of ids (B, L), each row by itself."""
    model.pack()
    nats = -sum(float(model.score(row[None]).double().sum()) for row in ids)
    return math.exp(min(700.0, nats / (ids.numel() - len(ids))))


class _Unknown(Exception):
    """Why nothing can be measured."""


def _sample(model: Model, tokenizer: Tokenizer | None, folder: Path, text: str | os.PathLike[str] | None) -> torch.Tensor:
    """(B, L) ids of a text, rows of one length. _Unknown when there is none."""
    if tokenizer is None or model.reads == "source" or not getattr(getattr(model, "head", None), "writes", False):
        raise _Unknown("only a model that continues a text, with its tokenizer, is measured by one")
    if text is None:
        record = folder / "harken.json"
        source = (read_json(record).get("data") or {}).get("source") if record.is_file() else None
        if not isinstance(source, str) or not Path(source).is_file():
            raise _Unknown("no text is named (text=FILE), and the one it learned from is not there")
        text = source
    try:
        with open(text, encoding="utf-8", errors="replace") as file:
            words = file.read(CHARACTERS)
    except OSError as error:
        raise InputError(f"{text} cannot be read ({error.strerror or error}): name a text file") from None
    ids = tokenizer.encode(words)
    width = min(model.context, 256, len(ids))
    if width < FEWEST and width < model.context:
        raise _Unknown(f"{text} has only {len(ids):,} tokens")
    rows = max(1, min(TOKENS, len(ids)) // width)
    return torch.tensor(ids[: rows * width]).view(rows, width)

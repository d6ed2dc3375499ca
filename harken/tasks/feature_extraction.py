"""Feature extraction: the last hidden state of every token, or one vector for a text.

    [[[0.1, …], …]]      (1, L, D), special tokens included, as Hugging Face has it; return_tensors: the same as a tensor
    [0.1, …]             (D,) with pooling; return_tensors: a tensor (D,)
Of a model that reads a source and writes, the states are those of its encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..base.errors import InputError
from ..base.options import option
from .frame import row_of
from .task import Prepared, Task, Tools, text_of

Pooling = Literal["none", "mean", "first", "cls", "last", "max"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to read features."""

    pooling: Pooling = option("none", "one vector for a text: the mean or maximum of its tokens', or that of its first (cls) or last")
    normalize: bool = option(False, "divide that vector by its length")
    return_tensors: Any = option(None, "true: a tensor instead of lists")
    truncation: bool = option(False, "cut texts that are longer than the model reads")


def once(tools: Tools, options: Options) -> Options:
    """InputError for options that cannot be, and for a model without hidden states."""
    with_states(tools)
    if options.return_tensors not in (None, False, True, "pt"):
        raise InputError(f'return_tensors must be true, or "pt", not {options.return_tensors!r}')
    if options.normalize and options.pooling == "none":
        raise InputError("normalize is for one vector a text: give pooling beside it, as in pooling=mean")
    return options


def with_states(tools: Tools) -> None:
    """InputError for a model that has no hidden state for each token, but counts, or a state of its own kind."""
    from ..nn.decoder import Decoder
    from ..nn.encoder import Encoder
    from ..nn.encoder_decoder import EncoderDecoder

    if not isinstance(tools.model, Encoder | Decoder | EncoderDecoder):
        raise InputError(f"a {tools.model.config.model_type} model has no hidden states to give for {tools.asked}: take a Transformer")


def prepare(given: Any, tools: Tools, options: Options) -> Prepared:
    """One row."""
    return Prepared([row_of(tools, text_of(given), truncation=options.truncation)])


def postprocess(prepared: Prepared, outputs: Sequence[np.ndarray], tools: Tools, options: Options) -> Any:
    """Lists, or a tensor."""
    found = pooled(outputs[0], options.pooling) if options.pooling != "none" else outputs[0][None]
    found = found / max(float(np.linalg.norm(found)), 1e-12) if options.normalize else found
    if options.return_tensors:
        import torch

        return torch.from_numpy(np.ascontiguousarray(found))
    return found.tolist()


def pooled(states: np.ndarray, how: Pooling) -> np.ndarray:
    """(L, D) -> (D,)"""
    if how in ("mean", "max"):
        return states.mean(0, dtype=np.float64).astype(np.float32) if how == "mean" else states.max(0)
    return states[-1 if how == "last" else 0]


TASK = Task(
    name="feature-extraction",
    options=Options,
    heads=(),
    wants="states",
    default="distilbert/distilbert-base-cased",
    prepare=prepare,
    postprocess=postprocess,
    once=once,
)

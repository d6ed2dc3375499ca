"""Classification of texts, or of pairs: one label, any number of labels, or a number.

    one label      loss = -log softmax(z)_y                                with smoothing ε: y counts 1 - ε, every label ε / N
    several        loss = mean over the labels of -y log σ(z) - (1 - y) log(1 - σ(z))
    a number       loss = (z - y)²
https://arxiv.org/abs/1810.04805 section 4.1; smoothing: https://arxiv.org/abs/1512.00567 section 7.   B examples · N labels
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.examples import Examples
from ..data.fitting import Fitter, encoded
from ..data.framing import frame_of
from ..data.labelled import MULTI, REGRESSION, SINGLE, Labelled
from ..data.laid import Classes, Laid, Layer, counted
from ..data.ledger import Ledger
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .causal import Loss
from .judging import Outcome, heard


def texts_of(example: Labelled) -> tuple[str, ...]:
    """One text, or two."""
    return (example.text,) if example.text2 is None else (example.text, example.text2)


def wanted_of(examples: Examples[Labelled], labels: Sequence[str], problem: str) -> np.ndarray:
    """What is right of each example, as `Classes` has it. InputError where the examples are not of this problem."""
    places = {label: i for i, label in enumerate(labels)}
    if (examples.problem == REGRESSION) != (problem == REGRESSION) or (examples.problem == MULTI and problem == SINGLE):
        raise InputError(f"{examples.name} is for {examples.problem.replace('_', ' ')}, but what is learned is {problem.replace('_', ' ')}")
    if problem == REGRESSION:
        return np.array([[example.score] for example in examples], np.float32)
    if problem == SINGLE:
        return np.array([places[example.labels[0]] for example in examples], np.int64)
    wanted = np.zeros((len(examples), len(labels)), np.float32)
    for row, example in zip(wanted, examples, strict=True):
        row[[places[label] for label in example.labels]] = 1
    return wanted


def lay(
    examples: Examples[Labelled],
    tokenizer: Tokenizer,
    labels: Sequence[str],
    problem: str,
    context: int,
    ledger: Ledger,
    *,
    overflow: str | None = None,
    stage: str = "tokens",
) -> Laid:
    """Examples as they are read. InputError when some are longer than the context and no `overflow` says what to do."""
    pair = any(example.text2 is not None for example in examples)
    frame, layer, unknown = frame_of(tokenizer, pair=pair), Layer(), 0
    fitter = Fitter(context - frame.size, overflow)
    parts = encoded((text for example in examples for text in (*texts_of(example), *[""] * (pair and example.text2 is None))), tokenizer)
    for number in range(len(examples)):
        fitted = fitter.fit([next(parts) for _ in range(1 + pair)])
        if fitted is not None:
            unknown += sum(tokenizer.unknown(part) for part in fitted)
            layer.add(frame, *fitted)
            layer.close(number)
    fitter.settle(examples.name, ledger, stage, frame.size)
    laid = layer.laid(context, Classes(wanted_of(examples, labels, problem)[layer.kept], tuple(labels), problem))
    counted(laid, ledger, stage, unknown)
    return laid


def smoothed(laid: Laid, smoothing: float) -> Laid:
    """The same with smoothed labels, to learn from. InputError where there is not one label each."""
    if smoothing and laid.goal.problem != SINGLE:
        raise InputError(f"--label-smoothing is for texts with one label each, not for {laid.goal.problem.replace('_', ' ')}")
    return dataclasses.replace(laid, goal=dataclasses.replace(laid.goal, smoothing=smoothing))


def batch_loss(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
    """The summed loss of some examples (B, 3)."""
    logits = heard(model, source, source.sequences(rows), pad, pack=pack)
    return Loss(_loss(logits, source.goal, rows), len(rows))


def _loss(logits: Tensor, goal: Classes, rows: np.ndarray) -> Tensor:
    wanted = torch.from_numpy(goal.wanted[rows[:, 2]]).to(logits.device)
    if goal.problem == SINGLE:
        return F.cross_entropy(logits, wanted, reduction="sum", label_smoothing=goal.smoothing)
    if goal.problem == MULTI:
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / wanted.shape[1]
    return F.mse_loss(logits, wanted, reduction="sum")


def outcomes(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Outcome:
    """Loss and predictions of some examples (B, 3): a label, a set of labels, or a number each."""
    logits, goal = heard(model, source, source.sequences(rows), pad, pack=pack), source.goal
    nats = _loss(logits.double(), dataclasses.replace(goal, smoothing=0.0), rows) if goal.problem == SINGLE else _loss(logits, goal, rows)
    wanted, names = goal.wanted[rows[:, 2]], goal.labels
    if goal.problem == SINGLE:
        right: list[Any] = [names[i] for i in wanted.tolist()]
        found: list[Any] = [names[i] for i in logits.argmax(-1).tolist()]
    elif goal.problem == MULTI:
        right = [{names[i] for i in np.flatnonzero(row)} for row in wanted]
        found = [{names[i] for i in np.flatnonzero(row)} for row in (logits > 0).cpu().numpy()]
    else:
        right, found = wanted[:, 0].tolist(), logits[:, 0].tolist()
    return Outcome(nats.item(), len(rows), found, right)

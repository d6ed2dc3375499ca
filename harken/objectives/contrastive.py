"""Sentence vectors: a text is the mean of its tokens' vectors, or what 1_Pooling beside the model says, and the cosine of two says how
alike they are.

    pairs      loss = - log exp(cos(a, p) / τ) / Σ_j exp(cos(a, p_j) / τ)      over all second sentences of the batch: InfoNCE
    scores     loss = (cos(a, b) - score)²
https://arxiv.org/abs/1807.03748 · https://arxiv.org/abs/1908.10084. A text that stands twice in a batch is not its own wrong answer. The
loss of pairs depends on what else is in the batch, by its definition: a batch is therefore never split, and what is measured is measured in
blocks of 32 pairs in the order of the data, whatever the batch.   B pairs · S second sentences of all · D width
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..checkpoint.pooling import Pooling, pooling_of
from ..data.examples import Examples
from ..data.fitting import Fitter, encoded
from ..data.framing import frame_of
from ..data.labelled import REGRESSION
from ..data.laid import Alike, Laid, Layer, counted
from ..data.ledger import Ledger
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .causal import Loss
from .judging import Outcome, states

SCALE = 20.0
"""1 / τ, as sentence-transformers' losses have it and call it."""
BLOCK = 32


def groups_of(examples: Examples) -> list[tuple[str, ...]]:
    """Of each example its first sentence, those that belong to it, and those that do not, one of each kind at most."""
    if examples.problem:
        if examples.problem != REGRESSION or any(example.text2 is None for example in examples):
            raise InputError(
                f"{examples.name}: to learn what is alike give pairs of sentences with a score (sentence1, sentence2, score), or sentences "
                "that belong together (query, positive)"
            )
        return [(example.text, example.text2) for example in examples]
    return [(example.query, example.positives[0], *example.negatives[:1]) for example in examples]


def lay(
    examples: Examples,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    problem: str,
    context: int,
    ledger: Ledger,
    *,
    overflow: str | None = None,
    stage: str = "tokens",
) -> Laid:
    """Pairs as they are read, each sentence by itself. `problem`: regression, where scores are to be met; they are brought to 0–1 by the
    largest."""
    frame, layer, unknown, same = frame_of(tokenizer, pair=False), Layer(), 0, []
    fitter, groups = Fitter(context - frame.size, overflow), groups_of(examples)
    parts = encoded((text for group in groups for text in group), tokenizer)
    for number, group in enumerate(groups):
        fitted = [fitter.fit([next(parts)]) for _ in group]
        if all(fitted):
            for text, found in zip(group, fitted, strict=True):
                assert found is not None
                layer.add(frame, found[0])
                unknown += tokenizer.unknown(found[0])
                same.append(zlib.crc32(text.encode()) << 16 ^ len(text))
            layer.close(number)
    fitter.settle(examples.name, ledger, stage, frame.size, "sentences")
    used = len(layer.kept)
    for what, n in (("pairs", len(groups)), ("pairs used", used), ("pairs left out", len(groups) - used)):
        ledger.add(stage, what, n)
    ledger.balance(stage, "pairs", "pairs used", "pairs left out")
    scores = None
    if problem == REGRESSION:
        scores = np.array([example.score for example in examples], np.float32)[layer.kept]
        scores = scores / largest(examples)
    laid = layer.laid(context, Alike(scores, np.array(same, np.int64), 1 / SCALE))
    counted(laid, ledger, stage, unknown)
    return laid


def largest(examples: Examples) -> float:
    """The score that stands for 1: the largest, where it is more."""
    scores = (abs(example.score) for example in examples)
    return max(1.0, *scores)


def brought(laid: Laid, share: float) -> Laid:
    """The same with scores multiplied by `share`, where there are any: those of held-out pairs stand beside the training text's largest."""
    goal = laid.goal
    return (
        laid if goal.scores is None else dataclasses.replace(laid, goal=dataclasses.replace(goal, scores=goal.scores * np.float32(share)))
    )


def scaled(laid: Laid, scale: float) -> Laid:
    """The same with cosines multiplied by `scale`. InputError where scores are to be met, which knows no such thing."""
    if scale != SCALE and laid.goal.scores is not None:
        raise InputError("--scale is for sentences that belong together; the cosines of these are to meet their scores: leave it out")
    return dataclasses.replace(laid, goal=dataclasses.replace(laid.goal, temperature=1 / scale))


def vectors(model: Model, source: Laid, which: np.ndarray, pad: int, pack: bool) -> Tensor:
    """Sequences (S,) -> (S, D) what stands for them, of length 1."""
    how = pooling_of(model)
    return F.normalize(torch.stack([pooled(each, how) for each in states(model, source, which, pad, pack=pack)]), dim=-1)


def pooled(states: Tensor, how: Pooling) -> Tensor:
    """(L, D) -> (D,)"""
    if how in ("mean", "max"):
        return states.mean(0) if how == "mean" else states.amax(0)
    return states[-1 if how == "last" else 0]


def _cosines(model: Model, source: Laid, rows: np.ndarray, pad: int, pack: bool) -> tuple[Tensor, Tensor]:
    """(cosines (B, S) of each first sentence with all second ones, its own first, in order (B,): and which column is its own)."""
    which = source.sequences(rows)
    found = vectors(model, source, which, pad, pack)
    counts = np.diff(source.firsts)[rows[:, 2]]
    begins = np.cumsum([0, *counts])[:-1]
    seconds = np.setdiff1d(np.arange(len(which)), begins)
    own = np.searchsorted(seconds, begins + 1)
    cosines = found[torch.from_numpy(begins)] @ found[torch.from_numpy(seconds)].T  # (B, S)
    same = source.goal.same[which]
    twins = same[seconds][None] == same[seconds][own][:, None]
    twins[np.arange(len(own)), own] = False
    return cosines.masked_fill(torch.from_numpy(twins).to(cosines.device), -torch.inf), torch.from_numpy(own).to(cosines.device)


def batch_loss(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
    """The summed loss of some pairs (B, 3), read together; 0 where there is no wrong answer among them."""
    total, _, _ = _loss(model, source, rows, pad, pack)
    return Loss(total, len(rows))


def _loss(model: Model, source: Laid, rows: np.ndarray, pad: int, pack: bool) -> tuple[Tensor, Tensor, Tensor]:
    cosines, own = _cosines(model, source, rows, pad, pack)
    goal, wanted = source.goal, cosines.gather(1, own[:, None])[:, 0]
    if goal.scores is not None:
        return F.mse_loss(wanted, torch.from_numpy(goal.scores[rows[:, 2]]).to(wanted.device), reduction="sum"), cosines, own
    return F.cross_entropy(cosines / goal.temperature, own, reduction="sum"), cosines, own


def outcomes(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Outcome:
    """Loss and cosines of one block of pairs (B, 3): of each pair its own against its score, or with all second sentences, of which one is
    right."""
    total, cosines, own = _loss(model, source, rows, pad, pack)
    if source.goal.scores is not None:
        found = cosines.gather(1, own[:, None])[:, 0].tolist()
        return Outcome(total.item(), len(rows), found, source.goal.scores[rows[:, 2]].tolist())
    gains = F.one_hot(own, cosines.shape[1])
    there = ~torch.isinf(cosines)
    pairs = [(one[keep].tolist(), right[keep].tolist()) for one, right, keep in zip(cosines, gains, there, strict=True)]
    return Outcome(total.item(), len(rows), [one for one, _ in pairs], [right for _, right in pairs])

"""Ranking: a query and a candidate are read together, and one number says how well the one answers the other (a cross-encoder).

    listwise      loss = - Σ over the right ones of log softmax(z over all candidates of the query) / how many they are
    pairwise      loss = mean over right i and wrong j of log(1 + exp(z_j - z_i))
    pointwise     loss = mean over the candidates of their binary cross-entropy
https://arxiv.org/abs/1901.04085 · https://doi.org/10.1145/1273496.1273513 (listwise) · https://doi.org/10.1145/1102351.1102363 (pairwise)
B queries · C candidates of one · S candidates of all
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.examples import Examples
from ..data.fitting import Fitter, encoded
from ..data.framing import frame_of
from ..data.laid import Gains, Laid, Layer, counted
from ..data.ledger import Ledger
from ..data.ranked import Ranked
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from .causal import Loss
from .judging import Outcome, heard

DRAWN = 7
"""Wrong candidates of a query that names none: answers to others, always the same ones."""


def candidates(examples: Examples[Ranked]) -> list[tuple[str, ...]]:
    """Of each query the wrong candidates it names; for one that names none, answers to other queries."""
    pool = list(dict.fromkeys(text for example in examples for text in example.positives))
    found = []
    for number, example in enumerate(examples):
        if example.negatives:
            found.append(example.negatives)
            continue
        rng = np.random.default_rng(number)
        some = (pool[i] for i in rng.permutation(len(pool))[: DRAWN + len(example.positives)].tolist())
        found.append(tuple(text for text in some if text not in example.positives)[:DRAWN])
    if lone := [i for i, some in enumerate(found, 1) if not some]:
        raise InputError(f"{examples.name}: query {lone[0]:,} has no wrong candidate, and no other query has one to lend: give a negative")
    return found


def lay(
    examples: Examples[Ranked],
    tokenizer: Tokenizer,
    labels: Sequence[str],
    problem: str,
    context: int,
    ledger: Ledger,
    *,
    overflow: str | None = None,
    stage: str = "tokens",
) -> Laid:
    """Queries with their candidates; of two that are too long together the candidate is cut. `problem`: one of the losses."""
    frame, layer, unknown, gains = frame_of(tokenizer, pair=True), Layer(), 0, []
    fitter, wrong = Fitter(context - frame.size, overflow, "last"), candidates(examples)
    parts = encoded((text for example, some in zip(examples, wrong, strict=True) for text in (example.query, *example.positives, *some)),
                    tokenizer)  # fmt: skip
    for number, (example, some) in enumerate(zip(examples, wrong, strict=True)):
        query = next(parts)
        unknown += tokenizer.unknown(query)
        fitted = [fitter.fit([query, next(parts)]) for _ in range(len(example.positives) + len(some))]
        right, others = fitted[: len(example.positives)], fitted[len(example.positives) :]
        if not any(right) or not any(others):
            continue
        for group, gain in ((right, 1.0), (others, 0.0)):
            for both in filter(None, group):
                layer.add(frame, *both)
                unknown += tokenizer.unknown(both[1])
                gains.append(gain)
        layer.close(number)
    fitter.settle(examples.name, ledger, stage, frame.size, "candidates")
    lent = sum(not example.negatives for example in examples)
    used = len(layer.kept)
    for what, n in (("queries", len(examples)), ("queries used", used), ("queries left out", len(examples) - used),
                    ("queries with candidates of others", lent)):  # fmt: skip
        ledger.add(stage, what, n)
    ledger.balance(stage, "queries", "queries used", "queries left out")
    laid = layer.laid(context, Gains(np.array(gains, np.float32), problem))
    counted(laid, ledger, stage, unknown)
    return laid


def _loss(scores: Tensor, gains: Tensor, kind: str) -> Tensor:
    """The loss of one query: scores and gains (C,)."""
    right = gains > 0
    if kind == "pointwise":
        return F.binary_cross_entropy_with_logits(scores, right.to(scores.dtype))
    if kind == "pairwise":
        return F.softplus(scores[~right][None] - scores[right][:, None]).mean()
    return -scores.log_softmax(0)[right].mean()


def _scored(model: Model, source: Laid, rows: np.ndarray, pad: int, pack: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Of each query (B, 3) its candidates' scores (C,) and their gains (C,)."""
    which = source.sequences(rows)
    scores = heard(model, source, which, pad, pack=pack)[:, -1]
    counts = np.diff(source.firsts)[rows[:, 2]].tolist()
    return list(scores.split(counts)), list(torch.from_numpy(source.goal.gains[which]).to(scores.device).split(counts))


def batch_loss(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
    """The summed loss of some queries (B, 3)."""
    pairs = zip(*_scored(model, source, rows, pad, pack), strict=True)
    return Loss(torch.stack([_loss(scores, gains, source.goal.loss) for scores, gains in pairs]).sum(), len(rows))


def outcomes(model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Outcome:
    """Loss and scores of the candidates of some queries (B, 3)."""
    scores, gains = _scored(model, source, rows, pad, pack)
    nats = sum(_loss(each.double(), right, source.goal.loss).item() for each, right in zip(scores, gains, strict=True))
    return Outcome(nats, len(rows), [each.tolist() for each in scores], [each.tolist() for each in gains])

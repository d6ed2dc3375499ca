"""Causal language modelling: predict every token from those before it.

    loss = - Σ_t log p(x_t | x_<t)      Bengio et al. 2003, https://www.jmlr.org/papers/v3/bengio03a.html

An example (a line, a record) is read as  <bos> text <eos>  and is predicted whole, its end included. Running text is cut into
windows of the context, each read behind <bos>, and every token is predicted once.   B rows · L tokens · V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.batches import Spans
from ..data.corpus import Corpus
from ..data.ledger import Ledger
from ..data.tokens import Overflow, fitted, tokenised
from ..nn.heads import LanguageModel
from ..nn.mask import Mask
from ..nn.models import Model
from ..text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Loss:
    """`total`: summed loss in nats, differentiable · `tokens`: how many targets it is the sum of."""

    total: Tensor
    tokens: int


def spans(
    corpus: Corpus, tokenizer: Tokenizer, context: int, ledger: Ledger, *, overflow: Overflow | None = None, stage: str = "tokens"
) -> Spans:
    """Tokenise a corpus; the ledger's `stage` tells what became of every text and token.

    Examples longer than the context are treated as `overflow` says; running text is always read in windows. InputError when there is
    nothing to predict, or an example is too long and `overflow` is None.
    """
    found = tokenised(corpus, tokenizer, ledger, stage)
    overflow = "window" if corpus.kind == "running" else overflow
    return fitted(found, context, ledger, corpus.source, overflow=overflow, stage=stage)


def batch_loss(model: Model, source: Spans, rows: np.ndarray, pad: int, *, pack: bool = False, smoothing: float = 0.0) -> Loss:
    """The summed loss of some rows (B, 2), padded side by side or packed end to end; the loss is the same. `smoothing`: of the targets.

    InputError when no target is left: a step on nothing would look like a perfect one."""
    if not (rows[:, 1] > rows[:, 0]).any():
        raise InputError("a batch has no token to predict; check the data for texts that are empty after tokenising")
    if pack:
        inputs, targets, starts = (torch.from_numpy(a) for a in source.packed(rows[rows[:, 1] > rows[:, 0]]))
        return Loss(summed(model, [inputs], Mask(starts=starts), targets, smoothing), len(targets))
    inputs, targets, lengths = (torch.from_numpy(a) for a in source.take(rows, pad))
    return Loss(summed(model, [inputs], Mask(lengths=lengths), targets, smoothing), int((targets != -100).sum()))


def summed(model: Any, inputs: Sequence[Tensor], mask: Mask, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Σ -log p(targets) of what a model says next; targets (B, L) or packed (T,), -100 where nothing is asked. Logits are there of a few
    tokens at a time, where the model ends in a matrix over the vocabulary."""
    device, real = model.device, targets != -100
    given, wanted, real = [each.to(device) for each in inputs], targets[real].to(device), real.to(device)
    head = getattr(model, "head", None)
    if isinstance(head, LanguageModel) and hasattr(model, "states") and head.plain(model.tokens):
        x = model.states(*given, mask)
        return head.nats(x.reshape(-1, x.shape[-1]) if real.all() else x[real], model.tokens, wanted, smoothing)
    return F.cross_entropy(model(*given, mask)[real].float(), wanted, reduction="sum", label_smoothing=smoothing)


def nats(model: Model, source: Spans, rows: np.ndarray, pad: int) -> tuple[float, int]:
    """(summed negative log-probability of the targets of some rows (B, 2), how many they are), by the model's own way to score."""
    each = row_nats(model, source, rows, pad)
    return float(each.sum()), int((rows[:, 1] - rows[:, 0]).sum())


def row_nats(model: Model, source: Spans, rows: np.ndarray, pad: int) -> np.ndarray:
    """(B,) the summed negative log-probability of the targets of each of some rows (B, 2)."""
    inputs, targets, lengths = (torch.from_numpy(a) for a in source.take(rows, pad))
    real = targets != -100  # (B, L)
    ids = torch.cat([inputs[:, :1], targets.masked_fill(~real, pad)], 1).to(model.device)  # (B, 1 + L)
    scores = model.score(ids, Mask(lengths=lengths + 1))[:, 1:].cpu()
    return -scores.double().masked_fill(~real, 0.0).sum(1).numpy()

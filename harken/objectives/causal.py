"""Causal language modelling: predict every token from those before it.

    loss = - Σ_t log p(x_t | x_<t)      Bengio et al. 2003, https://www.jmlr.org/papers/v3/bengio03a.html

An example (a line, a record) is read as  <bos> text <eos>  and is predicted whole, its end included. Running text is cut into
windows of the context, each read behind <bos>, and every token is predicted once.   B rows · L tokens · V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import InputError
from ..data.batches import Spans
from ..data.corpus import Corpus
from ..data.ledger import Ledger
from ..nn.mask import Mask
from ..nn.models import Model
from ..text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Loss:
    """`total`: summed loss in nats, differentiable · `tokens`: how many targets it is the sum of."""

    total: Tensor
    tokens: int


def spans(corpus: Corpus, tokenizer: Tokenizer, context: int, ledger: Ledger) -> Spans:
    """Tokenise a corpus; counts tokens, unknown tokens and cut texts under the ledger's stage "tokens".

    InputError when there is nothing to predict.
    """
    encoded = tokenizer.encode_many(corpus.texts)
    end = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    running = corpus.kind == "running" and tokenizer.bos_id is not None
    front = [] if running else tokenizer.prefix
    parts, bounds, at = [], [], 0
    for ids in encoded:
        parts += [np.array(front, np.int32), ids, np.array(end, np.int32)]
        size = len(front) + len(ids) + len(end)
        first = at if running else at + max(1, len(front))  # without a special token in front, the first token is only read
        if at + size > first:
            bounds.append((first, at + size))
        at += size
    if not bounds:
        raise InputError(f"{corpus.source}: there is no token to predict; each text needs at least two tokens")
    found = Spans(np.concatenate(parts).astype(np.int32), np.array(bounds, np.int64), tokenizer.bos_id if running else None, context)
    lengths = found.spans[:, 1] - found.spans[:, 0]
    ledger.add("tokens", "tokens", int(sum(map(len, encoded))))
    ledger.add("tokens", "targets", found.targets)
    ledger.add("tokens", "unknown", sum(tokenizer.unknown(ids) for ids in encoded))
    ledger.add("tokens", "texts cut into windows", int((lengths > context).sum()))
    return found


def batch_loss(model: Model, source: Spans, rows: np.ndarray, pad: int) -> Loss:
    """The summed loss of some rows (B, 2). InputError when no target is left: a step on nothing would look like a perfect one."""
    if not (rows[:, 1] > rows[:, 0]).any():
        raise InputError("a batch has no token to predict; check the data for texts that are empty after tokenising")
    inputs, targets, lengths = (torch.from_numpy(a) for a in source.take(rows, pad))
    device = model.device
    real = targets != -100  # (B, L)
    logits = model(inputs.to(device), Mask(lengths=lengths))  # (B, L, V)
    total = F.cross_entropy(logits[real.to(device)].float(), targets[real].to(device), reduction="sum")
    return Loss(total, int(real.sum()))

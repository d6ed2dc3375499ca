"""Models that see the last n tokens and nothing else: the bigram (n = 1), Bengio's network, and whoever looks back a fixed way.

    logits_t = net(x_{t-n+1}, ..., x_t)      Markov's assumption, https://www.jmlr.org/papers/v3/bengio03a.html section 1

B batch · L tokens · V vocabulary
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..base.errors import InputError
from .cache import Cache, HistoryCache
from .mask import Mask
from .models import Model

NOTHING = -1
"""Stands in a history before the first token."""


class HistoryModel(Model):
    """`net` maps histories (..., n), oldest token first, to logits (..., V); `NOTHING` stands before the first token."""

    def __init__(self, net: nn.Module, n: int, *, vocab: int, context: int):
        super().__init__()
        self.net, self.n, self.vocab, self.context = net, n, vocab, context

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> HistoryCache:
        """An empty cache with room for `length` tokens in each of `batch` rows. Such a model has no source."""
        refuse_source(source, mask)
        return HistoryCache(batch, min(length, self.context))

    def forward(
        self, ids: Tensor, mask: Mask | None = None, *, cache: HistoryCache | None = None, maps: list | None = None, last: bool = False
    ) -> Tensor:
        """ids (B, L) -> logits (B, L, V); `last`: only at each row's last real token, (B, V)."""
        counts = admit(ids, mask, cache, context=self.context, vocab=self.vocab, maps=maps)
        batch, new = ids.shape
        cache = HistoryCache(batch, new) if cache is None else cache
        cache.open(new, counts)
        cache.append(ids)
        history = cache.before(new, self.n, NOTHING).to(ids.device)  # (B, L, n)
        cache.close()
        return self.net(ends_of(history, counts) if last else history)


def admit(ids: Tensor, mask: Mask | None, cache: Cache | None, *, context: int, vocab: int, maps: list | None = None) -> Tensor | None:
    """The real new tokens of each row (B,) on the CPU, or None: all of them.

    InputError for what a model that reads row after row, token after token, cannot read; the cache is as it was.
    """
    mask = mask or Mask()
    if maps is not None:
        raise InputError("this model does not attend to anything, so it has no attention maps to give")
    if mask.starts is not None or ids.dim() != 2:
        raise InputError("this model cannot read a packed row: give its documents as the rows of a batch (B, L)")
    if not ids.numel():
        raise InputError("there is no token to read: give at least one")
    batch, new = ids.shape
    if mask.lengths is not None and mask.lengths.shape != (batch,):
        raise InputError(f"Mask(lengths=...) has {mask.lengths.numel()} lengths for a batch of {batch} rows")
    if cache is not None and len(cache.lengths) != batch:
        raise InputError(f"the cache holds {len(cache.lengths)} rows, the batch has {batch}")
    if int(ids.min()) < 0 or int(ids.max()) >= vocab:
        wrong = ids[(ids < 0) | (ids >= vocab)].flatten()[0].item()
        raise InputError(f"token id {wrong} is out of range: the vocabulary has {vocab} ids, 0 to {vocab - 1}")
    counts = None if mask.lengths is None else mask.lengths.cpu()
    reach = new if cache is None else int((cache.lengths + (new if counts is None else counts)).max())
    if reach > context:
        raise InputError(f"a sequence of {reach} tokens does not fit: this model reads at most {context}")
    return counts


def refuse_source(source: Tensor | None, mask: Mask | None) -> None:
    """InputError when a model that only continues is given something to translate."""
    if source is not None or mask is not None:
        raise InputError("this model continues a text and takes no source; put it in front of the text instead")


def ends_of(x: Tensor, counts: Tensor | None) -> Tensor:
    """x (B, L, ...) -> (B, ...): what stands at each row's last real token."""
    if counts is None:
        return x[:, -1]
    return x[torch.arange(len(x), device=x.device), counts.to(x.device) - 1]

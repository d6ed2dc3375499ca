"""Models that see the last n tokens and nothing else: the bigram (n = 1), Bengio's network, and whoever looks back a fixed way.

    logits_t = net(x_{t-n+1}, ..., x_t)      Markov's assumption, https://www.jmlr.org/papers/v3/bengio03a.html section 1

B batch · L tokens · V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..base.errors import InputError
from .cache import Cache, HistoryCache
from .heads import last_of
from .mask import Mask
from .models import Model
from .rows import admit, rows_of

NOTHING = -1
"""Stands in a history before the first token."""


@dataclass
class Seen:
    """What one call is about: the histories (B, L, n) of its tokens, and its mask."""

    history: Tensor
    mask: Mask


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
        logits = self.compute(ids, self.prepare(ids, mask, cache=cache, maps=maps), last)
        if cache is not None:
            cache.close()
        return logits

    def prepare(self, ids: Tensor, mask: Mask | None = None, *, cache: HistoryCache | None = None, maps: list | None = None) -> Seen:
        """The histories of the new tokens; the cache holds them and is open. InputError when they cannot be read."""
        if ids.dim() > 2:
            raise InputError("this model continues texts and cannot judge choices: give rows (B, L)")
        mask = mask or Mask()
        admit_rows(ids, mask, cache, context=self.context, vocab=self.vocab, maps=maps)
        cache = HistoryCache(*ids.shape) if cache is None else cache
        cache.open(ids.shape[1], mask.lengths)
        cache.append(ids)
        return Seen(cache.before(ids.shape[1], self.n, NOTHING).to(ids.device), mask)

    def compute(self, ids: Tensor, call: Seen, last: bool = False) -> Tensor:
        """Histories -> logits."""
        return self.net(last_of(call.history, call.mask) if last else call.history)


def admit_rows(ids: Tensor, mask: Mask, cache: Cache | None, *, context: int, vocab: int, maps: list | None = None) -> tuple[Tensor, Mask]:
    """ids (B, L), or (B, C, L) as rows -> rows (B, L) and their mask. InputError for what a model that reads row after row, token after
    token, cannot read; the cache is as it was."""
    if maps is not None:
        raise InputError("this model does not attend to anything, so it has no attention maps to give")
    if mask.starts is not None or ids.dim() < 2:
        raise InputError("this model cannot read a packed row: give its documents as the rows of a batch (B, L)")
    rows, mask, _ = rows_of(ids, mask)
    if int(rows.min()) < 0 or int(rows.max()) >= vocab:
        wrong = rows[(rows < 0) | (rows >= vocab)].flatten()[0].item()
        raise InputError(f"token id {wrong} is out of range: the vocabulary has {vocab} ids, 0 to {vocab - 1}")
    admit(rows, mask, context, cache)
    return rows, mask


def refuse_source(source: Tensor | None, mask: Mask | None) -> None:
    """InputError when a model that only continues is given something to translate."""
    if source is not None or mask is not None:
        raise InputError("this model continues a text and takes no source; put it in front of the text instead")

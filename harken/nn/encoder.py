"""The encoder: a Transformer that reads a whole text at once, each token seeing every other.   https://arxiv.org/abs/1810.04805

B batch · C choices · L tokens · T packed tokens · D width · V vocabulary
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..base.errors import InputError
from .attend import Look
from .cache import Cache
from .call import Call
from .mask import Mask
from .models import Model
from .position import Rotary
from .rows import admit, rows_of
from .stack import Stack


class Encoder(Model):
    """A stack in which every token sees every other, and a head."""

    packs = True

    def __init__(self, stack: Stack, head: nn.Module, *, context: int):
        super().__init__()
        self.stack, self.head, self.context = stack, head, context
        self._rotaries = [part for part in stack.modules() if isinstance(part, Rotary)]
        self._windows = {getattr(part, "window", None) for part in stack.modules() if hasattr(part, "kv_heads")}
        self.packs = stack.bias is None  # distances between the documents of a packed row say nothing

    def must_write(self) -> None:
        """InputError: an encoder sees the whole text at once, the next token too."""
        what = "model" if self.config.reads == "text" else f"model built for {self.config.task}"
        raise InputError(
            f"a {self.config.model_type} {what} reads, it does not write: to continue or score a text take one such as gpt2 or llama"
        )

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> Cache:
        """InputError: there is nothing to go on from."""
        self.must_write()
        raise NotImplementedError

    def forward(
        self,
        ids: Tensor,
        mask: Mask | None = None,
        *,
        types: Tensor | None = None,
        cache: Cache | None = None,
        maps: list | None = None,
        last: bool = False,
    ) -> Any:
        """ids (B, L), choices (B, C, L) or packed (T,), and the kind of each token -> what the head says: (B, L, V) of a masked language
        model. `cache` and `last` belong to models that write."""
        if cache is not None or last:
            self.must_write()
        return self.compute(ids, self.prepare(ids, mask, types=types, maps=maps))

    def prepare(self, ids: Tensor, mask: Mask | None = None, *, types: Tensor | None = None, maps: list | None = None) -> Call:
        """What the layers need to know about this call. InputError when it cannot be read."""
        given = mask or Mask()
        rows, mask, types = rows_of(ids, given, types)
        reach = admit(rows, mask, self.context)
        if mask.starts is not None and not self.packs:
            raise InputError(f"a {self.config.model_type} model cannot read a packed row: give its documents as the rows of a batch")
        new = rows.shape[1]
        positions = (torch.arange(new) if mask.starts is None else mask.document_positions())[None].to(ids.device)
        for rotary in self._rotaries:
            rotary.reach(reach)
        looks = {
            window: Look.of(mask.within(window), positions.expand(len(rows), new), new, exact=self.packed, maps=maps)
            for window in self._windows
        }
        return Call(positions, looks, given, types, exact=self.packed)

    def compute(self, ids: Tensor, call: Call) -> Any:
        """ids -> what the head says."""
        x = self.stack(ids.reshape(-1, ids.shape[-1]), call)  # (B, L, D)
        return self.head(x.view(*ids.shape, -1), self.tokens, call.mask)

"""The model protocol, and the first shape of Transformer: the decoder, which continues what it has read.

    logits = model(ids, Mask(lengths=...))               (B, L) -> (B, L, V)
    cache = model.begin(batch, length)                   then  model(ids, cache=cache), as often as wanted
    scores = model.score(ids, Mask(lengths=...))         (B, L) log-probability of each token given those before it

B batch · L tokens · D width · V vocabulary
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.errors import InputError
from .attend import Look
from .cache import Cache, KeyValueCache
from .call import Call
from .linear import Linear, linear
from .mask import Mask
from .position import Rotary
from .stack import Stack


class Model(nn.Module):
    """What every model can do: be packed to answer (fast, exact, no gradients) and unpacked to learn.

    Asking for the parameters, the state or training unpacks first, so nothing ever sees a model without its weights.
    """

    config: Any
    context: int  # tokens it can read at once
    packs = False  # whether it reads packed rows, Mask(starts=...)
    packed = False  # whether its weights are, ready to answer

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> Cache:
        """An empty cache with room for `length` tokens in each of `batch` rows."""
        raise NotImplementedError

    def score(self, ids: Tensor, mask: Mask | None = None) -> Tensor:
        """ids (B, L) -> (B, L) natural log-probability of each token given those before it; 0 for the first.

        The last token is only predicted, not read, so a row may have one token more than the context.
        """
        if ids.shape[1] < 2:
            return torch.zeros(ids.shape, device=ids.device)
        read = (
            Mask() if mask is None else dataclasses.replace(mask, lengths=None if mask.lengths is None else (mask.lengths - 1).clamp(min=1))
        )
        known = F.log_softmax(self(ids[:, :-1], read).float(), -1).gather(-1, ids[:, 1:, None])[..., 0]  # (B, L-1)
        return F.pad(known, (1, 0))

    def __call__(self, *args, **kwargs):
        if not self.packed:
            return super().__call__(*args, **kwargs)
        with torch.no_grad():  # a packed weight has no gradient: better none at all than some of them
            return super().__call__(*args, **kwargs)

    def initialise(self) -> None:
        """What fresh weights need beyond Normal(0, std) matrices and zero biases; called once those are drawn."""

    @property
    def span(self) -> int:
        """Tokens of a row when a text is cut to learn from or to measure: the context, or the rows a model learned from that could read
        on without end."""
        return min(self.context, getattr(self.config, "context_length", self.context))

    @property
    def device(self) -> torch.device:
        """Where the weights are, packed or not."""
        held = (t for part in self.modules() for t in (*part._buffers.values(), *part._parameters.values()) if t is not None and t.numel())
        return next((t.device for t in held), torch.device("cpu"))

    def pack(self) -> None:
        """Make ready to answer: packed weights replace the parameters (float32 on a CPU; elsewhere nothing changes)."""
        self.eval()
        if self.packed or any(part.weight.device.type != "cpu" or part.weight.dtype != torch.float32 for part in self._linears()):
            return
        for layer in self._linears():
            layer.pack()
        self.packed = True

    def unpack(self) -> None:
        """Make ready to learn: every parameter object holds its weight again."""
        if self.packed:
            self.packed = False
            for layer in self._linears():
                layer.unpack()

    def _linears(self) -> Iterator[Linear]:
        return (part for part in self.modules() if isinstance(part, Linear))

    def train(self, mode: bool = True):
        if mode:
            self.unpack()
        return super().train(mode)

    def named_parameters(self, *args, **kwargs):
        self.unpack()
        return super().named_parameters(*args, **kwargs)

    def state_dict(self, *args, **kwargs):
        self.unpack()
        return super().state_dict(*args, **kwargs)

    def load_state_dict(self, *args, **kwargs):
        self.unpack()
        return super().load_state_dict(*args, **kwargs)

    def _apply(self, *args, **kwargs):
        self.unpack()
        return super()._apply(*args, **kwargs)


class Decoder(Model):
    """A stack that only looks back, and a head over the vocabulary; `head` None ties it to the token embedding."""

    packs = True

    def __init__(self, stack: Stack, head: Linear | None = None, *, context: int, window: int | None = None):
        super().__init__()
        self.stack, self.head, self.context, self.window = stack, head, context, window
        self._rotaries = [part for part in stack.modules() if isinstance(part, Rotary)]

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> KeyValueCache:
        """An empty cache with room for `length` tokens in each of `batch` rows. A decoder has no source."""
        if source is not None or mask is not None:
            raise InputError("this model continues a text and takes no source; put it in front of the text instead")
        attn: Any = next(part for part in self.modules() if hasattr(part, "kv_heads"))
        tokens = self.stack.embed.tokens
        like = tokens.weight if tokens.packed is None else tokens.packed
        return KeyValueCache(len(self.stack.blocks), batch, attn.kv_heads, attn.width, min(length, self.context), like)

    def forward(
        self, ids: Tensor, mask: Mask | None = None, *, cache: KeyValueCache | None = None, maps: list | None = None, last: bool = False
    ) -> Tensor:
        """ids (B, L) or packed (T,) -> logits (B, L, V); `last`: only at each row's last real token, (B, V).

        With a cache, `mask.lengths` counts the real new tokens of each row, and they follow what the cache holds.
        """
        mask = (mask or Mask()).with_causal(self.window)
        packed_row, ids = ids.dim() == 1, ids[None] if ids.dim() == 1 else ids
        reach, new = self._longest(ids, mask, cache), ids.shape[1]
        past = 0 if cache is None else cache.longest
        if cache is not None:
            positions, keys = cache.open(new, mask.lengths), min(past + new, cache.size + 1)
        else:
            positions, keys = (torch.arange(new) if mask.starts is None else mask.document_positions())[None].to(ids.device), new
        for rotary in self._rotaries:
            rotary.reach(self.context if cache is not None else reach)
        look = Look.of(mask, positions, keys, past=past, exact=self.packed, maps=maps)
        hidden = self.stack(ids, Call(positions.clamp(max=self.context - 1), look, cache))  # (B, L, D); padding may stand anywhere
        if cache is not None:
            cache.close()
        if last:
            ends = torch.full((ids.shape[0],), new) if mask.lengths is None else mask.lengths
            hidden = hidden[torch.arange(ids.shape[0], device=ids.device), ends.to(ids.device) - 1]  # (B, D)
        logits = linear(hidden, self.head or self.stack.embed.tokens)
        return logits[0] if packed_row else logits

    def _longest(self, ids: Tensor, mask: Mask, cache: KeyValueCache | None) -> int:
        """Tokens in the longest sequence once `ids` are read. InputError when they do not fit the mask, the cache or the model."""
        batch, new = ids.shape
        if not ids.numel():
            raise InputError("there is no token to read: give at least one")
        if mask.lengths is not None and mask.lengths.shape != (batch,):
            raise InputError(f"Mask(lengths=...) has {mask.lengths.numel()} lengths for a batch of {batch} rows")
        if cache is not None and len(cache.lengths) != batch:
            raise InputError(f"the cache holds {len(cache.lengths)} rows, the batch has {batch}")
        if mask.starts is not None:
            if cache is not None:
                raise InputError("a packed row cannot be read into a cache: give its documents as the rows of a batch")
            if int(mask.starts[0]) != 0 or int(mask.starts[-1]) != new:
                raise InputError(
                    f"Mask(starts=...) runs from {int(mask.starts[0])} to {int(mask.starts[-1])}, the packed row from 0 to {new}"
                )
            reach = int(mask.starts.diff().max())
        elif cache is not None:
            reach = int((cache.lengths + (new if mask.lengths is None else mask.lengths.cpu())).max())
        else:
            reach = new
        if reach > self.context:
            raise InputError(f"a sequence of {reach} tokens does not fit: this model reads at most {self.context}")
        return reach

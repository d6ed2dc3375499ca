"""The decoder: a Transformer that continues what it has read.

B batch · C choices · L tokens · T packed tokens · D width · V vocabulary
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..base.errors import InputError
from .attend import Look
from .cache import KeyValueCache
from .call import Call
from .heads import last_of
from .mask import Mask
from .models import Model
from .position import Rotary
from .rows import admit, rows_of
from .stack import Stack
from .window import WindowCache


class Decoder(Model):
    """A stack that only looks back, and a head."""

    packs = steps = True

    def __init__(self, stack: Stack, head: nn.Module, *, context: int):
        super().__init__()
        self.stack, self.head, self.context, self.named_types = stack, head, context, stack.embed.named_types
        self._rotaries = [part for part in stack.modules() if isinstance(part, Rotary)]
        self._windows = {getattr(part, "window", None) for part in stack.modules() if hasattr(part, "kv_heads")}

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> KeyValueCache:
        """An empty cache with room for `length` tokens in each of `batch` rows. A decoder has no source."""
        if source is not None or mask is not None:
            raise InputError("this model continues a text and takes no source; put it in front of the text instead")
        self.must_write()
        attn: Any = next(part for part in self.modules() if hasattr(part, "kv_heads"))
        like = self.tokens.like
        shape, size = (len(self.stack.layers), batch, attn.kv_heads, attn.width), min(length, self.context)
        window = max((w or size for w in self._windows), default=size)  # a layer that sees everything needs everything
        return KeyValueCache(*shape, size, like) if size <= 2 * window else WindowCache(*shape, size, window, like)

    def forward(
        self,
        ids: Tensor,
        mask: Mask | None = None,
        *,
        types: Tensor | None = None,
        places: Tensor | None = None,
        cache: KeyValueCache | None = None,
        maps: list | None = None,
        last: bool = False,
    ) -> Any:
        """ids (B, L), choices (B, C, L) or packed (T,) -> what the head says: logits (B, L, V) of a language model; `last`: only at each
        row's last real token, (B, V). `types`: the kind of each token · `places` (B, C): the token each choice is judged by.

        With a cache, `mask.lengths` counts the real new tokens of each row, and they follow what the cache holds.
        """
        if last:
            self.must_write()
        given = mask or Mask()
        if cache is not None and maps is None and places is None and self._step is not None and self._step.reads(ids, given, cache):
            return self._stepped(ids, given, types, cache, last)
        answer = self.compute(ids, self.prepare(ids, mask, types=types, places=places, cache=cache, maps=maps), last)
        if cache is not None:
            cache.close()
        return answer

    def _stepped(self, ids: Tensor, mask: Mask, types: Tensor | None, cache: KeyValueCache, last: bool) -> Any:
        """The same, all blocks in one call."""
        assert self._step is not None
        _, _, types = rows_of(ids, mask, types, None)
        admit(ids, mask, self.context, cache)
        x = self.stack.finish(self._step.states(ids, mask.lengths, types, cache, last), exact=True)
        cache.close()
        return self.head(x, self.tokens, mask, None)

    def hidden(self, ids: Tensor, mask: Mask | None = None, *, types: Tensor | None = None, cache: KeyValueCache) -> Tensor:
        """ids (B, L), which follow what the cache holds -> (B, L, D) of the last layer."""
        x = self.stack(ids, self.prepare(ids, mask, types=types, cache=cache))
        cache.close()
        return x

    def states(self, ids: Tensor, mask: Mask | None = None, *, types: Tensor | None = None) -> Tensor:
        """ids (B, L), choices (B, C, L) or packed (T,) -> (..., D): what the head reads."""
        return self._states(ids, self.prepare(ids, mask, types=types))

    def _states(self, ids: Tensor, call: Call) -> Tensor:
        return self.stack(ids.reshape(-1, ids.shape[-1]), call).view(*ids.shape, -1)

    def prepare(
        self,
        ids: Tensor,
        mask: Mask | None = None,
        *,
        types: Tensor | None = None,
        places: Tensor | None = None,
        cache: KeyValueCache | None = None,
        maps: list | None = None,
    ) -> Call:
        """What the layers need to know about this call, and the cache opened for it. InputError when it cannot be read."""
        given = mask or Mask()
        rows, mask, types = rows_of(ids, given, types, places)
        reach, new = admit(rows, mask, self.context, cache), rows.shape[1]
        past = 0 if cache is None else cache.longest
        if cache is None:
            positions, keys = mask.positions(new).to(ids.device), new
        else:
            positions, keys, reach = cache.open(new, mask.lengths), cache.keys_after(new), cache.size
        for rotary in self._rotaries:
            rotary.reach(reach)
        looks = {
            window: Look.of(
                mask.with_causal(window if window is not None and window < keys else None),
                positions if cache is None else cache.places(positions),
                keys,
                past=past,
                exact=self.packed,
                maps=maps,
            )
            for window in self._windows
        }
        positions = positions.clamp(max=reach - 1)  # padding may stand anywhere
        return Call(positions, looks, given, types, places, cache, exact=self.packed)

    def compute(self, ids: Tensor, call: Call, last: bool = False) -> Any:
        """ids -> what the head says; the keys and values of the new tokens are in the cache."""
        x = self._states(ids, call)  # (B, L, D)
        x = last_of(x, call.mask) if last else x
        return self.head(x, self.tokens, call.mask, call.places)

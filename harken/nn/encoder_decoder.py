"""Encoder-decoder: one stack reads the source, all of it at once; another writes, and looks at what was read in every layer.

https://arxiv.org/abs/1706.03762 section 3.1     B batch · S source tokens · L target tokens · D width · V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.errors import InputError
from .attend import Look
from .call import Call
from .heads import PerSequence, last_of
from .mask import Mask
from .memory import Layers, SourceCache
from .rounded import learns_narrow, rounded
from .sourced import Kinds, SourceModel
from .stack import Stack

PACKED = 512
"""Tokens of the sources that are read end to end at once, unless one has more."""


@dataclass
class Pair:
    """What one call is about: reading the source, unless a cache holds what was read, and writing."""

    writing: Call
    source: Tensor | None = None
    reading: Call | None = None
    target: Tensor | None = None  # where the model makes it itself


class EncoderDecoder(SourceModel):
    """`encoder` reads, `stack` writes; every block of `stack` has a CrossAttention. A `head` that does not write judges what was read."""

    steps = True

    def __init__(self, encoder: Stack, stack: Stack, head: nn.Module, *, context: int):
        super().__init__()
        self.encoder, self.stack, self.head, self.context = encoder, stack, head, context
        self.reads = "source" if getattr(head, "writes", True) else "text"
        self.packs_pairs = self.reads == "source"

    @torch.no_grad()
    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> SourceCache:
        """Read the source (B, S); a cache that holds its keys and values, with room for `length` target tokens in each row."""
        self.must_write()
        source, mask = self.admit_source(source, mask, batch)
        attn: Any = self.stack.blocks[0].attn
        like = self.tokens.like
        cache = SourceCache(len(self.stack.layers), batch, attn.kv_heads, attn.width, min(length, self.context), like)
        if self.packed:
            cache.memory, cache.starts = self._read_packed(source, mask)
        else:
            cache.memory, cache.lengths_read = self.read(source, self._reading(source, mask, None)), mask.lengths
        return cache

    def forward(
        self,
        ids: Tensor,
        target: Tensor | Mask | None = None,
        mask: Mask | None = None,
        *,
        cache: SourceCache | None = None,
        maps: Kinds | None = None,
        last: bool = False,
    ) -> Tensor:
        """As every model that reads a source."""
        given = target if isinstance(target, Mask) else mask or Mask()
        if cache is None or maps is not None or isinstance(target, Tensor) or self._step is None or not self._step.reads(ids, given, cache):
            return super().forward(ids, target, mask, cache=cache, maps=maps, last=last)
        rows, given = self.admit(ids, given, cache)
        x = self._step.states(rows, given.lengths, None, cache, last)
        cache.close()
        return self.head(self.stack.finish(x, exact=True), self.tokens, given)

    def hidden(self, ids: Tensor, mask: Mask | None = None, *, cache: SourceCache) -> Tensor:
        """Target ids (B, L), which follow what the cache holds -> (B, L, D) of the last layer."""
        x = self.stack(ids, self.prepare(ids, mask=mask, cache=cache).writing)
        cache.close()
        return x

    def prepare(
        self,
        ids: Tensor,
        target: Tensor | None = None,
        mask: Mask | None = None,
        *,
        cache: SourceCache | None = None,
        maps: Kinds | None = None,
    ) -> Pair:
        """What the layers need to know about this call, and the cache opened for it. InputError when it cannot be read."""
        if cache is not None:
            rows, mask = self.admit(ids, mask or Mask(), cache)
            past, new = cache.longest, rows.shape[1]
            positions, keys = cache.open(new, mask.lengths), cache.keys_after(new)
            memory, sources = (cache.memory, None) if maps is None else cache.apart()
            call = self._writing(positions, keys, mask, memory[0][0].shape[2], Mask(lengths=sources), maps, past)
            call.source = cache.look(new, self.packed) if maps is None else call.source
            call.memory, call.cache = memory, cache
            return Pair(call)
        if self.reads == "text":  # what is judged, behind what a target starts with
            target = F.pad(ids[..., :-1], (1, 0), value=self.config.start)
        assert target is not None
        if mask is not None and mask.starts is not None and self.packs_pairs:
            return self._prepare_packed(ids, target, mask)
        source, given = self.admit_source(ids, mask, len(target))
        rows, _ = self.admit(target, Mask())
        positions = torch.arange(rows.shape[1], device=rows.device)[None]
        writing = self._writing(positions, rows.shape[1], Mask(), source.shape[1], given, maps)
        if isinstance(self.head, PerSequence):
            writing.places = last_ends(source, given.lengths, self.config.eos_token_id)
        return Pair(writing, source, self._reading(source, given, maps), target if self.reads == "text" else None)

    def encode(self, source: Tensor, mask: Mask) -> Tensor:
        """source (B, S) -> (B, S, D): what the encoder makes of it."""
        rows, mask = self.admit_source(source, mask, len(source))
        return self.encoder(rows, self._reading(rows, mask, None))

    def _prepare_packed(self, source: Tensor, target: Tensor, mask: Mask) -> Pair:
        """The same of many pairs, sources (S,) end to end and targets (T,) end to end."""
        if mask.starts is None or mask.sources is None or len(mask.sources) != len(mask.starts):
            raise InputError("packed targets look at packed sources: give a mask with starts and as many sources, where each begins")
        sources, reads = self.admit(source, Mask(starts=mask.sources))
        rows, writes = self.admit(target, Mask(starts=mask.starts))
        positions = writes.positions(rows.shape[1]).to(rows.device)
        seen = Mask(starts=mask.starts, sources=mask.sources)
        writing = self._writing(positions, rows.shape[1], writes, sources.shape[1], seen, None)
        return Pair(writing, sources, self._reading(sources, reads, None))

    def compute(self, ids: Tensor, call: Pair, last: bool = False) -> Tensor:
        """Target ids (B, L) or packed (T,), or the source of a model that judges, -> what the head says; the keys and values of the new
        tokens are in the cache."""
        x = self._states(ids, call).view(*ids.shape, -1)  # (B, L, D) or (T, D)
        x = last_of(x, call.writing.mask) if last else x
        return self.head(x, self.tokens, call.writing.mask, call.writing.places)

    def states(self, source: Tensor, target: Tensor, mask: Mask | None = None) -> Tensor:
        """source (B, S), target (B, L) -> (B, L, D), or packed (S,), (T,) -> (T, D): what the head reads."""
        return self._states(target, self.prepare(source, target, mask)).view(*target.shape, -1)

    def _states(self, ids: Tensor, call: Pair) -> Tensor:
        if call.source is not None and call.reading is not None:
            call.writing.memory = self.read(call.source, call.reading)
        ids = ids if call.target is None else call.target
        return self.stack(ids.reshape(-1, ids.shape[-1]), call.writing)

    def read(self, source: Tensor, call: Call) -> Layers:
        """source (B, S) -> what every layer that writes may look at: keys and values."""
        read = self.encoder(source, call)
        return self._project(rounded(read) if call.mask.starts is not None and learns_narrow(read.device) else read)

    def _project(self, read: Tensor) -> Layers:
        """read (B, S, D) -> keys and values of every layer that writes."""
        crosses: list[Any] = [self.stack.blocks[block].cross for block in self.stack.layers]
        return [cross.project(read) for cross in crosses]

    def _read_packed(self, source: Tensor, mask: Mask) -> tuple[Layers, Tensor]:
        """source (B, S) -> the same of all sources end to end, T tokens in all, and where each of them begins, (B + 1,)."""
        lengths = torch.full((len(source),), source.shape[1]) if mask.lengths is None else mask.lengths
        real = torch.arange(source.shape[1]) < lengths[:, None]
        starts = F.pad(lengths.cumsum(0), (1, 0))
        if self.encoder.bias is not None:  # it would be as wide as all sources together
            return self._project(self.encoder(source, self._reading(source, mask, None))[real][None]), starts
        ids, read, at = source[real], [], 0
        while at < len(source):
            end = max(at + 1, int((starts <= starts[at] + PACKED).sum()) - 1)
            some = ids[None, starts[at] : starts[end]]
            part = Mask(starts=starts[at : end + 1] - starts[at])
            positions = part.document_positions()[None]
            call = Call(positions, {None: Look.of(part, positions, some.shape[1], exact=True)}, part, exact=True)
            read.append(self.encoder(some, call))
            at = end
        return self._project(torch.cat(read, 1)), starts

    def _reading(self, source: Tensor, mask: Mask, maps: Kinds | None) -> Call:
        batch, length = source.shape
        positions = mask.positions(length).to(source.device)
        kept = None if maps is None else maps["encoder"]
        look = Look.of(mask, positions.expand(batch, length), length, exact=self.packed, maps=kept)
        return Call(positions, {None: look}, mask, exact=self.packed)

    def _writing(self, positions: Tensor, keys: int, mask: Mask, read: int, seen: Mask, maps: Kinds | None, past: int = 0) -> Call:
        """`read`: source tokens there are keys of · `seen`: which of them each row sees."""
        own, cross = (None, None) if maps is None else (maps["decoder"], maps["cross"])
        look = Look.of(mask.with_causal(), positions, keys, past=past, exact=self.packed, maps=own)
        rows = positions if seen.lengths is None else positions.expand(len(seen.lengths), positions.shape[1])
        source = Look.of(seen, rows, read, exact=self.packed, maps=cross)
        return Call(positions.clamp(max=self.context - 1), {None: look}, mask, source=source, exact=self.packed)


def last_ends(source: Tensor, lengths: Tensor | None, ends: int | list[int] | None) -> Tensor:
    """source (B, S) -> (B,) where each row has the last token that ends a text, by which it is judged; its last real token where no token
    ends a text. InputError when a row has none."""
    length = source.shape[1]
    found = torch.ones_like(source, dtype=torch.bool)
    if lengths is not None:
        found = torch.arange(length, device=source.device) < lengths.to(source.device)[:, None]
    if ends is not None:
        found = found & torch.isin(source, torch.tensor(ends, device=source.device))
    there = found.any(1)
    if not there.all():
        row = int((~there).nonzero()[0])
        raise InputError(f"row {row} has no token {ends}, which ends a text and by which this model judges it: put it behind every text")
    return length - 1 - found.flip(1).int().argmax(1)

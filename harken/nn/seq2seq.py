"""Recurrent encoder-decoder: one network reads the source, another writes, beginning with what the first remembers of it.

    none         h_t = f(y_t, h_{t-1}), h_0 what the encoder ends with: all of the source in one vector
                 Sutskever et al. 2014, https://arxiv.org/abs/1409.3215; Cho et al. 2014, https://arxiv.org/abs/1406.1078
    attention    c_t is looked for before the step with h_{t-1}, and h_t = f([y_t; c_t], h_{t-1}), with an encoder that reads both ways
                 (Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473), or after it with h_t (Luong et al. 2015,
                 https://arxiv.org/abs/1508.04025); o_t = tanh(W [c_t; h_t]) says the next word
    feeding      the step after also reads o_t, so that it knows where was looked before (the last paper, section 3.3)

B batch · S source tokens · L target tokens · E width of the token vectors · H width of the state · V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..base.errors import InputError
from .align import Alignment
from .cache import SourceStateCache
from .dropout import dropout
from .embedding import Embedding
from .heads import LanguageModel, last_of
from .linear import Linear
from .mask import Mask
from .recurrent import VECTORS, Layer
from .sourced import Kinds, SourceModel


@dataclass
class Writing:
    """What one call is about."""

    mask: Mask  # of the target, for its last token
    steps: Tensor  # (B, L) which target token each is
    source: Tensor | None  # (B, S), unless a cache holds what was read
    sources: Tensor  # (B,) its real tokens
    counts: Tensor | None  # (B,) real new tokens
    cache: SourceStateCache | None
    maps: list | None


class Seq2Seq(SourceModel):
    """`back`: layers that read the source from its end, beside those of `encoder` · `bridge`: makes the first states of what the last of
    them ends with; None: the encoder's last states are the first ones · `mix`: W · `looks`: before each step, after it, or after it with
    what is said fed to the next step."""

    def __init__(
        self,
        embed: Embedding,
        encoder: list[Layer],
        decoder: list[Layer],
        head: LanguageModel,
        *,
        back: list[Layer] | None = None,
        bridge: Linear | None = None,
        align: Alignment | None = None,
        mix: Linear | None = None,
        looks: Literal["before", "after", "fed"] = "after",
        context: int,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.embed, self.head, self.context, self.dropout = embed, head, context, dropout
        self.encoder, self.back, self.decoder = nn.ModuleList(encoder), nn.ModuleList(back or []), nn.ModuleList(decoder)
        self.reads_with, self.reads_back, self.writes_with = encoder, back or [], decoder
        self.bridge, self.align, self.mix, self.looks = bridge, align, mix, looks

    def initialise(self) -> None:
        """Each layer's own fresh weights."""
        for layer in (*self.reads_with, *self.reads_back, *self.writes_with):
            layer.initialise()

    @torch.no_grad()
    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> SourceStateCache:
        """Read the source (B, S); a cache that holds what was read and the first states of what writes."""
        source, mask = self.admit_source(source, mask, batch)
        return self._read(source, self._lengths(source, mask), min(length, self.context))

    def prepare(
        self,
        ids: Tensor,
        target: Tensor | None = None,
        mask: Mask | None = None,
        *,
        cache: SourceStateCache | None = None,
        maps: Kinds | None = None,
    ) -> Writing:
        """What to write after which states; the cache is open. InputError when it cannot be read."""
        if maps is not None and self.align is None:
            raise InputError("this model does not attend to anything, so it has no attention maps to give")
        kept = None if maps is None else maps["alignment"]
        if cache is not None:
            rows, mask = self.admit(ids, mask or Mask(), cache)
            steps = cache.open(rows.shape[1], mask.lengths).to(rows.device)
            counts = None if mask.lengths is None else mask.lengths.to(rows.device)
            return Writing(mask, steps, None, cache.sources, counts, cache, kept)
        assert target is not None
        source, given = self.admit_source(ids, mask, len(target))
        rows, _ = self.admit(target, Mask())
        steps = torch.arange(rows.shape[1], device=rows.device).expand(rows.shape)
        return Writing(Mask(), steps, source, self._lengths(source, given), None, None, kept)

    def compute(self, ids: Tensor, call: Writing, last: bool = False) -> Tensor:
        """Target ids (B, L) -> logits; the states after the new tokens are in the cache."""
        x = self._states(ids, call)
        return self.head(last_of(x, call.mask) if last else x, self.tokens, call.mask)

    def states(self, source: Tensor, target: Tensor, mask: Mask | None = None) -> Tensor:
        """source (B, S), target (B, L) -> (B, L, E): what the head reads."""
        return self._states(target, self.prepare(source, target, mask))

    def _states(self, ids: Tensor, call: Writing) -> Tensor:
        read = self._read(call.source, call.sources) if call.cache is None and call.source is not None else call.cache
        assert read is not None
        x = self._drop(self.tokens.rows(ids))  # (B, L, E)
        if self.looks != "after" or self.packed or call.cache is not None:
            return self._steps(x, read, call)
        for layer, state in zip(self.writes_with, read.states[:-1], strict=True):  # no step needs to know what was looked at before it
            x = self._drop(layer.read(x, state)[0])
        maps: list = []
        x = self._said(x, self._look(x, read, call.steps, call, maps))
        if call.maps is not None:
            call.maps.append(maps[0][:, None])  # (B, 1, L, S)
        return x

    def _lengths(self, source: Tensor, mask: Mask) -> Tensor:
        if mask.lengths is None:
            return torch.full((len(source),), source.shape[1], device=source.device)
        if int(mask.lengths.min()) < 1 or int(mask.lengths.max()) > source.shape[1]:
            raise InputError(
                f"the lengths of sources must lie within 1 to {source.shape[1]}, the width of the batch: {mask.lengths.tolist()}"
            )
        return mask.lengths.to(source.device)

    def _read(self, source: Tensor, sources: Tensor, size: int = 0) -> SourceStateCache:
        """source (B, S) -> all that writing needs of it."""
        x, exact, ends = self._drop(self.tokens.rows(source)), self.packed, []
        there = torch.arange(source.shape[1], device=x.device)
        turned = torch.where(there < sources[:, None], sources[:, None] - 1 - there, there)[..., None]  # (B, S, 1) from the end of each row

        def through(layer: Layer, x: Tensor) -> tuple[Tensor, Tensor]:
            empty = x.new_zeros(VECTORS[layer.cell], len(x), layer.hidden)
            return layer.steps(x, empty, sources, True) if exact else layer.read(x, empty, sources)

        for n, layer in enumerate(self.reads_with):
            y, end = through(layer, x)
            if self.reads_back:
                found, end = through(self.reads_back[n], x.gather(1, turned.expand_as(x)))
                y = torch.cat([y, found.gather(1, turned.expand_as(found))], -1)
            x = self._drop(y)
            ends.append(end)
        if self.bridge is not None:
            parts = self.bridge(ends[-1][0], "tanh").unflatten(-1, (len(self.writes_with), -1, self.writes_with[0].hidden))
            ends = list(parts.permute(1, 2, 0, 3).contiguous())  # layers times (vectors, B, H)
        layer = self.writes_with[0]
        cache = SourceStateCache(0, VECTORS[layer.cell], len(x), layer.hidden, size, x)
        cache.states = [*ends, x.new_zeros(1, len(x), layer.hidden if self.mix is None else self.mix.outputs)]
        cache.memory, cache.sources = x, sources
        cache.keys = x if self.align is None else self.align.score.keys(x)
        return cache

    def _steps(self, x: Tensor, read: SourceStateCache, call: Writing) -> Tensor:
        """x (B, L, E) -> o (B, L, E), one step a token."""
        *states, said = read.states
        out, maps = [], []
        for t in range(x.shape[1]):
            place, h, seen, new = call.steps[:, t : t + 1], x[:, t], None, []
            if self.looks == "before":
                seen = self._look(states[-1][0][:, None], read, place, call, maps)
                h = h if seen is None else torch.cat([h, seen[:, 0]], -1)
            elif self.looks == "fed":
                h = torch.cat([h, said[0]], -1)
            for layer, state in zip(self.writes_with, states, strict=True):
                new.append(layer.step(layer.input(h), state, self.packed))
                h = self._drop(new[-1][0])
            seen = self._look(h[:, None], read, place, call, maps) if seen is None else seen
            out.append(self._said(h[:, None], seen))
            new.append(out[-1].transpose(0, 1))  # (1, B, E)
            if call.counts is not None:
                going = (t < call.counts)[:, None]
                new = [torch.where(going, now, held) for now, held in zip(new, [*states, said], strict=True)]
            *states, said = new
        if call.cache is not None:
            call.cache.states = [*states, said]
        if call.maps is not None:
            call.maps.append(torch.cat(maps, 1)[:, None])  # (B, 1, L, S)
        return torch.cat(out, 1)

    def _look(self, h: Tensor, read: SourceStateCache, steps: Tensor, call: Writing, maps: list) -> Tensor | None:
        """h (B, L, H) -> c (B, L, D), what it finds in the source; None where it does not look."""
        if self.align is None:
            return None
        exact = self.packed and call.maps is None
        found, weights = self.align(h, read.memory, read.keys, read.sources, steps, exact=exact)
        maps.append(weights)
        return found

    def _said(self, h: Tensor, seen: Tensor | None) -> Tensor:
        """o = tanh(W [c; h]) (B, L, E), or h alone."""
        return h if seen is None or self.mix is None else self._drop(self.mix(torch.cat([seen, h], -1), "tanh"))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)

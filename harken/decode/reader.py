"""The model's side of decoding: it reads what the rows begin with, then a token a step, and says how every row may go on.

Rows of different length share the batch without gaps. A row that has ended stays in it, and reads nothing, until a quarter of the
batch has: to copy the cache is dearer than to carry it along.   A rows under way · V vocabulary
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from ..nn.mask import Mask
from ..nn.models import Model
from .rows import Row

TOKENS = 8_192
"""Read at once at most, so that a long prompt takes no more memory than its cache."""
SHARED = 16
"""Tokens that all prompts must begin with to be read once for all."""


class Reader:
    """`logits` (A, V): what the model says comes next, for the rows it was last given. `cached` False reads everything again each time."""

    def __init__(self, model: Model, rows: Sequence[Row], samples: int, *, cached: bool = True):
        self.model, self.cached = model, cached
        self.typed = model.named_types and any(row.prompt.types for row in rows)  # speakers of a dialogue
        self._read(rows[::samples])
        if samples > 1:
            self._spread([i for i in range(len(rows) // samples) for _ in range(samples)])

    def go_on(self, rows: Sequence[Row], parents: Sequence[int], guesses: Sequence[Sequence[int]] = (), agreed: Sequence[int] = ()) -> None:
        """Read the newest token of every row; the n-th went on from the `parents[n]`-th of the rows before.

        `guesses`: of each row, what is read after it; then there are `logits` (T, V) for each of these tokens, row after row · `agreed`:
        tokens of each row that were read as they are now (all but the newest)."""
        again = [row.outgrown(self.model.context) for row in rows]
        if not self.cached:
            self._read(rows)
            return
        self._keep(parents)
        held = [int(length) for length in self.cache.lengths]
        texts: list[list[int]] = [[] for _ in held]
        kinds: list[list[int]] = [[] for _ in held]
        for i, (row, place, anew) in enumerate(zip(rows, self._places, again, strict=True)):
            held[place] = 0 if anew else min(held[place], agreed[i] if agreed else row.length - 1)
            new = row.length - held[place]
            more = list(guesses[i] if guesses else ())
            texts[place] = (row.ids[-new:] if new <= len(row.ids) else row.seen[held[place] :]) + more
            kinds[place] = row.kinds(new, len(more))
        self.cache.trim(torch.tensor(held))
        if any(guesses):
            self.logits = self._feed_all(texts, kinds, [1 + len(guess) for guess in guesses])
        else:
            logits = self._feed(texts, kinds)
            self.logits = logits if len(self._places) == len(held) else logits[self._places]

    def read_on(self, texts: Sequence[Sequence[int]]) -> None:
        """Read further tokens of each row, of some of them none; the logits of those stay what they are not worth."""
        of_all: list[Sequence[int]] = [[] for _ in self.cache.lengths]
        for place, text in zip(self._places, texts, strict=True):
            of_all[place] = text
        self.logits = self._feed(of_all, [self._last * len(text) for text in of_all])[self._places]

    def _keep(self, parents: Sequence[int]) -> None:
        """Go on with these rows only, if that is worth copying them."""
        places = [self._places[parent] for parent in parents]
        held = len(self.cache.lengths)
        if len(places) <= 0.75 * held or any(b <= a for a, b in itertools.pairwise(places)):
            if places != list(range(held)):
                self.cache.select(torch.tensor(places))
            places = list(range(len(places)))
        self._places = places

    def _read(self, rows: Sequence[Row]) -> None:
        """Read all of every row, what they all begin with only once."""
        texts, kinds = [row.seen for row in rows], [row.kinds(row.length) for row in rows]
        self._last = rows[0].prompt.types[-1:]  # whoever is written for is the first speaker
        room = min(max(row.length + row.limit - len(row.ids) for row in rows), self.model.context)
        sources = [row.source for row in rows if row.source is not None]
        shared = 0 if sources or len(rows) == 1 else common(texts)
        self._places = list(range(len(rows)))
        if shared >= SHARED:
            self.cache = self.model.begin(1, room)
            self._feed([texts[0][:shared]], [kinds[0][:shared]])  # equal ids of dialogues are of equal kinds: speakers are tokens, too
            self.cache.select(torch.zeros(len(rows), dtype=torch.int64))
            texts, kinds = [text[shared:] for text in texts], [kind[shared:] for kind in kinds]
        elif sources:
            source, mask = padded(sources, self.model.device)
            self.cache = self.model.begin(len(rows), room, source, mask)
        else:
            self.cache = self.model.begin(len(rows), room)
        self.logits = self._feed(texts, kinds)

    def _spread(self, rows: list[int]) -> None:
        """Carry on with these rows, some of them more than once."""
        self.cache.select(torch.tensor(rows))
        self.logits, self._places = self.logits[rows], list(range(len(rows)))

    def _feed(self, texts: Sequence[Sequence[int]], kinds: Sequence[Sequence[int]]) -> Tensor:
        """Read new tokens, as many of each row as there are, and of a dialogue their kinds; (rows, V) of what follows the last of each."""
        most = max(map(len, texts))
        step = max(1, TOKENS // len(texts))
        logits: Tensor | None = None
        for begin in range(0, most, step):
            parts = [text[begin : begin + step] for text in texts]
            ids, mask = padded(parts, self.model.device)
            mask = mask if len(set(map(len, parts))) > 1 else Mask()
            found = self.model(ids, mask, cache=self.cache, last=True, **self._types([kind[begin : begin + step] for kind in kinds]))
            ends = torch.tensor([begin < len(text) <= begin + step for text in texts], device=found.device)
            logits = found if logits is None else torch.where(ends[:, None], found, logits)
        assert logits is not None
        return logits

    def _feed_all(self, texts: Sequence[Sequence[int]], kinds: Sequence[Sequence[int]], ends: Sequence[int]) -> Tensor:
        """Read a few tokens of each row; (T, V) of what follows each of the last `ends` of them."""
        ids, mask = padded(texts, self.model.device)
        found = self.model(ids, mask, cache=self.cache, **self._types(kinds))  # (rows, L, V)
        lengths = [len(texts[place]) for place in self._places]
        return torch.cat([found[place, n - end : n] for place, n, end in zip(self._places, lengths, ends, strict=True)])

    def _types(self, kinds: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """What a model that tells speakers apart is told of a dialogue; nothing else."""
        return {"types": padded(kinds, self.model.device)[0]} if self.typed else {}


def common(texts: Sequence[Sequence[int]]) -> int:
    """How many tokens all texts begin with, the last of each aside."""
    low, high = min(map(list, texts)), max(map(list, texts))
    most = min(map(len, texts)) - 1
    return next((i for i in range(most) if low[i] != high[i]), max(most, 0))


def padded(texts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Mask]:
    """Ids as rows (B, L), and their lengths."""
    lengths = torch.tensor([len(ids) for ids in texts])
    rows = torch.zeros(len(texts), int(lengths.max()), dtype=torch.int64)
    for i, ids in enumerate(texts):
        rows[i, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
    return rows.to(device), Mask(lengths=lengths)

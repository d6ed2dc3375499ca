"""Two models as one: a neural one and a counting one, weighed anew at every token by how well the counts know the history.

    p(x_t | x_<t) = w(h) · p_neural(x_t | x_<t) + (1 - w(h)) · p_count(x_t | h)

Jelinek & Mercer 1980, "Interpolated estimation of Markov source parameters from sparse data": histories are put into buckets, here by
how many of their last tokens were seen together and how often, and each bucket has a weight of its own. If asked, what the text itself
has said so far counts too (`nn/recent.py`):

    p' = v(g) · p + (1 - v(g)) · p_recent         g: how much of the last token's earlier occurrences is left

B batch · L tokens · V vocabulary · W tokens of history · N positions
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..base.errors import InputError
from .cache import Cache
from .counts import NGram, windows_of
from .mask import Mask
from .models import Model
from .recent import GRADES, Recent

_GRADES = 5
"""How finely buckets tell often from seldom: 1, 2-3, 4-7, 8-15, 16 and more times."""


class Gate(nn.Module):
    """`weights` (buckets,) float64: how much the neural part counts in each bucket."""

    def __init__(self, buckets: int):
        super().__init__()
        self.weights: Tensor
        self.register_buffer("weights", torch.full((buckets,), 0.5, dtype=torch.float64))


class MixtureCache(Cache):
    """The caches of both parts, moved together."""

    def __init__(self, neural: Any, counting: Any):
        super().__init__(len(neural.lengths), min(neural.size, counting.size))
        self.parts = (neural, counting)
        self.forgets = neural.forgets and counting.forgets
        self.window = False  # of a longer text: what that says is added later

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(part.nbytes for part in self.parts)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order."""
        super().select(rows)
        for part in self.parts:
            part.select(rows)

    def snapshot(self) -> Any:
        """What `restore` needs."""
        return self.lengths.clone(), [part.snapshot() for part in self.parts]

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        super().restore(snapshot[0])
        for part, held in zip(self.parts, snapshot[1], strict=True):
            part.restore(held)

    def trim(self, lengths: Tensor) -> None:
        """Forget all but the first `lengths` (B,) tokens of each row."""
        super().trim(lengths)
        for part in self.parts:
            part.trim(lengths)


class Mixture(Model):
    """`parts`: the neural model and the counting one; `gate`: the weights between them · `half_life`: tokens after which what was just
    read counts half, None where it does not count; `lately`: how much the two parts count beside it."""

    def __init__(self, neural: Model, counting: NGram, half_life: int | None = None):
        super().__init__()
        self.parts = nn.ModuleList([neural, counting])
        self.gate = Gate(max(1, counting.order) * _GRADES + 1)
        self.recent = None if half_life is None else Recent(half_life, counting.floor)
        self.lately = None if half_life is None else Gate(len(GRADES) + 1)
        self.context = min(neural.context, counting.context)

    @property
    def neural(self) -> Model:
        """The part that learns from gradients."""
        return self.parts[0]  # pyright: ignore[reportReturnType]

    @property
    def counting(self) -> NGram:
        """The part that is counted."""
        return self.parts[1]  # pyright: ignore[reportReturnType]

    @property
    def span(self) -> int:
        """Tokens of a row when a text is cut: those of the neural part."""
        return self.neural.span

    def initialise(self) -> None:
        """As the neural part wants it."""
        self.neural.initialise()

    def pack(self, kind: str | None = None) -> None:
        """Both parts; `packed` is the neural one's."""
        super().pack(kind)
        self.neural.packed = self.packed

    def unpack(self) -> None:
        """Both parts."""
        super().unpack()
        self.neural.packed = False

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> MixtureCache:
        """An empty cache for both parts. A mixture has no source."""
        return MixtureCache(self.neural.begin(batch, length, source, mask), self.counting.begin(batch, length))

    def forward(
        self, ids: Tensor, mask: Mask | None = None, *, cache: MixtureCache | None = None, maps: list | None = None, last: bool = False
    ) -> Tensor:
        """ids (B, L) -> log-probabilities (B, L, V); `last`: only after each row's last real token, (B, V).

        `maps` are the neural part's."""
        if ids.dim() == 1:
            raise InputError("a mixture reads rows, not a packed one: give its documents as the rows of a batch")
        mask = mask or Mask()
        histories = self.counting.histories(ids, mask, None if cache is None else cache.parts[1], last)  # (B, L, W) or (B, W)
        learned = self.neural(ids, mask, cache=None if cache is None else cache.parts[0], maps=maps, last=last)
        if cache is not None:
            cache.lengths = cache.parts[0].lengths.clone()
        weight = self.gate.weights[torch.from_numpy(self.buckets(histories))]  # (B, L) or (B,)
        mixed = _mixed(learned.float().log_softmax(-1), self.counting.spread(histories), weight[..., None])
        if self.recent is None or (cache is not None and cache.window):
            return mixed
        return self._remembered(mixed, ids, mask, None if cache is None else cache.parts[1], last)

    def _remembered(self, mixed: Tensor, ids: Tensor, mask: Mask, cache: Any, last: bool) -> Tensor:
        """Log-probabilities (B, L, V) or (B, V) after new ids (B, L) -> with what each row has said so far."""
        assert self.recent is not None and self.lately is not None
        new = [ids.shape[1]] * len(ids) if mask.lengths is None else mask.lengths.tolist()
        for row, (spread, count) in enumerate(zip(mixed, new, strict=True)):
            read = ids[row, :count] if cache is None else cache.ids[row, : int(cache.lengths[row])]
            found, grades = self.recent.spread(read.cpu().numpy(), min(count, 1) if last else count)
            to = spread[None] if last else spread[:count]
            with np.errstate(divide="ignore"):
                to[: len(found)] = _mixed(to[: len(found)], torch.from_numpy(np.log(found)), self.lately.weights[grades][:, None])
        return mixed

    def score(self, ids: Tensor, mask: Mask | None = None) -> Tensor:
        """ids (B, L) -> (B, L) natural log-probability of each token given those before it; 0 for the first."""
        mixed = self.nearby(ids, mask)
        if self.recent is not None:
            lengths = [ids.shape[1]] * len(ids) if mask is None or mask.lengths is None else mask.lengths.tolist()
            for row, known, length in zip(ids.cpu().numpy(), mixed, lengths, strict=True):
                said = known[:length].cpu().numpy()
                self.whole(row[:length], said)
                known[:length] = torch.from_numpy(said)
        return mixed

    def whole(self, ids: np.ndarray, known: np.ndarray) -> None:
        """Let what the parts know of a text, from windows of it, hear of what all of it has said so far."""
        if self.recent is None or self.lately is None:
            return
        found, grades = self.recent.score(ids)
        weight = self.lately.weights[torch.from_numpy(grades)]
        with np.errstate(divide="ignore"):
            known[1:] = _mixed(torch.from_numpy(known), torch.from_numpy(np.log(found)), weight).numpy()[1:]

    def nearby(self, ids: Tensor, mask: Mask | None = None) -> Tensor:
        """The same of the two parts alone."""
        weight = self.gate.weights[torch.from_numpy(self.buckets(windows_of(ids, max(0, self.counting.order - 1), Mask())))]  # (B, L)
        mixed = _mixed(self.neural.score(ids, mask), self.counting.score(ids, mask), weight.roll(1, -1))
        mixed[:, 0] = 0.0
        return mixed

    def buckets(self, windows: Tensor) -> np.ndarray:
        """windows (..., W) -> (...): for each the bucket of its history."""
        found = self.counting.smoothed().familiarity(windows.flatten(0, -2).numpy(), _GRADES)
        return found.reshape(windows.shape[:-1])


def _mixed(learned: Tensor, counted: Tensor, weight: Tensor) -> Tensor:
    """log(w e^a + (1 - w) e^b), element by element in float64 by NumPy's scalar loop: the same bits wherever a value stands."""
    w = weight.cpu().numpy()
    with np.errstate(divide="ignore"):
        out = np.logaddexp(learned.cpu().double().numpy() + np.log(w), counted.cpu().double().numpy() + np.log1p(-w))
    return torch.from_numpy(out.astype(np.float32)).to(learned.device)

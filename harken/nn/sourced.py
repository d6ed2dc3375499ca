"""Models that read a source before they write: a text in another language, a document, a question.

    logits = model(source, target, Mask(lengths=...))    (B, S), (B, L) -> (B, L, V); the lengths are those of the sources
    logits = model(source, target, Mask(starts=..., sources=...))    packed: (S,), (T,) -> (T, V), where each target and source begins
    cache = model.begin(batch, length, source, Mask(lengths=...))      then  model(target, cache=cache), as often as wanted
    scores = model.score(target, source=..., source_mask=...)          (B, L) log-probability of each token, source given

What a target starts with is `config.decoder_start_token_id`. A target is padded on the right, which its real tokens never see.
A model that judges takes the source alone, and writes the source once more, one place later, to see it whole from either side:

    answer = model(source, Mask(lengths=...))            (B, S) -> what its head says
B batch · S source tokens · L target tokens · V vocabulary
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..base.errors import InputError
from .cache import Cache
from .heads import found
from .mask import Mask
from .models import Model
from .rows import admit, rows_of

Kinds = Mapping[str, list]
"""Where attention maps are appended: "encoder", "decoder" and "cross", or "alignment"."""


class SourceModel(Model):
    """What encoder-decoders have in common, be they Transformers or recurrent."""

    reads = "source"

    def forward(
        self,
        ids: Tensor,
        target: Tensor | Mask | None = None,
        mask: Mask | None = None,
        *,
        cache: Any = None,
        maps: Kinds | None = None,
        last: bool = False,
    ) -> Tensor:
        """model(source, target, mask of the source) or, with a cache, model(target, mask of the new tokens) -> logits (B, L, V) of what
        follows each target token; `last`: only at each row's last real token, (B, V). A model that judges: model(source, its mask)."""
        if isinstance(target, Mask):
            target, mask = None, target
        if self.reads == "text":
            self._must_judge(target, writes=last or cache is not None)
        elif cache is None and target is None:
            raise InputError(NO_SOURCE)
        if cache is not None and target is not None:
            raise InputError("the cache holds the source already: give the target alone")
        if maps is not None and not isinstance(maps, Mapping):
            raise InputError("a model that reads a source has several kinds of attention maps: give maps as a list for each kind")
        call = self.prepare(ids, target, mask, cache=cache, maps=maps)
        logits = self.compute(ids if target is None else target, call, last)
        if cache is not None:
            cache.close()
        return logits

    def prepare(
        self, ids: Tensor, target: Tensor | None = None, mask: Mask | None = None, *, cache: Any = None, maps: Kinds | None = None
    ) -> Any:
        """What `compute` needs to know about a call; the cache is open."""
        raise NotImplementedError

    def compute(self, ids: Tensor, call: Any, last: bool = False) -> Tensor:
        """Target ids -> logits."""
        raise NotImplementedError

    def score(self, ids: Tensor, mask: Mask | None = None, *, source: Tensor | None = None, source_mask: Mask | None = None) -> Tensor:
        """Targets ids (B, L), which begin with what a target starts with, and their sources (B, S) -> (B, L) natural log-probability of
        each token given the source and the tokens before it; 0 for the first."""
        self.must_write()
        if source is None:
            raise InputError(NO_SOURCE)
        if ids.shape[1] < 2:
            return ids.new_zeros(ids.shape).float()
        return found(self(source, ids[:, :-1], source_mask), ids)

    def must_write(self) -> None:
        """InputError unless the head says which token comes next."""
        if self.reads == "text":
            raise InputError(f"this model was built for {self.config.task}, so it cannot continue or score a text: take one for text2text")

    def _must_judge(self, target: Tensor | None, *, writes: bool) -> None:
        """InputError when a model that judges is asked for more."""
        if writes:
            self.must_write()
        if target is not None:
            raise InputError(f"this model was built for {self.config.task} and reads a source alone: leave the target out")

    def admit(self, ids: Tensor, mask: Mask, cache: Cache | None = None) -> tuple[Tensor, Mask]:
        """One side as rows (B, L), or packed (T,) as one row, and their mask. InputError when it cannot be read."""
        if ids.dim() != (1 if mask.starts is not None and self.packs_pairs else 2):
            raise InputError(
                f"a source and its target are rows (B, L) of a batch, not packed and not choices: these are {tuple(ids.shape)}"
            )
        rows, mask, _ = rows_of(ids, mask)
        admit(rows, mask, self.context, cache)
        return rows, mask

    def admit_source(self, source: Tensor | None, mask: Mask | None, batch: int) -> tuple[Tensor, Mask]:
        """The source as rows and their mask. InputError when there is none or it has not one row for each target."""
        if source is None:
            raise InputError(NO_SOURCE)
        if len(source) != batch:
            raise InputError(f"there are {len(source)} sources for {batch} targets: give each target its own")
        return self.admit(source, Mask() if mask is None else Mask(lengths=mask.lengths, starts=mask.starts))


NO_SOURCE = "this model reads a source first: give it one (--source, or --target for what is to follow the text), or begin() with a source"

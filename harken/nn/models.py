"""The model protocol.

    logits = model(ids, Mask(lengths=...))               (B, L) -> (B, L, V), or what the model's head says
    cache = model.begin(batch, length)                   then  model(ids, cache=cache), as often as wanted
    scores = model.score(ids, Mask(lengths=...))         (B, L) log-probability of each token given those before it

A call has two halves: `prepare` checks the input and works out positions and masks, in plain Python; `compute` is tensors alone, and
what `torch.compile` takes whole.   B batch · L tokens · D width · V vocabulary
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..base.errors import InputError
from . import packing
from .cache import Cache
from .heads import found
from .lora import Adapters
from .mask import Mask
from .packing import check_kind
from .step import Step


class Model(nn.Module):
    """What every model can do: be packed to answer (fast, exact, no gradients) and unpacked to learn.

    Asking for the parameters, the state or training unpacks first, so nothing ever sees a model without its weights.
    """

    config: Any
    context: int  # tokens it can read at once
    reads = "text"  # or "source": something else, before it writes
    packs = False  # whether it reads packed rows, Mask(starts=...)
    packs_pairs = False  # whether it learns from packed sources and targets, Mask(starts=..., sources=...)
    named_types = False  # whether kinds of tokens are named by tokens, as speakers are
    packed = False  # whether its weights are, ready to answer
    held: str | None = None  # how they are held then, one of quant.KINDS; None: as they were learned
    steps = False  # whether what it writes may be read by all blocks in one call
    _step: Step | None = None  # that call, where the model is packed and its blocks are such
    _widened: list[nn.Parameter] | None = None
    generation: Mapping[str, Any] = MappingProxyType({})  # how it is to write where nobody says, under the names of generation_config.json

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> Cache:
        """An empty cache with room for `length` tokens in each of `batch` rows."""
        raise NotImplementedError

    def hidden(self, ids: Tensor, mask: Mask | None = None, *, cache: Any) -> Tensor:
        """ids (B, L), which follow what the cache holds -> (B, L, D) of the last layer, of which the head makes logits. InputError where
        the model has none."""
        raise InputError(f"a {self.config.model_type} model has no hidden states for contrastive search: leave penalty_alpha out")

    @property
    def tokens(self) -> Any:
        """The vectors of the tokens it writes, with which a tied head multiplies."""
        part: Any = getattr(self, "stack", self)
        return part.embed.tokens

    def score(self, ids: Tensor, mask: Mask | None = None) -> Tensor:
        """ids (B, L) -> (B, L) natural log-probability of each token given those before it; 0 for the first.

        The last token is only predicted, not read, so a row may have one token more than the context. InputError where the model's head
        does not say which token comes next.
        """
        self.must_write()
        if ids.shape[1] < 2:
            return torch.zeros(ids.shape, device=ids.device)
        lengths = None if mask is None or mask.lengths is None else (mask.lengths - 1).clamp(min=1)
        read = Mask() if mask is None else dataclasses.replace(mask, lengths=lengths)
        return found(self(ids[:, :-1], read), ids)

    def nearby(self, ids: Tensor, mask: Mask | None = None) -> Tensor:
        """`score` of windows of longer texts, without what `whole` adds."""
        return self.score(ids, mask)

    def whole(self, ids: np.ndarray, known: np.ndarray) -> None:
        """Let `known` (T,), what `nearby` says of a text ids (T,), hear of all that stands before each token; most models need not."""

    def must_write(self) -> None:
        """InputError unless the model says which token comes next."""
        if not getattr(getattr(self, "head", None), "writes", True):
            raise InputError(
                f"this model was built for {self.config.task}, so it cannot continue or score a text: take one for language-modeling"
            )

    def __call__(self, *args, **kwargs):
        if not self.packed:
            return super().__call__(*args, **kwargs)
        with torch.no_grad():  # a packed weight has no gradient: better none at all than some of them
            return super().__call__(*args, **kwargs)

    @property
    def adapters(self) -> Adapters:
        """What was put on it: `names`, `use(name)`, `merge()`, `unmerge()`."""
        return vars(self).setdefault("_adapters", Adapters(self))

    def initialise(self) -> None:
        """What fresh weights need beyond Normal(0, std) matrices and zero biases; called once those are drawn."""

    @property
    def span(self) -> int:
        """Tokens of a row when a text is cut to learn from or to measure: the context, or the rows a model learned from that could read
        on without end."""
        return min(self.context, getattr(self.config, self.config.row, self.context))

    @property
    def size(self) -> int:
        """Numbers in its weights, those that are held in few bits included."""
        frozen = sum(layer.inputs * layer.outputs for layer in packing.linears(self) if layer.frozen)
        return sum(each.numel() for each in self.parameters()) + frozen

    @property
    def device(self) -> torch.device:
        """Where the weights are, packed or not."""
        return packing.place(self)

    def pack(self, kind: str | None = None) -> None:
        """Make ready to answer: packed weights replace the parameters (on a CPU; elsewhere nothing changes).

        `kind`: how matrices are held from now on, float32, bfloat16, int8 or int4 (default: as before). What a narrow one does not hold is
        lost. A model that learns again forgets the kind.
        """
        if kind is not None and check_kind(kind) != self.held:
            self.unpack()
            self.held = kind
        self.eval()
        if not self.packed:
            self._widened = packing.pack(self, self.held)
            self.packed = self._widened is not None
        self._step = self._step or self._make_step()

    def unpack(self) -> None:
        """Make ready to learn: every parameter object holds its weight again."""
        self._step = None
        if self.packed:
            self.packed = False
            packing.unpack(self, self._widened or [])

    def freeze(self, kind: str) -> None:
        """Hold every matrix that does not learn beside an adapter as `kind`, which is all that is left of it, while the adapter learns."""
        check_kind(kind)
        self.unpack()
        packing.freeze(self, kind, set(self.adapters.learned().values()))

    def suit(self, part: nn.Module, where: str) -> None:
        """Make a part that took its place at `where` ready to answer, or to learn, as all others are."""
        if self.packed:
            self._widened = [*(self._widened or []), *(packing.pack(part, self.held, where) or [])]
        else:
            packing.unpack(part, [])
        self._step = self._make_step()

    def _make_step(self) -> Step | None:
        stack: Any = self.stack if self.packed and self.steps else None
        return None if stack is None else Step.of(stack)

    def train(self, mode: bool = True):
        if mode:
            self.unpack()
            self.held = None  # what it learns next is not to be rounded
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

"""The model protocol, and the decoder: a Transformer that continues what it has read.

    logits = model(ids, Mask(lengths=...))               (B, L) -> (B, L, V), or what the model's head says
    cache = model.begin(batch, length)                   then  model(ids, cache=cache), as often as wanted
    scores = model.score(ids, Mask(lengths=...))         (B, L) log-probability of each token given those before it

A call has two halves: `prepare` checks the input and works out positions and masks, in plain Python; `compute` is tensors alone, and
what `torch.compile` takes whole.   B batch · C choices · L tokens · T packed tokens · D width · V vocabulary
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from ..base.errors import InputError
from . import packing
from .attend import Look
from .cache import Cache, KeyValueCache
from .call import Call
from .heads import found, last_of
from .lora import Adapters
from .mask import Mask
from .packing import check_kind
from .position import Rotary
from .rows import admit, rows_of
from .stack import Stack
from .step import Step
from .window import WindowCache


class Model(nn.Module):
    """What every model can do: be packed to answer (fast, exact, no gradients) and unpacked to learn.

    Asking for the parameters, the state or training unpacks first, so nothing ever sees a model without its weights.
    """

    config: Any
    context: int  # tokens it can read at once
    reads = "text"  # or "source": something else, before it writes
    packs = False  # whether it reads packed rows, Mask(starts=...)
    named_types = False  # whether kinds of tokens are named by tokens, as speakers are
    packed = False  # whether its weights are, ready to answer
    held: str | None = None  # how they are held then, one of quant.KINDS; None: as they were learned
    _widened: list[nn.Parameter] | None = None
    generation: Mapping[str, Any] = MappingProxyType({})  # how it is to write where nobody says, under the names of generation_config.json

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> Cache:
        """An empty cache with room for `length` tokens in each of `batch` rows."""
        raise NotImplementedError

    def hidden(self, ids: Tensor, mask: Mask | None = None, *, cache: Any) -> Tensor:
        """ids (B, L), which follow what the cache holds -> (B, L, D) of the last layer, of which the head makes logits. InputError where
        the model has none."""
        raise InputError(f"a {self.config.model_type} model has no hidden states for contrastive search: leave penalty_alpha out")

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
        return min(self.context, getattr(self.config, "context_length", self.context))

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

    def unpack(self) -> None:
        """Make ready to learn: every parameter object holds its weight again."""
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


class Decoder(Model):
    """A stack that only looks back, and a head."""

    packs = True
    _step: Step | None = None  # all blocks in one call, where the model is packed and of the shape that has one

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
        tokens = self.stack.embed.tokens
        like = tokens.like
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
        return self.head(x, self.stack.embed.tokens, mask, None)

    def pack(self, kind: str | None = None) -> None:
        """Make ready to answer, as every model."""
        super().pack(kind)
        self._step = self._step or (Step.of(self.stack) if self.packed else None)

    def unpack(self) -> None:
        """Make ready to learn, as every model."""
        self._step = None
        super().unpack()

    def suit(self, part: nn.Module, where: str) -> None:
        """As every model."""
        self._step = None
        super().suit(part, where)
        self._step = Step.of(self.stack) if self.packed else None

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
        return self.head(x, self.stack.embed.tokens, call.mask, call.places)

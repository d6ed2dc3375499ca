"""The layers of a model from the top down: which of them learn, from when on, and at what share of the learning rate.

    rate of a layer = rate · decay^depth      Clark et al. 2020, https://arxiv.org/abs/2003.10555 · Howard & Ruder 2018,
                                              https://arxiv.org/abs/1801.06146 sections 3.2 and 3.3

The head and what stands above the last block have depth 0, the last block 1, the one below it 2, the embeddings the most; both sides of
an encoder-decoder count from their own top. A matrix with two uses, as a tied head is, has the depth of the lower one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from torch import nn

from ..base.errors import InputError, did_you_mean
from ..nn.linear import UPDATES, Linear
from ..nn.models import Model
from .plan import Plan

_BLOCK = re.compile(r"^(.*?)\b(?:blocks|encoder|back|decoder)\.(\d+)\.")
_RANGE = re.compile(r"(\d+)-(\d+)")


class Layers:
    """Which parameters learn: those `plan.freeze` names never do, nor does a model that an adapter is on; with `plan.unfreeze_every` one
    block more does each time, from the top.

    `scales`: of all that learn sooner or later, their share of the learning rate.
    """

    def __init__(self, model: Model, plan: Plan):
        depths, never = depths_of(model), named(model, plan.freeze)
        learns = set(model.adapters.learned().values()) - never
        self.frozen = [each for each in depths if each not in learns]
        self.depths = {each: depth for each, depth in depths.items() if each in learns}
        self.scales = {each: (plan.layer_decay or 1.0) ** depth for each, depth in self.depths.items()}
        self.every = plan.unfreeze_every
        # The head comes first where it has a matrix to learn; a tied one learns with the embeddings, last of all.
        self.first = 0 if any(depth == 0 and each.dim() > 1 for each, depth in self.depths.items()) else 1
        if not self.depths:
            raise InputError(f"--freeze {','.join(plan.freeze)} leaves nothing to learn: name fewer layers")
        for each in self.frozen:
            each.requires_grad_(False)
        self._reached: int | None = None

    def thaw(self, step: int) -> None:
        """Let the layers learn that do so at this step, counted from 0; the others get no gradient."""
        reached = self.reach(step)
        if reached != self._reached:
            self._reached = reached
            for each, depth in self.depths.items():
                each.requires_grad_(depth <= reached)

    def reach(self, step: int) -> int:
        """The depth down to which layers learn at this step."""
        deepest = max(self.depths.values())
        return deepest if self.every is None else min(deepest, self.first + step // self.every)

    @property
    def frozen_parameters(self) -> int:
        """Numbers that never change."""
        return sum(each.numel() for each in self.frozen)


def in_block(name: str) -> bool:
    """Whether a parameter or a part called so belongs to one of the layers that lie on one another."""
    return _BLOCK.match(name) is not None


def depths_of(model: Model) -> dict[nn.Parameter, int]:
    """Every parameter once -> its depth from the top, in the order of the model."""
    spelled = list(model.named_parameters(remove_duplicate=False))
    blocks: dict[str, int] = {}
    for name, _ in spelled:
        if block := _BLOCK.match(name):
            side = name[: block.start(2)]
            blocks[side] = max(blocks.get(side, 0), int(block[2]) + 1)
    depths: dict[nn.Parameter, int] = {}
    for name, each in spelled:
        depths[each] = max(depths.get(each, 0), _depth(name, blocks))
    return depths


def _depth(name: str, blocks: dict[str, int]) -> int:
    if block := _BLOCK.match(name):
        return blocks[name[: block.start(2)]] - int(block[2])
    deepest = max(blocks.values(), default=0)
    if re.search(r"\bembed\.", name):
        return deepest + 1
    return deepest if re.search(r"(encoder|stack)\.bias\.", name) else 0  # T5's distances, which the lowest block already reads


def named(model: Model, names: Collection[str]) -> set[nn.Parameter]:
    """The parameters of the layers called so: `embed`, `blocks.0-3`, `blocks.*.attn`, `encoder.norm`, `head.out`. A name without a side
    means both sides of an encoder-decoder. InputError when there is no such layer."""
    spelled = [(each, list(spellings(name, model))) for name, each in model.named_parameters(remove_duplicate=False)]
    found: set[nn.Parameter] = set()
    for name in names:
        for one in ranged(name):
            pattern = re.compile(re.escape(one).replace(r"\*", r"[^.]+") + r"(\.|$)")
            fitting = {each for each, ways in spelled if any(pattern.match(way) for way in ways)}
            if not fitting:
                known = {prefix for _, ways in spelled for way in ways for prefix in _prefixes(way)}
                close = did_you_mean(one, known)
                hint = close if "did you mean" in close else did_you_mean("", {each for each in known if each.count(".") == 0})
                raise InputError(f"--freeze {name}: the model has no layer {one}{hint}")
            found |= fitting
    return found


def ranged(name: str) -> Iterator[str]:
    """`blocks.0-3` -> blocks.0, blocks.1, blocks.2, blocks.3. InputError for a range that runs backwards."""
    several = _RANGE.search(name)
    if several is None:
        yield name
        return
    if int(several[2]) < int(several[1]):
        raise InputError(f"--freeze {name}: the range names no layer: write the smaller number first")
    for number in range(int(several[1]), int(several[2]) + 1):
        yield f"{name[: several.start()]}{number}{name[several.end() :]}"


def spellings(name: str, model: Model) -> Iterator[str]:
    """What a parameter may be called: as in the model, without its side, and `decoder` for the side that writes."""
    yield name
    side, _, rest = name.partition(".")
    if side in ("stack", "net", "encoder"):
        yield rest
    if side == "stack" and model.reads == "source":
        yield f"decoder.{rest}"


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:n]) for n in range(1, len(parts)))


def width_of(model: Model) -> int:
    """The size of a hidden state: what most matrices read."""
    inputs = [part.inputs for name, part in model.named_modules() if isinstance(part, Linear) and f".{UPDATES}." not in name]
    return max(set(inputs), key=inputs.count) if inputs else model.config.vocab_size

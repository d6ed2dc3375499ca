"""AdamW for everything, or Muon for the hidden matrices and AdamW for the rest.

AdamW https://arxiv.org/abs/1711.05101 · Muon https://kellerjordan.github.io/posts/muon, scaled to AdamW's step as in
https://arxiv.org/abs/2502.16982, so one learning rate serves both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.linear import Linear
from ..nn.models import Model
from .layers import in_block


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal: every direction of a matrix learns at the same speed.

    `slices` says which rows of each fused matrix are a matrix of their own ([Q | K | V]); slices of one shape run as one batch. `firsts`:
    by what share the first of them moves, where not by the whole.
    """

    def __init__(
        self,
        matrices: list[tuple[nn.Parameter, tuple[int, ...]]],
        lr: float,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        scales: Mapping[nn.Parameter, float] | None = None,
        firsts: Mapping[nn.Parameter, float] | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        """`scales`: of each matrix, its share of the learning rate (default: the full rate) · `dtype`: of the products."""
        some = [p for p, _ in matrices]
        groups = _groups(some, dict.fromkeys(some, 1.0) if scales is None else scales, weight_decay)
        super().__init__(groups, {"lr": lr, "momentum": momentum})
        self.slices, self.firsts, self.dtype = dict(matrices), firsts or {}, dtype

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            self._step(group)

    def _step(self, group: dict[str, Any]) -> None:
        shapes: dict[tuple[int, ...], list[tuple[Tensor, Tensor, float]]] = defaultdict(list)
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - group["momentum"])
            update = p.grad.lerp(state["momentum"], group["momentum"])  # Nesterov
            p.mul_(1 - group["lr"] * group["weight_decay"])
            widths = list(self.slices[p])
            shares = [self.firsts.get(p, 1.0), *[1.0] * (len(widths) - 1)]
            for weight, part, share in zip(p.split(widths), update.split(widths), shares, strict=True):
                shapes[tuple(part.shape)].append((weight, part, share))
        for (rows, columns), pairs in shapes.items():
            scale = -group["lr"] * 0.2 * max(rows, columns) ** 0.5
            directions = orthogonal(torch.stack([part for _, part, _ in pairs]), dtype=self.dtype)
            for (weight, _, share), direction in zip(pairs, directions, strict=True):
                weight.add_(direction, alpha=scale * share)


def orthogonal(x: Tensor, rounds: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    """(n, R, C) -> nearly the closest matrices with orthogonal rows or columns, by Newton-Schulz iteration.

    `dtype`: of the products; what comes out is as near to orthogonal in bfloat16, in a quarter of the time."""
    wide = x.shape[-2] > x.shape[-1]
    y = x.mT if wide else x
    y = (y / (y.norm(dim=(-2, -1), keepdim=True) + 1e-7)).to(dtype).contiguous()
    for _ in range(rounds):
        a = y @ y.mT
        y = torch.baddbmm(y, torch.baddbmm(a, a, a, beta=-4.7750, alpha=2.0315), y, beta=3.4445)
    y = y.to(x.dtype)
    return y.mT if wide else y


class Optimizer:
    """The optimizers of one model under one learning rate."""

    def __init__(
        self,
        model: Model,
        kind: str,
        learning_rate: float,
        weight_decay: float,
        scales: Mapping[nn.Parameter, float] | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        """`scales`: of every parameter that learns, its share of the learning rate (default: all do, at the full rate) · `dtype`: of
        Muon's products."""
        scales = dict.fromkeys(model.parameters(), 1.0) if scales is None else scales
        hidden = {
            part.weight: part
            for name, part in model.named_modules()
            if kind == "muon" and isinstance(part, Linear) and in_block(name) and part.weight in scales
        }
        shares = {part.weight: part.first for name, part in model.named_modules() if isinstance(part, Linear) and not in_block(name)}
        rest = {p: scale * shares.get(p, 1.0) for p, scale in scales.items() if p not in hidden}
        groups = [
            *_groups([p for p in rest if p.dim() > 1], rest, weight_decay),
            *_groups([p for p in rest if p.dim() <= 1], rest, 0.0),
        ]
        self.parts: list[torch.optim.Optimizer] = []
        if groups:
            self.parts.append(torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), eps=1e-10, fused=True))
        if hidden:
            matrices, firsts = [(p, part.widths) for p, part in hidden.items()], {p: part.first for p, part in hidden.items()}
            self.parts.append(Muon(matrices, learning_rate, weight_decay=weight_decay, scales=scales, firsts=firsts, dtype=dtype))
        self.parameters = list(model.parameters())

    def step(self, learning_rate: float) -> None:
        """One step; gradients are forgotten. What has no gradient stays as it is, its weight decay included."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = learning_rate * group["scale"]
            part.step()
        for p in self.parameters:
            p.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Everything remembered, by name, for the state file."""
        return {
            f"{i}.{n}.{key}": value
            for i, part in enumerate(self.parts)
            for n, p in enumerate(self._ordered(part))
            for key, value in part.state[p].items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        for name, value in tensors.items():
            i, n, key = name.split(".", 2)
            part = self.parts[int(i)]
            part.state[self._ordered(part)[int(n)]][key] = value

    @staticmethod
    def _ordered(part: torch.optim.Optimizer) -> list[nn.Parameter]:
        return [p for group in part.param_groups for p in group["params"]]


def _groups(parameters: Iterable[nn.Parameter], scales: Mapping[nn.Parameter, float], weight_decay: float) -> list[dict[str, Any]]:
    """One group for each share of the learning rate."""
    together: dict[float, list[nn.Parameter]] = defaultdict(list)
    for p in parameters:
        together[scales[p]].append(p)
    return [{"params": some, "scale": scale, "weight_decay": weight_decay} for scale, some in together.items()]

"""AdamW for everything, or Muon for the hidden matrices and AdamW for the rest.

AdamW https://arxiv.org/abs/1711.05101 · Muon https://kellerjordan.github.io/posts/muon, scaled to AdamW's step as in
https://arxiv.org/abs/2502.16982, so one learning rate serves both.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn

from ..nn.linear import Linear
from ..nn.models import Model


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal: every direction of a matrix learns at the same speed.

    `slices` says which rows of each fused matrix are a matrix of their own ([Q | K | V]); slices of one shape run as one batch.
    """

    def __init__(
        self, matrices: list[tuple[nn.Parameter, tuple[int, ...]]], lr: float, *, momentum: float = 0.95, weight_decay: float = 0.1
    ):
        super().__init__([p for p, _ in matrices], {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.slices = dict(matrices)

    @torch.no_grad()
    def step(self, closure=None):
        group = self.param_groups[0]
        shapes: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - group["momentum"])
            update = p.grad.lerp(state["momentum"], group["momentum"])  # Nesterov
            p.mul_(1 - group["lr"] * group["weight_decay"])
            for weight, part in zip(p.split(list(self.slices[p])), update.split(list(self.slices[p])), strict=True):
                shapes[tuple(part.shape)].append((weight, part))
        for (rows, columns), pairs in shapes.items():
            scale = -group["lr"] * 0.2 * max(rows, columns) ** 0.5
            for (weight, _), direction in zip(pairs, orthogonal(torch.stack([part for _, part in pairs])), strict=True):
                weight.add_(direction, alpha=scale)


def orthogonal(x: Tensor, rounds: int = 5) -> Tensor:
    """(n, R, C) -> nearly the closest matrices with orthogonal rows or columns, by Newton-Schulz iteration."""
    wide = x.shape[-2] > x.shape[-1]
    x = x.mT if wide else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.mT if wide else x


class Optimizer:
    """The optimizers of one model under one learning rate."""

    def __init__(self, model: Model, kind: str, learning_rate: float, weight_decay: float):
        hidden = {
            part.weight: part.widths
            for name, part in model.named_modules()
            if kind == "muon" and isinstance(part, Linear) and ".blocks." in f".{name}"
        }
        rest = [p for p in model.parameters() if p not in hidden]
        groups = [
            {"params": [p for p in rest if p.dim() > 1], "weight_decay": weight_decay},
            {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self.parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), eps=1e-10, fused=True)]
        if hidden:
            self.parts.append(Muon(list(hidden.items()), learning_rate, weight_decay=weight_decay))
        self.parameters = list(model.parameters())

    def step(self, learning_rate: float) -> None:
        """One step; gradients are forgotten."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = learning_rate
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

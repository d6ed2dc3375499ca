"""Qwen3: Qwen2 with a norm on every query and key instead of biases, and heads of their own width.   https://arxiv.org/abs/2505.09388"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from . import llama, qwen2


@dataclass(kw_only=True)
class Qwen3Config(qwen2.Qwen2Config):
    model_type: ClassVar[str] = "qwen3"
    head_norm: ClassVar[bool] = True

    head_dim: int | None = 128
    attention_bias: bool = False  # a setting again

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch; the heads share the width."""
        return replace(super().sized(width, layers, heads, context, vocab, dropout), head_dim=width // heads)

    @property
    def out_bias(self) -> bool:
        """Whether attention's last product has a bias."""
        return self.attention_bias


build, names = llama.build, llama.names
IGNORE, LEARNS = llama.IGNORE, llama.LEARNS

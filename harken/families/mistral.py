"""Mistral: LLaMA in which every layer sees the last few thousand tokens only.   https://arxiv.org/abs/2310.06825"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from . import llama


@dataclass(kw_only=True)
class MistralConfig(llama.LlamaConfig):
    model_type: ClassVar[str] = "mistral"
    attention_bias: ClassVar[bool] = False  # not a setting here, nor in config.json
    mlp_bias: ClassVar[bool] = False
    body: ClassVar[str] = "model"

    intermediate_size: int = 14336
    num_key_value_heads: int | None = 8
    max_position_embeddings: int = 131072
    sliding_window: int | None = 4096

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, with a window of half the context, as the paper's 4,096 of 8,192."""
        return replace(super().sized(width, layers, heads, context, vocab, dropout), sliding_window=-(-context // 2))

    def window(self, layer: int) -> int | None:
        """Tokens a query of this layer sees; None: all before it."""
        return self.sliding_window


build, names = llama.build, llama.names
IGNORE, LEARNS = llama.IGNORE, llama.LEARNS

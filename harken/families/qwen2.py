"""Qwen2: LLaMA with biases on queries, keys and values; some layers may see the last few thousand tokens only.

https://arxiv.org/abs/2407.10671
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ..base.errors import InputError
from . import llama
from .layers import check_layers, near


@dataclass(kw_only=True)
class Qwen2Config(llama.LlamaConfig):
    """`layer_types` says which layers see no further than `sliding_window`; without it those from `max_window_layers` on do so, if
    `use_sliding_window`."""

    model_type: ClassVar[str] = "qwen2"
    attention_bias: ClassVar[bool] = True  # not a setting here, nor in config.json
    out_bias: ClassVar[bool] = False
    mlp_bias: ClassVar[bool] = False

    vocab_size: int = 151936
    intermediate_size: int = 22016
    num_key_value_heads: int | None = 32
    max_position_embeddings: int = 32768
    use_sliding_window: bool = False
    sliding_window: int | None = 4096
    max_window_layers: Annotated[int, "0 upwards, so not one of the sizes that must be positive"] = 28
    layer_types: list[str] | None = None

    def window(self, layer: int) -> int | None:
        """Tokens a query of this layer sees; None: all before it."""
        slides = layer >= self.max_window_layers if self.layer_types is None else near(self.layer_types, layer)
        return self.sliding_window if self.use_sliding_window and slides else None

    def check(self) -> None:
        """Refuse what cannot be built."""
        super().check()
        types = self.layer_types
        check_layers(types, self.num_hidden_layers)
        if types is not None and "sliding_attention" in types and not (self.use_sliding_window and self.sliding_window):
            raise InputError("config.json: layer_types has sliding layers, so use_sliding_window must be true and sliding_window a number")


build, names = llama.build, llama.names
IGNORE, LEARNS = llama.IGNORE, llama.LEARNS

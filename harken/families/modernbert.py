"""ModernBERT: an encoder with rotary positions, gated feed-forward and no biases, in which two layers of three look around only.

https://arxiv.org/abs/2412.13663
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

from torch import nn

from ..base.errors import InputError
from ..nn.attention import SelfAttention
from ..nn.block import Block
from ..nn.embedding import Embedding
from ..nn.encoder import Encoder
from ..nn.heads import MaskedLanguageModel
from ..nn.linear import Linear
from ..nn.mlp import MLP
from ..nn.position import Rotary
from ..nn.stack import Stack
from . import rope
from .config import Config, must_divide
from .heads import encoder_head
from .layers import LAYERS, near, settled
from .names import Rule
from .tasks import JUDGE

POOLED: dict[str, Any] = {"cls": "first", "mean": "mean"}  # what a text is judged by


@dataclass(kw_only=True)
class ModernBertConfig(Config):
    """`layer_types`: which layers see `local_attention` // 2 tokens to each side, usually all but every `global_attn_every_n_layers`-th."""

    model_type: ClassVar[str] = "modernbert"

    vocab_size: int = 50368
    hidden_size: int = 768
    intermediate_size: int = 1152
    num_hidden_layers: int = 22
    num_attention_heads: int = 12
    hidden_activation: str = "gelu"
    max_position_embeddings: int = 8192
    norm_eps: float = 1e-5
    norm_bias: bool = False
    global_rope_theta: float = 160_000.0
    local_rope_theta: float | None = 10_000.0
    attention_bias: bool = False
    attention_dropout: float = 0.0
    global_attn_every_n_layers: int = 3
    local_attention: int = 128
    layer_types: list[str] | None = None
    embedding_dropout: float = 0.0
    mlp_bias: bool = False
    mlp_dropout: float = 0.0
    decoder_bias: bool = True
    classifier_pooling: str = "cls"
    classifier_dropout: float | None = 0.0
    classifier_bias: bool = False
    classifier_activation: str = "gelu"
    pad_token_id: int | None = 0
    cls_token_id: int | None = None
    sep_token_id: int | None = None
    tie_word_embeddings: bool = True

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch: a text is judged by all its tokens; a feed-forward of 3/2 the width."""
        sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "max_position_embeddings": context}
        drops = dict.fromkeys(("embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout"), dropout)
        return cls(**sizes, **drops, vocab_size=vocab, intermediate_size=-(-width * 3 // 2 // 32) * 32, classifier_pooling="mean")

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Also reads `rope_parameters`, the newer spelling, with settings for each kind of layer."""
        given = values.get("rope_parameters") or {}
        for kind, key in zip(LAYERS, ("global_rope_theta", "local_rope_theta"), strict=True):
            turn = rope.read({"rope_parameters": given.get(kind) or {}, "rope_scaling": values.get("rope_scaling")})
            if turn["rope_scaling"] is not None:
                raise InputError(f"config.json asks for stretched rotary positions, {turn['rope_scaling']}; modernbert has plain ones only")
            if turn["rope_theta"] is not None:
                values = {**values, key: turn["rope_theta"]}
        return super().read(values)

    def window(self, layer: int) -> int | None:
        """Tokens less than so many places away are seen by this layer; None: all."""
        return self.local_attention // 2 + 1 if near(self.layer_types or [], layer) else None

    def check(self) -> None:
        """Refuse what cannot be built; which layers slide is settled."""
        super().check()
        given = self.layer_types, self.num_hidden_layers, self.global_attn_every_n_layers
        self.layer_types, self.global_attn_every_n_layers = settled(*given)
        if self.classifier_pooling not in POOLED:
            raise InputError(f"config.json: classifier_pooling must be {' or '.join(POOLED)}, not {self.classifier_pooling!r}")


def build(c: ModernBertConfig) -> Encoder:
    c.check()
    must_divide("hidden_size", c.hidden_size, "num_attention_heads", c.num_attention_heads)
    width = c.hidden_size // c.num_attention_heads
    rope.must_turn(width)
    norm = partial(nn.LayerNorm, c.hidden_size, eps=c.norm_eps, bias=c.norm_bias)
    wide, narrow = (Rotary(width, {"rope_theta": theta or c.global_rope_theta}) for theta in (c.global_rope_theta, c.local_rope_theta))

    def block(layer: int) -> Block:
        seen: Any = {"window": (window := c.window(layer)), "rotary": wide if window is None else narrow}
        attn = SelfAttention(
            c.hidden_size, c.num_attention_heads, bias=c.attention_bias, dropout=(c.attention_dropout, c.attention_dropout), **seen
        )
        mlp = MLP(c.hidden_size, c.intermediate_size, c.hidden_activation, gated="fused", bias=c.mlp_bias, dropout=c.mlp_dropout)
        made = Block(attn, mlp, norm)
        if layer == 0:
            made.attn_norm = nn.Identity()  # the embeddings are normalised
        return made

    embed = Embedding(c.vocab_size, c.hidden_size, norm=norm(), dropout=c.embedding_dropout)
    stack = Stack(embed, [block(layer) for layer in range(c.num_hidden_layers)], norm=norm())
    return Encoder(stack, head(c, norm()), context=c.max_position_embeddings)


def head(c: ModernBertConfig, norm: nn.Module) -> nn.Module:
    """What stands on the body: a dense layer and a norm come first, whatever the task."""
    width, act, bias = c.hidden_size, c.classifier_activation, (c.classifier_bias, c.norm_bias, c.decoder_bias)
    words = MaskedLanguageModel(width, c.vocab_size, width=width, act=act, eps=c.norm_eps, tied=c.tie_word_embeddings, bias=bias)
    dropout, first = dict.fromkeys(JUDGE, c.classifier_dropout or 0.0), (Linear(width, width, bias=c.classifier_bias), act, norm)
    return encoder_head(c, width, words=words, dropout=dropout, first=first, at=POOLED[c.classifier_pooling])


def names(c: ModernBertConfig) -> dict[str, Rule]:
    at, out = "model.layers.*", "decoder" if c.task == "masked-language-modeling" else "classifier"
    return {
        "stack.embed.tokens": "model.embeddings.tok_embeddings",
        "stack.embed.norm": "model.embeddings.norm",
        "stack.blocks.*.attn.qkv": f"{at}.attn.Wqkv",
        "stack.blocks.*.attn.out": f"{at}.attn.Wo",
        **{f"stack.blocks.*.{name}": f"{at}.{name}" for name in ("attn_norm", "mlp_norm")},
        "stack.blocks.*.mlp.up": f"{at}.mlp.Wi",
        "stack.blocks.*.mlp.down": f"{at}.mlp.Wo",
        "stack.norm": "model.final_norm",
        **dict.fromkeys(("head", "head.out"), out),
        **{name: name for name in ("head.dense", "head.norm")},
    }


IGNORE = (r"inv_freq$", r"^(head|decoder|classifier)\.")  # heads of other tasks, or what is tied once more
LEARNS = "gradients"

"""Marian: a small, fast translator; BART's layers, with waves for positions.   https://arxiv.org/abs/1804.00344"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from ..nn.embedding import Embedding
from ..nn.encoder_decoder import EncoderDecoder
from ..nn.linear import Linear
from ..nn.position import Sinusoidal
from . import bart
from .names import Bare, Rule


@dataclass(kw_only=True)
class MarianConfig(bart.BartConfig):
    model_type: ClassVar[str] = "marian"

    vocab_size: int = 58101
    decoder_vocab_size: int | None = None
    share_encoder_decoder_embeddings: bool = True
    bos_token_id: int | None = None
    pad_token_id: int | None = 58100
    eos_token_id: int | list[int] | None = 0
    decoder_start_token_id: int | None = 58100

    @classmethod
    def sized(cls, width: int, layers: int, heads: int, context: int, vocab: int, dropout: float) -> Self:
        """A config of the asked size, for training from scratch."""
        found = super().sized(width, layers, heads, context, vocab, dropout)
        return replace(found, scale_embedding=True, activation_function="swish")

    @property
    def shared(self) -> bool:
        """Not where either side has a vocabulary of its own."""
        return self.share_encoder_decoder_embeddings and self.tie_word_embeddings

    @property
    def writes(self) -> int:
        """Tokens of the vocabulary it writes with."""
        return self.vocab_size if self.share_encoder_decoder_embeddings else self.decoder_vocab_size or self.vocab_size


def build(c: MarianConfig) -> EncoderDecoder:
    tokens = Linear(c.d_model, c.vocab_size, bias=False)

    def embed(tokens: Linear) -> Embedding:
        places = Sinusoidal(c.max_position_embeddings, c.d_model, halves=True)
        return Embedding(tokens.outputs, c.d_model, tokens=tokens, scale=c.scale, positions=places, dropout=c.dropout)

    target = tokens if c.shared else Linear(c.d_model, c.writes, bias=False)
    return bart.both(c, embed(tokens), embed(target), c.writes)


def names(c: MarianConfig) -> dict[str, Rule]:
    return {
        **bart.side(c, "encoder", "encoder"),
        **bart.side(c, "stack", "decoder"),
        "head": Bare("final_logits_bias"),
        "head.out": "lm_head",
    }


IGNORE = (r"embed_positions\.weight$", *bart.IGNORE)  # the waves are worked out
LEARNS = "gradients"

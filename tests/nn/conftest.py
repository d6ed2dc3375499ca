"""Models small enough for a thousand forward calls, with weights large enough that every part matters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from harken.families.bart import BartConfig
from harken.families.gpt import GPTConfig
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.marian import MarianConfig
from harken.families.qwen3 import Qwen3Config
from harken.families.t5 import T5Config
from harken.families.table import build
from harken.nn.decoder import Decoder
from harken.nn.encoder_decoder import EncoderDecoder
from harken.nn.models import Model

CONFIGS = {
    "gpt2": GPT2Config(vocab_size=61, n_positions=32, n_embd=48, n_layer=2, n_head=3, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0),
    "gpt2-odd": GPT2Config(
        vocab_size=67, n_positions=32, n_embd=33, n_layer=2, n_head=3, n_inner=41, activation_function="gelu", tie_word_embeddings=False
    ),
    "llama": LlamaConfig(
        vocab_size=61,
        hidden_size=48,
        intermediate_size=53,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=1,
        max_position_embeddings=32,
    ),
    "llama-odd": LlamaConfig(
        vocab_size=130,
        hidden_size=20,
        intermediate_size=70,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        max_position_embeddings=32,
        attention_bias=True,
        mlp_bias=True,
        tie_word_embeddings=True,
    ),
    "gpt": GPTConfig(vocab_size=61, n_positions=32, n_embd=20, n_layer=2, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0),
    "qwen3": Qwen3Config(  # norms on queries and keys, and a window that half the layers have
        vocab_size=67,
        hidden_size=20,
        intermediate_size=41,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        max_position_embeddings=32,
        use_sliding_window=True,
        sliding_window=3,
        layer_types=["sliding_attention", "full_attention"],
    ),
}
BART = {"d_model": 24, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 3}
WIDE = {"encoder_ffn_dim": 20, "decoder_ffn_dim": 41, "dropout": 0.0}
T5 = {"d_model": 20, "d_kv": 6, "num_layers": 1, "num_decoder_layers": 2, "num_heads": 3, "dropout_rate": 0.0}
SOURCES = {
    "bart": BartConfig(vocab_size=61, **BART, **WIDE, max_position_embeddings=32),
    "marian": MarianConfig(vocab_size=130, **BART, **WIDE, max_position_embeddings=32, pad_token_id=129, decoder_start_token_id=129),
    "t5": T5Config(vocab_size=61, **T5, d_ff=31),
    "t5-near": T5Config(  # version 1.1; few distances, so that several share a score
        vocab_size=67, **T5, d_ff=70, feed_forward_proj="gated-gelu", relative_attention_num_buckets=4, relative_attention_max_distance=5
    ),
}


def make(name: str) -> Model:
    """A new model in evaluation mode, the same weights every time."""
    model = build((CONFIGS | SOURCES)[name], seed=0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=random)
    return model


@pytest.fixture(scope="session")
def tiny() -> Callable[[str], Decoder]:
    """`tiny("llama")`: its config reads 32 tokens."""

    def decoder(name: str) -> Decoder:
        model = make(name)
        assert isinstance(model, Decoder)
        return model

    return decoder


@pytest.fixture(scope="session")
def pair() -> Callable[[str], EncoderDecoder]:
    """`pair("bart")`: it reads one text and writes another."""

    def both(name: str) -> EncoderDecoder:
        model = make(name)
        assert isinstance(model, EncoderDecoder)
        return model

    return both

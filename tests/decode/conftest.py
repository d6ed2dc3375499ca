"""A small model of every family that writes, with large random weights; options drawn at random among those that go together; and what
transformers writes, asked the same."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers

from harken.decode.options import DRAWS, DecodeOptions
from harken.families.bart import BartConfig
from harken.families.bigram import BigramConfig
from harken.families.config import Config
from harken.families.cosine import CosineConfig
from harken.families.gpt import GPTConfig
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.marian import MarianConfig
from harken.families.mistral import MistralConfig
from harken.families.mixture import MixtureConfig
from harken.families.mlp import MLPConfig
from harken.families.ngram import NgramConfig
from harken.families.qwen2 import Qwen2Config
from harken.families.qwen3 import Qwen3Config
from harken.families.recurrent import GRUConfig, LSTMConfig, RNNConfig
from harken.families.seq2seq import ATTENTION, Seq2SeqConfig
from harken.families.t5 import T5Config
from harken.families.table import build
from harken.families.transformer import TransformerConfig
from harken.nn.counts import NGram
from harken.nn.mixture import Mixture
from harken.nn.models import Model
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_characters

Made = tuple[Model, Tokenizer]

MAYBE: dict[str, list[Any]] = {
    "temperature": [0.7, 1.3],
    "top_k": [1, 5],
    "top_p": [0.8, 0.3],
    "min_p": [0.1],
    "typical_p": [0.7],
    "epsilon_cutoff": [0.02],
    "eta_cutoff": [0.02],
    "min_new_tokens": [0, 1],
    "min_length": [5, 20],
    "repetition_penalty": [1.2, 0.8],
    "frequency_penalty": [0.5],
    "presence_penalty": [-0.5, 1.0],
    "no_repeat_ngram_size": [1, 2],
    "encoder_no_repeat_ngram_size": [2],
    "bad_words": [("e",), ("ab", "c")],
    "suppress_tokens": [(7, 8)],
    "begin_suppress_tokens": [(9,)],
    "logit_bias": [{10: 4.0, 12: -3.0}],
    "forced_eos_token_id": [(2,)],
    "stop_strings": [("e",), ("th", "he", "ing")],
    "guidance_scale": [1.5],
    "use_cache": [False],
    "overflow": ["window"],
}
OF_TEXT = ("guidance_scale", "overflow")
"""Options that models which read a source do not have."""
OF_SOURCE: dict[str, list[Any]] = {"decoder_start_token_id": [4], "forced_bos_token_id": [6]}
"""Options that only they have."""

HEADS, CONTEXT = 3, 48
TURNED = ("llama", "mistral", "qwen2", "qwen3", "mixture")
"""They turn pairs of numbers, so the width of a head is even."""
KINDS: dict[str, tuple[type[Config], dict[str, Any]]] = {
    "gpt": (GPTConfig, {}),
    "gpt2": (GPT2Config, {}),
    "gpt2-gelu": (GPT2Config, {"activation_function": "gelu", "tie_word_embeddings": False}),
    "llama": (LlamaConfig, {"num_key_value_heads": 1}),
    "mistral": (MistralConfig, {"sliding_window": 5, "num_key_value_heads": 3}),
    "qwen2": (Qwen2Config, {}),
    "qwen3": (Qwen3Config, {}),
    "t5-1.0": (T5Config, {"feed_forward_proj": "relu", "tie_word_embeddings": True, "scale_decoder_outputs": True}),
    "t5-1.1": (T5Config, {"relative_attention_num_buckets": 6, "relative_attention_max_distance": 9}),
    "bart": (BartConfig, {"scale_embedding": True}),
    "marian": (MarianConfig, {"activation_function": "swish"}),
    "transformer": (TransformerConfig, {}),
    **{f"seq2seq-{kind}": (Seq2SeqConfig, {"attention": kind, "window": 3}) for kind in ATTENTION},
    "seq2seq-feeding": (Seq2SeqConfig, {"attention": "general", "cell": "gru", "input_feeding": True}),
    "seq2seq-rnn": (Seq2SeqConfig, {"attention": "additive", "cell": "rnn", "num_hidden_layers": 1}),
    "ngram": (NgramConfig, {"order": 4}),
    "bigram": (BigramConfig, {}),
    "mlp": (MLPConfig, {"n_context": 4, "direct": True}),
    "rnn": (RNNConfig, {}),
    "gru": (GRUConfig, {}),
    "lstm": (LSTMConfig, {}),
    "cosine": (CosineConfig, {}),
    "mixture": (MixtureConfig, {}),
}
"""Every family that writes, in each of its ways to work."""


def letters(rng: random.Random, most: int) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(0, most)))


def make(kind: str, seed: int = 0) -> Made:
    """Widths are odd, so that rows end inside a vector of the processor's; no bias is zero and no norm the identity."""
    tokenizer, (family, settings) = train_characters([string.ascii_lowercase]), KINDS[kind]
    width = HEADS * (14 if kind in TURNED else 15)
    config = replace(family.sized(width, 2, HEADS, CONTEXT, tokenizer.vocab_size, 0.0), **settings)
    config.bos_token_id, config.eos_token_id, config.initializer_range = tokenizer.bos_id, tokenizer.eos_id, 0.2
    config.check()
    model = build(config, seed=seed)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    counting = model if isinstance(model, NGram) else model.counting if isinstance(model, Mixture) else None
    if counting is not None:
        texts = [tokenizer.encode(letters(random.Random(n), 30)) for n in range(60)]
        starts = np.cumsum([0, *map(len, texts[:-1])])
        counting.counts.fill(np.concatenate(texts).astype(np.int32), starts, counting.order)
    if isinstance(model, Mixture):
        model.gate.weights.copy_(torch.linspace(0.1, 0.9, len(model.gate.weights)))
    model.generation = {"suppress_tokens": tokenizer.silent_ids}
    return model, tokenizer


def draw(rng: random.Random, reads: str = "text") -> DecodeOptions:
    """Any options that go together, for a model that reads a "text" or a "source"."""
    asked: dict[str, Any] = {"max_new_tokens": rng.randint(1, 24), "seed": rng.randint(0, 1000)}
    drawn = rng.random() < 0.7
    maybe = MAYBE if reads == "text" else {name: values for name, values in MAYBE.items() if name not in OF_TEXT} | OF_SOURCE
    for name, values in maybe.items():
        if rng.random() < 0.25 and (drawn or name not in DRAWS):
            asked[name] = rng.choice(values)
    if "min_new_tokens" in asked:
        asked.pop("min_length", None)
    if drawn:
        asked |= {"do_sample": True, "num_return_sequences": rng.choice([1, 1, 3])}
    if rng.random() < 0.15:
        asked |= {"num_beams": 3, "num_return_sequences": rng.choice([1, 3]), "length_penalty": rng.choice([0.5, 1.0, 2.0])}
    return DecodeOptions(**asked)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a `kind` runs for every one."""
    if "kind" in metafunc.fixturenames and "kind" not in [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]:
        metafunc.parametrize("kind", list(KINDS))


@pytest.fixture(scope="session")
def made() -> Callable[..., Made]:
    """`made("t5-1.0")`: a model of that kind and its tokenizer."""
    return make


@pytest.fixture(scope="session")
def any_options() -> Callable[..., DecodeOptions]:
    """`any_options(rng, reads)`: options drawn at random."""
    return draw


WORDS = 61


@pytest.fixture(scope="session")
def words() -> Tokenizer:
    """A tokenizer that knows w0 to w60 and nothing else; its end is 2."""
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({f"w{i}": i for i in range(WORDS)}, "w3"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens(["w0", "w1", "w2"])
    return Tokenizer(inner, {"pad": "w0", "bos": "w1", "eos": "w2"})


def open_peer(folder: Path, reads: str) -> Any:
    kind = transformers.AutoModelForCausalLM if reads == "text" else transformers.AutoModelForSeq2SeqLM
    return kind.from_pretrained(folder).eval()


def peer_writes(peer: Any, prompt: list[int], asked: dict[str, Any], **more: Any) -> tuple[list[list[int]], list[float]]:
    told = {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items() if name != "bad_words"}
    if "bad_words" in asked:
        told["bad_words_ids"] = [[int(word[1:]) for word in group.split()] for group in asked["bad_words"]]
    found = peer.generate(
        torch.tensor([prompt]), do_sample=False, pad_token_id=0, return_dict_in_generate=True, output_scores=True, **told, **more
    )
    ends, texts = asked.get("eos_token_id", (2,)), []
    for row in found.sequences[:, 1 if peer.config.is_encoder_decoder else len(prompt) :].tolist():
        texts.append(row[: next((i + 1 for i, token in enumerate(row) if token in ends), len(row))])
    return texts, found.sequences_scores.tolist() if "sequences_scores" in found else []


@pytest.fixture(scope="session")
def opened() -> Callable[[Path, str], Any]:
    """`opened(folder, reads)`: a folder as transformers reads it."""
    return open_peer


@pytest.fixture(scope="session")
def theirs_of() -> Callable[..., tuple[list[list[int]], list[float]]]:
    """`theirs_of(peer, prompt, asked)`: what transformers writes, without prompt and padding, and the scores of its beams."""
    return peer_writes

"""Small models of every family with fresh weights, and one that reads a source: built, not trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from harken.base.errors import InputError
from harken.families.bigram import BigramConfig
from harken.families.cosine import CosineConfig
from harken.families.gpt2 import GPT2Config
from harken.families.llama import LlamaConfig
from harken.families.mixture import MixtureConfig
from harken.families.mlp import MLPConfig
from harken.families.ngram import NgramConfig
from harken.families.recurrent import GRUConfig, LSTMConfig, RNNConfig
from harken.families.table import build
from harken.nn.cache import Cache
from harken.nn.mask import Mask
from harken.nn.models import Model
from harken.text.tokenizer import Tokenizer
from harken.text.train import train_bpe, train_characters

TEXT = "the cat sat on the mat and the dog sat on the cat\n"
CONFIGS = {
    each.model_type: each
    for each in (BigramConfig, CosineConfig, GPT2Config, LlamaConfig, MLPConfig, NgramConfig, RNNConfig, GRUConfig, LSTMConfig)
}
Make = Callable[..., Model]


@pytest.fixture(scope="session")
def letters() -> Tokenizer:
    return train_characters([TEXT])


@pytest.fixture(scope="session")
def pieces() -> Tokenizer:
    return train_bpe([TEXT] * 20, 280)


@pytest.fixture(scope="session")
def make() -> Make:
    """`make("llama", vocabulary)`: a model; weights far from nothing, so that no two heads and no two tokens are alike."""

    def model(family: str, vocab: int, *, layers: int = 2, heads: int = 4, context: int = 48) -> Model:
        def config(name: str):
            return CONFIGS[name].sized(16, layers, heads, context, vocab, 0.0)

        chosen = MixtureConfig.of(*map(config, family.split("+"))) if "+" in family else config(family)
        made = build(chosen, seed=0)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(1)
            for parameter in made.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
        return made.eval()

    return model


class Memory(Cache):
    """What was read of the source (1, S, D)."""

    memory: Tensor


class Aligner(Model):
    """As small as a model with a source can be: each target token looks at the source, and predicts from what it finds."""

    def __init__(self, vocab: int, dim: int = 8):
        super().__init__()
        self.embed, self.head, self.context = nn.Embedding(vocab, dim), nn.Linear(2 * dim, vocab), 40
        self.config = SimpleNamespace(model_type="aligner", vocab_size=vocab)

    def pack(self) -> None:
        self.eval()

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> Memory:
        if source is None:
            raise InputError("this model translates: give --target")
        cache = Memory(batch, length)
        cache.memory = self.embed(source)
        return cache

    def forward(self, *given: Tensor, cache: Memory | None = None, maps: dict[str, list] | None = None) -> Tensor:
        """(source, target), or (target) after a cache's source."""
        target = self.embed(given[-1])  # (1, T, D)
        memory = self.embed(given[0]) if cache is None else cache.memory
        weights = (target @ memory.mT * math.sqrt(8)).softmax(-1)  # (1, T, S)
        if maps is not None:
            maps["alignment"].append(weights[:, None])
        return self.head(torch.cat([target, weights @ memory], -1))


@pytest.fixture(scope="session")
def aligner(letters: Tokenizer) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Aligner(letters.vocab_size).eval()

"""Words as vectors: a table that is read, and the words that lie nearest to one, or to where an analogy leads.

    near(a)    = argmax_x cos(x, a)
    a - b + c  = argmax_x cos(x, a) - cos(x, b) + cos(x, c)                        3CosAdd
               = argmax_x cos'(x, a) · cos'(x, c) / (cos'(x, b) + ε)               3CosMul, cos' = (cos + 1) / 2, ε = 0.001

Mikolov, Yih & Zweig 2013, https://aclanthology.org/N13-1090; Levy & Goldberg 2014, https://aclanthology.org/W14-1618.

B batch · L tokens · V vocabulary · D width
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..base.errors import InputError
from .cache import Cache
from .mask import Mask
from .models import Model

Method = Literal["add", "mul"]
TABLE = "embed.tokens"
"""How the name of every table of token vectors ends."""


class Table(nn.Module):
    """`weight` (V, D): one vector for each word, counted and not learned; zeros at first."""

    weight: Tensor

    def __init__(self, vocab: int, dim: int):
        super().__init__()
        self.register_buffer("weight", torch.zeros(vocab, dim))

    def rows(self, ids: Tensor) -> Tensor:
        """ids (...) -> (..., D). InputError when an id is not a row."""
        if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= len(self.weight)):
            raise InputError(f"a token id is out of range: the vocabulary has {len(self.weight)} ids, 0 to {len(self.weight) - 1}")
        return self.weight[ids]


class Nothing(nn.Module):
    """The head of a model that writes nothing."""

    writes = False


class Vectors(Model):
    """Word vectors as a model: it is filled by `harken.fit.vectors`, saved and loaded like any other, and writes nothing."""

    def __init__(self, vocab: int, dim: int, *, context: int):
        super().__init__()
        self.embed, self.head, self.context = nn.ModuleDict({"tokens": Table(vocab, dim)}), Nothing(), context

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> Cache:
        """InputError: word vectors do not go on from a text."""
        self.must_write()
        raise NotImplementedError

    def forward(self, ids: Tensor, mask: Mask | None = None) -> Tensor:
        """ids (B, L) -> (B, L, D), each word by itself; the mask changes nothing."""
        return token_table(self).rows(ids)


def token_table(model: Model) -> Any:
    """The part that holds the vectors of a model's tokens, of its source's where both sides have some. InputError where there is none."""
    found = {name: part for name, part in model.named_modules(remove_duplicate=False) if name.endswith(TABLE)}
    if not found:
        raise InputError(f"a {model.config.model_type} model holds no vectors of its tokens: take one such as llama, bert or vectors")
    return next((part for name, part in found.items() if name.startswith("encoder.")), next(iter(found.values())))


def token_vectors(model: Model, count: int) -> np.ndarray:
    """(count, D) float32: the vectors of a model's first `count` tokens, before anything is added to them. InputError as above."""
    table = token_table(model)
    with torch.no_grad():
        rows = table.rows(torch.arange(count, device=model.device))
    return np.ascontiguousarray(rows.float().cpu().numpy())


def normed(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., D) of length one; those of length zero stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def analogy_scores(units: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, method: Method = "add") -> np.ndarray:
    """units (V, D) and three of length one -> (V,): how well each word stands to c as a to b. For "add" the cosine with a - b + c."""
    if method == "add":
        return units @ normed(a - b + c)
    with_a, with_b, with_c = ((units @ one + 1) / 2 for one in (a, b, c))
    return with_a * with_c / (with_b + 0.001)

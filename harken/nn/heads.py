"""Heads: what a model makes of the hidden states it ends with. Every head answers  head(x, tokens, mask, places).

x (B, L, D) hidden states, (B, C, L, D) where each row is a set of choices, (T, D) for a packed row · `tokens`: the token vectors, which
a tied head multiplies with · `mask`: which tokens are real · `places` (B, C): the token each choice is judged by, if not its last

B batch · C choices · L tokens · T packed tokens · S sequences, wherever they lie · D width · V vocabulary · N outputs
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dropout import dropout
from .entropy import cross_entropy
from .linear import Linear, known, linear
from .mask import Mask

First = tuple[Linear, str, nn.Module]
"""A dense layer, its activation and a norm: what some families judge through."""


class LanguageModel(nn.Module):
    """x -> logits (B, L, V): by the token vectors themselves, https://arxiv.org/abs/1608.05859, or a matrix of its own.

    `scale`: what x is multiplied by before · `shift`: size V of a bias that is kept with the weights and never learned.
    """

    writes = True  # its logits are those of the next token
    bias: Tensor | None

    def __init__(self, out: Linear | None = None, *, scale: float = 1.0, shift: int | None = None):
        super().__init__()
        self.out, self.scale = out, scale
        self.register_buffer("bias", None if shift is None else torch.zeros(1, shift))

    def forward(self, x: Tensor, tokens: Linear, mask: Mask, places: Tensor | None = None) -> Tensor:
        logits = linear(x if self.scale == 1 else x * self.scale, tokens if self.out is None else self.out)
        if self.bias is None:
            return logits
        return logits + self.bias if torch.is_grad_enabled() else logits.add_(self.bias)  # no second copy of so many numbers

    def plain(self, tokens: Linear) -> bool:
        """Whether its matrix is the weight itself: neither packed nor changed by adapters."""
        out = self.out or tokens
        return out.packed is None and out.change is None

    def nats(self, x: Tensor, tokens: Linear, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """x (R, D), targets (R,) -> their summed cross-entropy, without the logits of all at once."""
        x = x if self.scale == 1 else x * self.scale
        return cross_entropy(x, self.out or tokens, targets, shift=self.bias, smoothing=smoothing)


class MaskedLanguageModel(nn.Module):
    """x -> norm(act(dense x)) -> logits (B, L, V) of what stands at each place; `width` that of the token vectors. `bias`: of the dense
    layer, of its norm, and of the logits.

    https://arxiv.org/abs/1810.04805 section 3.1
    """

    writes = False

    def __init__(
        self,
        dim: int,
        vocab: int,
        *,
        width: int,
        act: str,
        eps: float,
        tied: bool,
        bias: tuple[bool, bool, bool] = (True, True, True),
    ):
        super().__init__()
        self.dense, self.norm, self.act = Linear(dim, width, bias=bias[0]), nn.LayerNorm(width, eps, bias=bias[1]), known(act)
        self.out = None if tied else Linear(width, vocab, bias=bias[2])
        self.bias = nn.Parameter(torch.zeros(vocab)) if tied and bias[2] else None

    def forward(self, x: Tensor, tokens: Linear, mask: Mask, places: Tensor | None = None) -> Tensor:
        y = linear(self.norm(self.dense(x, self.act)), self.out or tokens)
        return y if self.bias is None else y + self.bias


class PerToken(nn.Module):
    """x -> (B, L, N) for every token: its tag, or whether an answer starts and ends there; N None: one number each, (B, L). `first`: a
    dense layer, its activation and a norm, before the last layer."""

    writes = False

    def __init__(self, dim: int, outputs: int | None, *, dropout: float = 0.0, first: First | None = None):
        super().__init__()
        self.dense, act, self.norm = first or (None, "none", None)
        self.out, self.one, self.act, self.dropout = Linear(dim, outputs or 1), outputs is None, known(act), dropout

    def forward(self, x: Tensor, tokens: Linear, mask: Mask, places: Tensor | None = None) -> Tensor:
        if self.dense is not None and self.norm is not None:
            x = self.norm(self.dense(x, self.act))
        y = self.out(dropout(x, self.dropout, self.training))
        return y[..., 0] if self.one else y


class PerSequence(nn.Module):
    """x -> out(act(dense h)) (S, N), h the hidden state at the first or the last real token of each sequence, or the mean of all; N None:
    one number, (S,).

    Encoders are read at the first token, decoders at the last, the only one that has seen all. `dropout`: before the dense layer, before
    the last. `final`: an activation at the very end. `first`: the dense layer with its activation and a norm behind it, instead of `act`.
    """

    writes = False

    def __init__(
        self,
        dim: int,
        outputs: int | None,
        *,
        at: Literal["first", "last", "mean"],
        act: str | None = None,
        bias: bool = True,
        final: str = "none",
        dropout: tuple[float, float] = (0.0, 0.0),
        first: First | None = None,
    ):
        super().__init__()
        self.dense, act, self.norm = first or (None if act is None else Linear(dim, dim), act, None)
        self.out, self.one = Linear(dim, outputs or 1, bias=bias), outputs is None
        self.at, self.act, self.final, self.dropout = at, known(act or "none"), known(final), dropout

    def forward(self, x: Tensor, tokens: Linear, mask: Mask, places: Tensor | None = None) -> Tensor:
        h = last_of(x, mask, places) if self.at == "last" else first_of(x, mask) if self.at == "first" else mean_of(x, mask)  # (S, D)
        if self.dense is not None:
            h = self.dense(dropout(h, self.dropout[0], self.training), self.act)
        h = h if self.norm is None else self.norm(h)
        y = self.out(dropout(h, self.dropout[1], self.training), self.final)
        return y[..., 0] if self.one else y


class Doubled(NamedTuple):
    """`lm` (B, C, L, V): logits of the next token · `choice` (B, C): how well each choice fits."""

    lm: Tensor
    choice: Tensor


class DoubleHeads(nn.Module):
    """Asked with choices (B, C, L), a language model that also says which of them fits; else a language model.

    https://arxiv.org/abs/1901.08149
    """

    writes = True

    def __init__(self, lm: LanguageModel, choice: PerSequence):
        super().__init__()
        self.lm, self.choice = lm, choice

    def forward(self, x: Tensor, tokens: Linear, mask: Mask, places: Tensor | None = None) -> Tensor | Doubled:
        logits = self.lm(x, tokens, mask)
        return Doubled(logits, self.choice(x, tokens, mask, places)) if x.dim() == 4 else logits


class Pretrained(NamedTuple):
    """`mlm` (B, L, V): logits of what stands at each place · `nsp` (B, 2): whether the second sentence follows the first, or does not."""

    mlm: Tensor
    nsp: Tensor


class Pretraining(nn.Module):
    """BERT's two tasks: the masked words, and the next sentence (ALBERT: the sentences' order)."""

    writes = False

    def __init__(self, mlm: MaskedLanguageModel, nsp: PerSequence):
        super().__init__()
        self.mlm, self.nsp = mlm, nsp

    def forward(self, x: Tensor, tokens: Linear, mask: Mask, places: Tensor | None = None) -> Pretrained:
        return Pretrained(self.mlm(x, tokens, mask), self.nsp(x, tokens, mask))


def first_of(x: Tensor, mask: Mask) -> Tensor:
    """x (..., L, D) -> (..., D) at the first token; a packed row (T, D) -> (documents, D)."""
    return x[..., 0, :] if mask.starts is None else x[mask.starts[:-1].to(x.device)]


def mean_of(x: Tensor, mask: Mask) -> Tensor:
    """x (..., L, D) -> (..., D), the mean over the real tokens; a packed row (T, D) -> (documents, D). Each by itself, so that its bits
    do not depend on the others."""
    if mask.starts is not None:
        return torch.stack([each.mean(0) for each in x.split(mask.starts.diff().tolist())])
    if mask.lengths is None:
        return x.mean(-2)
    rows, lengths = x.reshape(-1, *x.shape[-2:]), mask.lengths.flatten().tolist()
    return torch.stack([row[: max(1, n)].mean(0) for row, n in zip(rows, lengths, strict=True)]).view(*x.shape[:-2], -1)


def last_of(x: Tensor, mask: Mask, places: Tensor | None = None) -> Tensor:
    """x (..., L, D) -> (..., D) at the last real token, or at `places` (...); a packed row (T, D) -> (documents, D)."""
    if places is None:
        if mask.starts is not None:
            return x[mask.starts[1:].to(x.device) - 1]
        if mask.lengths is None:
            return x[..., -1, :]
        places = (mask.lengths - 1).clamp(min=0)
    return x.gather(-2, places.to(x.device)[..., None, None].expand(*x.shape[:-2], 1, x.shape[-1]))[..., 0, :]


def found(logits: Tensor, ids: Tensor) -> Tensor:
    """logits (B, L - 1, V) of what follows each token but the last, ids (B, L) -> (B, L) log-probability of each token; 0 for the first."""
    return F.pad(F.log_softmax(logits.float(), -1).gather(-1, ids[:, 1:, None])[..., 0], (1, 0))

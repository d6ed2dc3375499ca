"""Networks that read token after token and keep what they read in a state of fixed size.

    RNN   h' = tanh(W x + b + U h)                                       Elman 1990, https://doi.org/10.1207/s15516709cog1402_1
    GRU   r, z = σ(W x + U h),  n = tanh(W x + r · U h),  h' = (1 - z) n + z h            Cho et al. 2014, https://arxiv.org/abs/1406.1078
    LSTM  i, f, o = σ(W x + U h),  g = tanh(W x + U h),  c' = f c + i g,  h' = o tanh c'  Hochreiter and Schmidhuber 1997,
          https://doi.org/10.1162/neco.1997.9.8.1735, the forget gate by Gers et al. 2000

B batch · L tokens · D width of the input · H width of the state · S vectors a state has · V vocabulary
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .cache import StateCache
from .dropout import dropout
from .embedding import Embedding
from .heads import last_of
from .history import admit_rows, refuse_source
from .linear import Linear, activate, linear
from .mask import Mask
from .models import Model

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
"""Products of one width in each cell, in torch's order: GRU r, z, n and LSTM i, f, g, o."""
VECTORS = {"rnn": 1, "gru": 1, "lstm": 2}
"""Vectors in the state of each cell: h, and in an LSTM the c it is read from."""


class Layer(nn.Module):
    """x (B, L, D) -> h (B, L, H). The reset gate acts on U h + b, as in torch and cuDNN, so U has a bias in a GRU."""

    def __init__(self, cell: str, inputs: int, hidden: int):
        super().__init__()
        self.cell, self.hidden = cell, hidden
        widths = (hidden,) * GATES[cell]
        self.input = Linear(inputs, sum(widths), widths=widths)
        self.state = Linear(hidden, sum(widths), bias=cell == "gru", widths=widths)

    def initialise(self) -> None:
        """Orthogonal U, so that signals neither grow nor fade over time; an LSTM begins by remembering (forget bias 1)."""
        for gate in self.state.weight.detach().split(self.hidden):
            nn.init.orthogonal_(gate)
        if self.cell == "lstm" and self.input.bias is not None:
            nn.init.ones_(self.input.bias.detach()[self.hidden : 2 * self.hidden])

    def fused(self, x: Tensor) -> Tensor:
        """The whole sequence from an empty state in torch's own kernel, with gradients; several times faster than a loop."""
        return self.read(x, x.new_zeros(VECTORS[self.cell], len(x), self.hidden))[0]

    def read(self, x: Tensor, state: Tensor, counts: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`steps` in torch's own kernel; `counts` of at least one token a row. What padding makes is 0."""
        no_bias = x.new_zeros(self.input.outputs)
        weights = [self.input.matrix(), self.state.matrix(), *(no_bias if p.bias is None else p.bias for p in (self.input, self.state))]
        setting = (True, 1, 0.0, torch.is_grad_enabled(), False)  # biases, layers, dropout, train, two directions
        order = None if counts is None else counts.argsort(descending=True, stable=True)
        state = state if order is None else state[:, order]
        begin = state.unsqueeze(1).unbind() if self.cell == "lstm" else state  # (h, c), each (1, B, H)
        call = {"rnn": torch.rnn_tanh, "gru": torch.gru, "lstm": torch.lstm}[self.cell]
        with _quietly() if x.is_cuda else nullcontext():
            if counts is None or order is None:
                h, *ends = call(x, begin, weights, *setting, True)  # batch first
                return h, torch.cat(ends)
            rows = pack_padded_sequence(x[order], counts[order].cpu(), batch_first=True)
            data, *ends = call(rows.data, rows.batch_sizes, begin, weights, *setting)
        h, _ = pad_packed_sequence(rows._replace(data=data), batch_first=True, total_length=x.shape[1])
        back = order.argsort()
        return h[back], torch.cat(ends)[:, back]

    def steps(self, x: Tensor, state: Tensor, counts: Tensor | None, exact: bool) -> tuple[Tensor, Tensor]:
        """x (B, L, D) after `state` (S, B, H) -> (h (B, L, H), state of each row after its own `counts` tokens): one step a token."""
        given, out = self.input(x), []  # (B, L, gates · H): what does not depend on the state, at once
        for t in range(x.shape[1]):
            new = self.step(given[:, t], state, exact)
            out.append(new[0])
            state = new if counts is None else torch.where((t < counts)[:, None], new, state)
        return torch.stack(out, 1), state

    def step(self, given: Tensor, state: Tensor, exact: bool) -> Tensor:
        """given (B, gates · H) = W x + b, state (S, B, H) -> the next state; its first vector is the output."""
        h, kept = state[0], linear(state[0], self.state)
        if self.cell == "rnn":
            return activate(given + kept, "tanh", exact)[None]
        if self.cell == "gru":
            gates, w = (given + kept)[:, : 2 * self.hidden], 2 * self.hidden
            r, z = activate(gates, "sigmoid", exact).chunk(2, -1)
            n = activate(given[:, w:] + r * kept[:, w:], "tanh", exact)
            return (n + z * (h - n))[None]
        i, f, g, o = (given + kept).chunk(4, -1)
        i, f, o = (activate(gate, "sigmoid", exact) for gate in (i, f, o))
        c = f * state[1] + i * activate(g, "tanh", exact)
        return torch.stack([o * activate(c, "tanh", exact), c])


@dataclass
class Reading:
    """What one call is about."""

    mask: Mask  # as the caller gave it, for the head
    counts: Tensor | None  # (B,) real tokens of each row
    places: Tensor | None = None
    cache: StateCache | None = None  # the states so far; None: the whole sequence is read at once


class Recurrent(Model):
    """Token vectors, recurrent layers and a head.

    Dropout acts between layers and never along time, https://arxiv.org/abs/1409.2329.
    """

    def __init__(self, embed: Embedding, layers: list[Layer], head: nn.Module, *, context: int, dropout: float = 0.0):
        super().__init__()
        self.embed, self.blocks, self.head = embed, nn.ModuleList(layers), head
        self.layers, self.context, self.dropout = layers, context, dropout

    def initialise(self) -> None:
        """Each layer's own fresh weights."""
        for layer in self.layers:
            layer.initialise()

    def begin(self, batch: int, length: int, source: Tensor | None = None, mask: Mask | None = None) -> StateCache:
        """Empty states for `batch` rows that may read `length` tokens each; their size does not depend on it. There is no source."""
        refuse_source(source, mask)
        self.must_write()
        return self._empty(batch, length)

    def _empty(self, batch: int, length: int) -> StateCache:
        first = self.layers[0]
        return StateCache(len(self.layers), VECTORS[first.cell], batch, first.hidden, min(length, self.context), self.tokens.like)

    def forward(
        self,
        ids: Tensor,
        mask: Mask | None = None,
        *,
        places: Tensor | None = None,
        cache: StateCache | None = None,
        maps: list | None = None,
        last: bool = False,
    ) -> Any:
        """ids (B, L) or choices (B, C, L) -> what the head says: logits (B, L, V) of a language model; `last`: only at each row's last real
        token, (B, V). `places` (B, C): the token each choice is judged by.

        With a cache the rows go on from their states, and each row's state stops at its own `mask.lengths`.
        """
        if last:
            self.must_write()
        answer = self.compute(ids, self.prepare(ids, mask, places=places, cache=cache, maps=maps), last)
        if cache is not None:
            cache.close()
        return answer

    def prepare(
        self,
        ids: Tensor,
        mask: Mask | None = None,
        *,
        places: Tensor | None = None,
        cache: StateCache | None = None,
        maps: list | None = None,
    ) -> Reading:
        """What to read after which states; the cache is open. InputError when it cannot be read."""
        given = mask or Mask()
        rows, mask = admit_rows(ids, given, cache, context=self.context, vocab=self.tokens.outputs, maps=maps)
        if cache is not None:
            cache.open(rows.shape[1], mask.lengths)
        elif self.packed:
            cache = self._empty(*rows.shape)
        return Reading(given, None if mask.lengths is None else mask.lengths.to(ids.device), places, cache)

    def compute(self, ids: Tensor, call: Reading, last: bool = False) -> Any:
        """ids -> what the head says; the states after the new tokens are in the cache."""
        x = self._states(ids, call)
        return self.head(last_of(x, call.mask) if last else x, self.tokens, call.mask, call.places)

    def states(self, ids: Tensor, mask: Mask | None = None) -> Tensor:
        """ids (B, L) or choices (B, C, L) -> (..., D): what the head reads."""
        return self._states(ids, self.prepare(ids, mask))

    def _states(self, ids: Tensor, call: Reading) -> Tensor:
        x = dropout(self.tokens.rows(ids.reshape(-1, ids.shape[-1])), self.dropout, self.training)  # (B, L, D)
        if call.cache is None:
            for layer in self.layers:
                x = dropout(layer.fused(x), self.dropout, self.training)  # (B, L, H)
        else:
            states = []
            for layer, state in zip(self.layers, call.cache.states, strict=True):
                x, state = layer.steps(x, state, call.counts, self.packed)
                states.append(state)
            call.cache.states = states
        return x.view(*ids.shape, -1)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without cuDNN's word that our matrices are not one piece of memory: it copies them together, which costs little."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
        yield

"""ids -> vectors: the token's, plus the position's and the segment's where a family has them; normalised and widened where it does so.

B batch · L tokens · D width · V vocabulary
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ..base.errors import InputError
from .dropout import dropout
from .linear import Linear
from .position import Learned, Sinusoidal


class Embedding(nn.Module):
    """`tokens` is a (V, D) matrix whose rows are looked up here, and which a tied head multiplies with.

    `types`: how many kinds of segment there are, each with a vector (BERT's sentence A and B); "tokens" where a kind is named by a token
    and has its vector (speakers, https://arxiv.org/abs/1901.08149). `project`: the width to bring D to, https://arxiv.org/abs/1909.11942.
    `scale`: what token vectors are multiplied by, √D in https://arxiv.org/abs/1706.03762 section 3.4, where they are also one matrix with
    those of another embedding: `tokens`.
    """

    def __init__(
        self,
        vocab: int,
        dim: int,
        *,
        tokens: Linear | None = None,
        scale: float = 1.0,
        positions: Learned | Sinusoidal | None = None,
        types: int | Literal["tokens"] = 0,
        norm: nn.Module | None = None,
        project: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.tokens = Linear(dim, vocab, bias=False) if tokens is None else tokens
        self.scale = scale
        self.positions = positions
        self.types = nn.Embedding(types, dim) if isinstance(types, int) and types else None
        self.named_types = types == "tokens"
        self.norm = norm
        self.project = None if project is None else Linear(dim, project)
        self.dropout = dropout

    def forward(self, ids: Tensor, positions: Tensor, types: Tensor | None = None) -> Tensor:
        """ids, types (B, L) -> (B, L, D); without types all tokens are of kind 0. InputError when an id is not a row."""
        x = self.tokens.rows(ids)  # (B, L, D)
        x = x if self.scale == 1 else x * self.scale
        if self.types is not None:
            x = x + (self.types.weight[0] if types is None else self._kind(types, self.types))
        elif types is not None:
            if not self.named_types:
                raise InputError("this model does not tell kinds of tokens apart: leave types out")
            x = x + self.tokens.rows(types)
        if self.positions is not None:
            x = x + self.positions(positions).to(x.dtype)  # a table of waves stays in float32
        x = dropout(x if self.norm is None else self.norm(x), self.dropout, self.training)
        return x if self.project is None else self.project(x)

    @staticmethod
    def _kind(types: Tensor, table: nn.Embedding) -> Tensor:
        try:
            return table(types)
        except IndexError:
            wrong = types[(types < 0) | (types >= table.num_embeddings)].flatten()[0].item()
            raise InputError(f"token type {wrong} is out of range: this model knows types 0 to {table.num_embeddings - 1}") from None

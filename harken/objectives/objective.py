"""What a training signal must offer: a loss to learn from, and the same in nats to measure by.

`causal`, `instruct`, `masked` and `seq2seq` are modules with these two functions; what a row is, only the source and its objective know.
Span corruption and denoising are sequence to sequence once a text is broken. Those of labelled examples (`classification`, `tagging`,
`span`, `ranking`, `contrastive`) say with the loss what the model would answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..data.batches import Source
from ..data.corrupted import Masked, Noised
from ..data.laid import Alike, Answers, Classes, Gains, Laid, Tags
from ..data.ledger import Ledger
from ..data.pairs import PairSpans
from ..data.replies import Replies
from ..data.turns import Turns
from ..nn.models import Model
from ..text.tokenizer import Tokenizer
from . import causal, classification, contrastive, double, instruct, masked, ranking, seq2seq, span, tagging
from .causal import Loss
from .judging import Outcome


class Objective(Protocol):
    """One training signal."""

    def batch_loss(self, model: Model, source: Any, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
        """The summed loss of some rows, differentiable. InputError, or a loss of 0 tokens, when there is nothing to learn from."""
        ...

    def nats(self, model: Model, source: Any, rows: np.ndarray, pad: int) -> tuple[float, int]:
        """(summed negative log-probability of the targets of some rows, how many they are)."""
        ...


class Judging(Protocol):
    """A training signal of examples that are judged."""

    def batch_loss(self, model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Loss:
        """The summed loss of some examples (B, 3), differentiable; of 0 targets when there is nothing to learn from."""
        ...

    def outcomes(self, model: Model, source: Laid, rows: np.ndarray, pad: int, *, pack: bool = False) -> Outcome:
        """The same as a number, and what the model would answer."""
        ...


class Labelled(Judging, Protocol):
    """A training signal of labelled examples."""

    def lay(
        self,
        examples: Any,
        tokenizer: Tokenizer,
        labels: Sequence[str],
        problem: str,
        context: int,
        ledger: Ledger,
        *,
        overflow: str | None = None,
        stage: str = "tokens",
    ) -> Laid:
        """Examples as they are read; the ledger's `stage` tells what became of them and adds up."""
        ...


LABELLED: dict[str, Labelled] = {
    "classification": classification,
    "token-classification": tagging,
    "span": span,
    "ranking": ranking,
    "similarity": contrastive,
}
"""Tasks of labelled examples."""
_GOALS: dict[type, Judging] = {
    Classes: classification,
    Tags: tagging,
    Answers: span,
    Gains: ranking,
    Alike: contrastive,
    Replies: double,
}


def judging_of(source: Laid) -> Judging:
    """The training signal of examples with this goal."""
    return _GOALS[type(source.goal)]


def packs(model: Model, source: Source) -> bool:
    """Whether a model reads rows of this source end to end."""
    return model.packs_pairs if isinstance(source, PairSpans | Noised) else model.packs


def objective_of(source: Source) -> Any:
    """The training signal that rows of this source are made for: an `Objective`; one that is `Judging` where they are labelled."""
    if isinstance(source, Laid):
        return judging_of(source)
    if isinstance(source, Masked):
        return masked
    if isinstance(source, Turns):
        return instruct
    return seq2seq if isinstance(source, PairSpans | Noised) else causal

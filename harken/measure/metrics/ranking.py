"""The right candidates among many, by their scores: mean reciprocal rank, nDCG@k, hits@k and recall@k, in 0–1.

MRR = mean of 1 / rank of the first right one · DCG@k = Σ gain / log₂(rank + 1) over the first k, nDCG that over the best possible
(Järvelin and Kekäläinen, 2002, https://doi.org/10.1145/582415.582418; gains as they are, as trec_eval and BEIR have it) · hits@k = share
of queries with a right one among the first k (hits@1 of ConvAI2) · recall@k = share of the right ones among the first k.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...base.errors import InputError


class Ranking:
    """The scores of a query's candidates against their gains: 0 wrong, 1 right, more for better.

    Of equal scores the lesser gain comes first: a model that scores everything alike has found nothing. There may be more gains than
    scores: those of right candidates that were not retrieved. InputError for a query without a right candidate, which no ranking can find.
    """

    kind = "float64"

    def __init__(self, k: Sequence[int] = (1, 3, 10)) -> None:
        if not k or min(k) < 1:
            raise InputError(f"k is {list(k)}; the first k candidates are 1 or more")
        self.k = tuple(sorted(set(k)))
        self._names = ["mrr", *(f"{name}@{each}" for name in ("ndcg", "hits", "recall") for each in self.k)]

    def row(self, prediction: Sequence[float], reference: Sequence[float]) -> list[float]:
        scores, gains = np.asarray(prediction, float), np.asarray(reference, float)
        if len(gains) < len(scores):
            raise InputError(f"{len(scores):,} scores stand against {len(gains):,} gains: there must be one for each candidate")
        if not (gains > 0).any() or (gains < 0).any() or np.isnan(scores).any():
            raise InputError("no candidate is right, a gain is below 0, or a score is not a number: mend the query or leave it out")
        found = gains[np.lexsort((gains[: len(scores)], -scores))]
        right, best = found > 0, np.sort(gains)[::-1]
        first = 1 / (1 + right.argmax()) if right.any() else 0.0
        shares = [_gain(found[:k]) / _gain(best[:k]) for k in self.k]
        hits = [float(right[:k].any()) for k in self.k]
        return [first, *shares, *hits, *(right[:k].sum() / (gains > 0).sum() for k in self.k)]

    def value(self, rows: np.ndarray) -> dict[str, float]:
        return dict(zip(self._names, rows.mean(0).tolist(), strict=True))

    def signature(self, rows: np.ndarray) -> str:
        return "ranking|gain:linear|ties:worst"


def _gain(gains: np.ndarray) -> float:
    return float(gains @ (1 / np.log2(np.arange(2, len(gains) + 2))))

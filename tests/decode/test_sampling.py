"""What is drawn has the distribution that transformers draws from; 100,000 draws pass a chi-square test."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers.generation import logits_process as theirs

from harken.decode.options import DecodeOptions
from harken.decode.plan import drawing
from harken.decode.processors import apply
from harken.decode.sample import Chance, draw

V, DRAWS = 40, 100_000  # in each case
CASES: list[tuple[dict[str, Any], list[Any]]] = [
    ({}, []),
    ({"temperature": 0.6}, [theirs.TemperatureLogitsWarper(0.6)]),
    ({"temperature": 1.7, "top_k": 12}, [theirs.TemperatureLogitsWarper(1.7), theirs.TopKLogitsWarper(12)]),
    ({"top_k": 20, "top_p": 0.8}, [theirs.TopKLogitsWarper(20), theirs.TopPLogitsWarper(0.8)]),
    ({"min_p": 0.05, "temperature": 1.2}, [theirs.TemperatureLogitsWarper(1.2), theirs.MinPLogitsWarper(0.05)]),
    ({"typical_p": 0.7}, [theirs.TypicalLogitsWarper(0.7)]),
    ({"epsilon_cutoff": 0.01}, [theirs.EpsilonLogitsWarper(0.01)]),
    ({"eta_cutoff": 0.02}, [theirs.EtaLogitsWarper(0.02)]),
]


def quantile(freedom: int) -> float:
    """What chi-square passes by chance once in 10,000 times (Wilson and Hilferty's approximation)."""
    return freedom * (1 - 2 / (9 * freedom) + 3.719 * math.sqrt(2 / (9 * freedom))) ** 3


@pytest.mark.parametrize(("asked", "chain"), CASES, ids=lambda value: " ".join(value) if isinstance(value, dict) else "")
def test_draws_have_the_distribution_of_transformers(asked: dict[str, Any], chain: list[Any]) -> None:
    logits = torch.randn(1, V, generator=torch.Generator().manual_seed(5)) * 2
    wanted = logits
    for warper in chain:
        wanted = warper(torch.zeros(1, 1, dtype=torch.int64), wanted)
    p = wanted.double().softmax(-1)[0].numpy()
    filters, counts = tuple(drawing(DecodeOptions(**asked), 1)), np.zeros(V)
    scores = apply(filters, logits, [])
    for at in range(0, DRAWS, 10_000):
        chances = torch.tensor([Chance(3, [7, 8], n).at(0) for n in range(at, at + 10_000)], dtype=torch.float64)
        counts += np.bincount(draw(scores.expand(len(chances), -1), chances).numpy(), minlength=V)
    kept = p > 0
    assert counts[~kept].sum() == 0
    assert ((counts[kept] - DRAWS * p[kept]) ** 2 / (DRAWS * p[kept])).sum() < quantile(int(kept.sum()) - 1)


def test_what_cannot_be_is_never_drawn() -> None:
    scores = torch.full((3, 6), float("-inf"))
    scores[:, [1, 4]] = 0.0
    found = draw(scores, torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64))
    assert found.tolist() == [1, 4, 4]


def test_chance_is_a_function_of_seed_prompt_sample_and_step() -> None:
    chance = Chance(1, [3, 4], 0)
    assert chance.at(5) == Chance(1, [3, 4], 0).at(5) and (chance.many(2, 4) == Chance(1, [3, 4], 0).many(2, 4)).all()
    others = {Chance(2, [3, 4], 0).at(5), Chance(1, [3, 5], 0).at(5), Chance(1, [3, 4], 1).at(5), chance.at(6)}
    assert len(others | {chance.at(5)}) == 5


@pytest.mark.parametrize("size", [50, 20_000])
def test_rows_are_drawn_together_as_they_are_alone(size):
    random = torch.Generator().manual_seed(0)
    scores, chances = torch.randn(7, size, generator=random) * 3, torch.rand(7, dtype=torch.float64, generator=random)
    together = draw(scores, chances)
    assert together.tolist() == [int(draw(scores[i : i + 1], chances[i : i + 1])) for i in range(7)]
    reached = scores.double().softmax(-1).cumsum(-1)
    for row, (token, chance) in enumerate(zip(together.tolist(), chances.tolist(), strict=True)):
        assert (reached[row, token - 1] if token else 0.0) <= chance + 1e-9 and chance <= reached[row, token] + 1e-9

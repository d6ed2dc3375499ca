"""A model that sees only its last tokens keeps only those: the same bits as a reading of the whole text, in bounded memory."""

from __future__ import annotations

import random

import pytest
import torch

from harken.base.errors import InputError
from harken.families.mistral import MistralConfig
from harken.families.table import build
from harken.nn.cache import KeyValueCache
from harken.nn.mask import Mask
from harken.nn.window import WindowCache

WINDOW, CONTEXT = 5, 200


@pytest.fixture(scope="module")
def model():
    config = MistralConfig.sized(32, 3, 2, CONTEXT, 50, 0.0)
    config.sliding_window, config.initializer_range = WINDOW, 0.3
    made = build(config, seed=1).requires_grad_(False)
    made.pack()
    return made


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(50, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("portions", [[60], [1] * 60, [7, 1, 1, 11, 40], [59, 1], [30, 30]])
def test_portions(model, portions):
    ids = some(3, 60)
    cache = model.begin(3, 60)
    assert isinstance(cache, WindowCache)
    assert torch.equal(torch.cat([model(part, cache=cache) for part in ids.split(portions, 1)], 1), model(ids))


def test_ragged_rows_that_come_and_go(model):
    rng = random.Random(0)
    for _ in range(30):
        rows = rng.randint(1, 4)
        ids = some(rows, 100, seed=rng.randint(0, 99))
        cache, done, who = model.begin(rows, 100), [0] * rows, list(range(rows))
        for _ in range(rng.randint(2, 30)):
            counts = [rng.choice([0, 1, 1, 1, rng.randint(0, 9)]) for _ in who]
            counts = [min(count, 100 - done[i]) for i, count in zip(who, counts, strict=True)]
            if not any(counts):
                continue
            part = torch.ones(len(who), max(counts), dtype=torch.int64)
            for place, (i, count) in enumerate(zip(who, counts, strict=True)):
                part[place, :count] = ids[i, done[i] : done[i] + count]
            found = model(part, Mask(lengths=torch.tensor(counts)), cache=cache)
            for place, (i, count) in enumerate(zip(who, counts, strict=True)):
                if count:
                    assert torch.equal(found[place, :count], model(ids[i : i + 1, : done[i] + count])[0, done[i] :])
                done[i] += count
            if rng.random() < 0.2:
                kept = sorted(rng.sample(range(len(who)), rng.randint(1, len(who))))
                cache.select(torch.tensor(kept))
                who = [who[k] for k in kept]


def test_memory_is_that_of_the_window(model):
    cache = model.begin(2, CONTEXT)
    before = cache.nbytes
    for token in some(CONTEXT, 2):
        model(token[:, None], cache=cache)
    assert cache.lengths.tolist() == [CONTEXT] * 2
    assert cache.nbytes == before == 2 * 3 * 2 * 2 * 16 * (2 * WINDOW + 1) * 4  # keys and values, layers, rows, heads, width, slots, bytes


def test_what_was_let_go_cannot_come_back(model):
    ids = some(1, 40)
    cache = model.begin(1, CONTEXT)
    for token in ids[0, :30]:
        model(token[None, None], cache=cache)
    cache.trim(torch.tensor([29]))
    assert torch.equal(model(ids[:, 29:33], cache=cache), model(ids[:, :33])[:, 29:])
    with pytest.raises(InputError, match="cannot go back that far"):
        cache.trim(torch.tensor([10]))
    cache.trim(torch.tensor([0]))
    assert torch.equal(model(ids, cache=cache), model(ids))


def test_a_window_that_is_hardly_shorter_than_the_text_saves_nothing(model):
    assert type(model.begin(1, 2 * WINDOW)) is KeyValueCache

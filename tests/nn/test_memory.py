"""What an encoder-decoder keeps of its sources: once for each, whoever writes about it, and every row as if it were alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harken.families.table import build, config_class
from harken.nn.encoder_decoder import EncoderDecoder
from harken.nn.kernels.carry import carry
from harken.nn.mask import Mask
from harken.nn.memory import SourceCache, carried

NAMES = ["marian", "bart", "t5"]
V = 61


def model_of(name: str) -> EncoderDecoder:
    made = build(config_class(name).sized(32, 2, 2, 40, V, 0.0), seed=1)
    assert isinstance(made, EncoderDecoder)
    return made.eval()


def sources(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(count)
    lengths = torch.randint(1, 30, (count,), generator=random)
    return torch.randint(3, V, (count, int(lengths.max())), generator=random), lengths


def walk(model: EncoderDecoder, exact: bool) -> None:
    """Rows fork, change places and leave; each says what it would have said alone, read at once."""
    random = np.random.default_rng(0)
    ids, lengths = sources(3)
    cache = model.begin(3, 30, ids, Mask(lengths=lengths))
    size = sum(k.nbytes + v.nbytes for k, v in cache.memory)
    texts, of = [[2], [2], [2]], [0, 1, 2]
    model(torch.tensor(texts), cache=cache)
    cache.select(torch.arange(3).repeat_interleave(4))
    assert sum(k.nbytes + v.nbytes for k, v in cache.memory) == size
    texts, of = [texts[i // 4] for i in range(12)], [i // 4 for i in range(12)]
    for step in range(12):
        new = random.integers(3, V, len(of))
        said = model(torch.from_numpy(new)[:, None], cache=cache, last=True)
        texts = [[*text, int(token)] for text, token in zip(texts, new, strict=True)]
        for row in random.integers(0, len(of), 2):
            source = ids[of[row], : lengths[of[row]]][None]
            alone = model(source, torch.tensor([texts[row]]))[0, -1]
            assert torch.equal(said[row], alone) if exact else torch.allclose(said[row], alone, atol=1e-5)
        if step == 8:  # unequally many of each source
            keep = np.flatnonzero(random.random(len(of)) < 0.7)
        else:  # as beams do; and at times a source has said it all
            gone = of[0] if step in (4, 7) else -1
            keep = np.concatenate([random.choice(np.flatnonzero(np.array(of) == n), of.count(n)) for n in dict.fromkeys(of) if n != gone])
        cache.select(torch.from_numpy(keep))
        texts, of = [texts[i] for i in keep], [of[i] for i in keep]


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_come_and_go_answer_as_if_alone(name: str) -> None:
    model = model_of(name)
    model.pack()
    walk(model, True)


@pytest.mark.parametrize("name", NAMES)
def test_so_they_do_without_the_exact_kernels(name: str) -> None:
    with torch.no_grad():
        walk(model_of(name), False)


def test_maps_of_a_cache_are_those_of_each_row() -> None:
    model, (ids, lengths) = model_of("marian"), sources(3)
    found = []
    for exact in (False, True):
        model.unpack()
        if exact:
            model.pack()
        with torch.no_grad():
            cache = model.begin(3, 8, ids, Mask(lengths=lengths))
            maps: dict[str, list] = {"encoder": [], "decoder": [], "cross": []}
            model(torch.tensor([[2, 5], [2, 6], [2, 7]]), cache=cache, maps=maps)
        found.append(maps["cross"])
    assert [one.shape for one in found[0]] == [one.shape for one in found[1]] == [(3, 2, 2, ids.shape[1])] * 2
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(*found, strict=True))


def test_many_sources_are_read_in_parts_and_each_as_if_alone() -> None:
    model, (ids, lengths) = model_of("bart"), sources(60)
    model.pack()
    together = model(torch.full((60, 1), 2), cache=model.begin(60, 4, ids, Mask(lengths=lengths)))
    assert int(lengths.sum()) > 512
    for row in (0, 17, 59):
        one = model.begin(1, 4, ids[row : row + 1, : lengths[row]])
        assert torch.equal(model(torch.tensor([[2]]), cache=one)[0], together[row])


@pytest.mark.parametrize("held", [1, 9, 20])
def test_what_is_carried_is_what_indexing_gives(held: int) -> None:
    random = np.random.default_rng(held)
    keys, values = torch.randn(6, 2, 4, 21), torch.randn(6, 2, 21, 4)
    targets, rows = np.array([0, 2, 3]), np.array([3, 0, 5])
    first = np.full(3, random.integers(0, held))
    mine, theirs = (keys.clone(), values.clone()), (keys.clone(), values.clone())
    carry(*(one.numpy() for one in mine), targets, rows, first, held)
    carried(*theirs, targets, rows, int(first[0]), held)
    assert all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))


def test_beams_copy_only_what_they_do_not_hold_alike() -> None:
    cache = SourceCache(1, 2, 1, 2, 9, torch.zeros(1))
    for _ in range(3):
        cache.open(1, None)
        cache.append(0, torch.randn(2, 1, 1, 2), torch.randn(2, 1, 1, 2))
        cache.close()
    cache.memory = [(torch.zeros(2, 1, 1, 2), torch.zeros(2, 1, 1, 2))]
    cache.select(torch.tensor([0, 0]))
    cache.open(1, None)
    cache.append(0, torch.randn(2, 1, 1, 2), torch.randn(2, 1, 1, 2))
    cache.close()
    cache.keys[0][1, 0, 0, 0] = 7.0  # a mark in what both hold alike: it must stay where it is
    want = cache.values[0][1, :, :4].clone()
    cache.select(torch.tensor([1, 1]))
    assert float(cache.keys[0][0, 0, 0, 0]) != 7.0
    assert torch.equal(cache.values[0][0, :, 3], want[:, 3])

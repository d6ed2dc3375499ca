"""The cache: whatever is read in whatever portions, the answer is that of one reading."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from harken.base.errors import InputError
from harken.nn.cache import KeyValueCache
from harken.nn.decoder import Decoder
from harken.nn.mask import Mask

Tiny = Callable[[str], Decoder]
CASES = [(name, packed) for name in ("gpt2", "llama", "llama-odd", "gpt", "qwen3") for packed in (True, False)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{'packed' if case[1] else 'plain'}")
def model(request: pytest.FixtureRequest, tiny: Tiny) -> Decoder:
    """Packed models must agree to the bit, the others closely."""
    name, packed = request.param
    made = tiny(name).requires_grad_(False)
    if packed:
        made.pack()
    return made


def ids_of(model: Decoder, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(model.config.vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def agree(model: Decoder, got: torch.Tensor, want: torch.Tensor) -> None:
    if model.packed:
        assert torch.equal(got, want)
    else:
        torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("portions", [[12], [1] * 12, [5, 1, 1, 5], [11, 1], [2, 10]])
def test_portions(model: Decoder, portions: list[int]) -> None:
    ids = ids_of(model, 3, 12)
    cache, parts = model.begin(3, 12), []
    for part in ids.split(portions, 1):
        parts.append(model(part, cache=cache))
    agree(model, torch.cat(parts, 1), model(ids))
    assert cache.lengths.tolist() == [12] * 3


def ragged(model: Decoder, cache: KeyValueCache, portions: list[list[int]], wide: int = 0) -> None:
    """Every row reads its own numbers of tokens at once, and each real token gets the logits of the row read alone."""
    total = torch.tensor(portions).sum(0)
    ids = ids_of(model, len(total), int(total.max()))
    want = [model(row[None, :count])[0] for row, count in zip(ids, total, strict=True)]
    done = torch.zeros_like(total)
    for counts in torch.tensor(portions):
        width = int(counts.max()) + wide
        part = torch.full((len(counts), width), 1)
        for row, (start, count) in enumerate(zip(done, counts, strict=True)):
            part[row, :count] = ids[row, start : start + count]
        got = model(part, Mask(lengths=counts), cache=cache)
        for row, (start, count) in enumerate(zip(done, counts, strict=True)):
            agree(model, got[row, :count], want[row][start : start + count])
        done = done + counts
        assert cache.lengths.tolist() == done.tolist()


@pytest.mark.parametrize(
    "portions", [[[5, 2, 9], [1, 1, 1], [1, 1, 1]], [[3, 7, 1], [4, 1, 6], [1, 2, 0], [2, 0, 3]], [[4, 4, 4], [2, 2, 1], [3, 3, 3]]]
)
@pytest.mark.parametrize("wide", [0, 3])
def test_ragged_rows(model: Decoder, portions: list[list[int]], wide: int) -> None:
    ragged(model, model.begin(3, 20), portions, wide)


def test_padding_may_reach_beyond_the_room(model: Decoder) -> None:
    ragged(model, model.begin(2, 4), [[2, 1], [1, 2], [1, 1]], wide=3)  # widths 5, 5, 4; five slots in all
    ragged(model, model.begin(2, 32), [[20, 9], [12, 3]], wide=20)


def test_last_is_the_last_real_token(model: Decoder) -> None:
    ids, lengths = ids_of(model, 3, 8), torch.tensor([8, 3, 5])
    cache = model.begin(3, 12)
    every = model(ids, Mask(lengths=lengths))
    agree(model, model(ids, Mask(lengths=lengths), cache=cache, last=True), every[torch.arange(3), lengths - 1])
    agree(model, model(ids, last=True), model(ids)[:, -1])


def test_select_repeats_reorders_and_drops(model: Decoder) -> None:
    ids, lengths = ids_of(model, 4, 6), torch.tensor([6, 2, 4, 1])
    cache = model.begin(4, 10)
    model(ids, Mask(lengths=lengths), cache=cache)
    rows, more = torch.tensor([2, 0, 2]), ids_of(model, 3, 2, seed=1)
    cache.select(rows)
    assert cache.lengths.tolist() == [4, 6, 4]
    got = model(more, cache=cache)
    for place, row in enumerate(rows):
        whole = torch.cat([ids[row, : lengths[row]], more[place]])[None]
        agree(model, got[place], model(whole)[0, -2:])
    cache.select(torch.tensor([1]))
    assert cache.lengths.tolist() == [8]
    agree(model, model(more[:1, :1], cache=cache)[0], model(torch.cat([ids[0], more[1], more[0, :1]])[None])[0, -1:])


def test_snapshot_and_restore(model: Decoder) -> None:
    ids, lengths = ids_of(model, 2, 5), torch.tensor([5, 3])
    cache = model.begin(2, 12)
    model(ids, Mask(lengths=lengths), cache=cache)
    before = cache.snapshot()
    step = ids_of(model, 2, 3, seed=1)
    first = model(step, cache=cache)
    model(ids_of(model, 2, 2, seed=2), cache=cache)
    cache.restore(before)
    assert cache.lengths.tolist() == [5, 3]
    agree(model, model(step, cache=cache), first)
    assert before.tolist() == [5, 3]


def test_trim(model: Decoder) -> None:
    ids = ids_of(model, 2, 8)
    cache = model.begin(2, 12)
    model(ids, cache=cache)
    cache.trim(torch.tensor([3, 20]))
    assert cache.lengths.tolist() == [3, 8]
    step = ids_of(model, 2, 2, seed=1)
    got = model(step, cache=cache)
    agree(model, got[0], model(torch.cat([ids[0, :3], step[0]])[None])[0, -2:])
    agree(model, got[1], model(torch.cat([ids[1], step[1]])[None])[0, -2:])


def test_a_refused_call_leaves_the_cache_as_it_was(model: Decoder) -> None:
    ids = ids_of(model, 2, 4)
    cache = model.begin(2, 6)
    model(ids, cache=cache)
    with pytest.raises(InputError, match=r"the cache has room for 6 tokens a row and 7 are needed"):
        model(ids[:, :3], cache=cache)
    with pytest.raises(InputError, match="token id"):
        model(torch.full((2, 1), 10_000), cache=cache)
    with pytest.raises(InputError, match="the cache holds 2 rows, the batch has 3"):
        model(ids_of(model, 3, 1), cache=cache)
    with pytest.raises(InputError, match=r"must lie within 0 to 2, the width of the batch: \[3, 1\]"):
        model(ids[:, :2], Mask(lengths=torch.tensor([3, 1])), cache=cache)
    with pytest.raises(InputError, match="a packed row cannot be read into a cache"):
        model(ids[:1].flatten(), Mask(starts=torch.tensor([0, 4])), cache=model.begin(1, 8))
    assert cache.lengths.tolist() == [4, 4]
    agree(model, model(ids[:, :2], cache=cache), model(torch.cat([ids, ids[:, :2]], 1))[:, -2:])


def test_a_model_reads_no_more_than_its_context(model: Decoder) -> None:
    cache = model.begin(1, 1000)
    assert cache.size == 32
    model(ids_of(model, 1, 32), cache=cache)
    with pytest.raises(InputError, match="a sequence of 33 tokens does not fit: this model reads at most 32"):
        model(ids_of(model, 1, 1), cache=cache)


def test_no_source(model: Decoder) -> None:
    with pytest.raises(InputError, match="takes no source"):
        model.begin(1, 4, source=torch.zeros(1, 2, dtype=torch.int64))


def test_nbytes() -> None:
    cache = KeyValueCache(layers=3, batch=2, groups=4, width=8, size=15, like=torch.empty(0))
    assert cache.nbytes == 2 * 3 * 2 * 4 * 8 * 16 * 4
    cache.select(torch.tensor([1]))
    assert cache.nbytes == 3 * 2 * 4 * 8 * 16 * 4

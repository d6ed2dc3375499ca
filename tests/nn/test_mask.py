"""Masks: the intervals say exactly what their definition says, one key at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from harken.base.errors import InputError
from harken.nn.mask import Mask, dense

windows = st.none() | st.integers(1, 7)


def sees(mask: Mask, row: int, position: int, key: int) -> bool:
    """The definition: may the query at `position` of `row` look at `key`?"""
    if mask.causal and key > position:
        return False
    if mask.window is not None and abs(position - key) >= mask.window:
        return False
    if mask.lengths is not None and key >= int(mask.lengths[row]):
        return False
    if mask.starts is not None:
        before = [int(start) for start in mask.starts]
        return sum(start <= position for start in before) == sum(start <= key for start in before)
    return True


def check(mask: Mask, positions: torch.Tensor, keys: int, real: torch.Tensor) -> None:
    start, stop = mask.intervals(positions, keys)
    assert start.shape == stop.shape == positions.shape and start.dtype == stop.dtype == torch.int64
    assert (start >= 0).all() and (start <= stop).all() and (stop <= keys).all()
    allowed = dense(start, stop, keys)
    assert allowed.shape == (positions.shape[0], 1, positions.shape[1], keys)
    for row, places in enumerate(positions.tolist()):
        for query, position in enumerate(places):
            if real[row, query]:
                assert allowed[row, 0, query].tolist() == [sees(mask, row, position, key) for key in range(keys)]


@given(st.booleans(), windows, st.booleans(), st.integers(1, 12), st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_padded_rows(causal: bool, window: int | None, padded: bool, length: int, lengths: list[int]) -> None:
    counts = torch.tensor(lengths).clamp(max=length)
    positions = torch.arange(length).expand(len(lengths), length)
    real = positions < counts[:, None] if padded else torch.ones_like(positions, dtype=torch.bool)
    check(Mask(causal, window, counts if padded else None), positions, length, real)


@given(st.booleans(), windows, st.lists(st.integers(1, 6), min_size=1, max_size=5), st.sampled_from([torch.int32, torch.int64]))
def test_packed_rows(causal: bool, window: int | None, documents: list[int], dtype: torch.dtype) -> None:
    starts = torch.tensor([0, *documents], dtype=dtype).cumsum(0, dtype=dtype)
    total = sum(documents)
    positions = torch.arange(total)[None]
    mask = Mask(causal, window, starts=starts)
    check(mask, positions, total, torch.ones_like(positions, dtype=torch.bool))
    assert mask.document_positions().tolist() == [place for count in documents for place in range(count)]


@given(windows, st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 6), st.integers(0, 3))
@example(window=1, held=[9, 2], new=5, short=3)
def test_rows_that_go_on(window: int | None, held: list[int], new: int, short: int) -> None:
    """Cached rows of different lengths; `short`: padding may stand behind the last key."""
    positions = torch.tensor(held)[:, None] + torch.arange(new)
    keys = max(1, max(held) + new - short)
    check(Mask(True, window), positions, keys, positions < keys)


def test_with_causal_keeps_the_rest_and_the_narrower_window() -> None:
    lengths = torch.tensor([3])
    mask = Mask(window=5, lengths=lengths).with_causal(3)
    assert mask.causal and mask.window == 3 and mask.lengths is lengths
    assert Mask(window=2).with_causal(3).window == 2
    assert Mask(window=2).with_causal().window == 2
    assert Mask().with_causal(4).window == 4
    assert Mask().with_causal().window is None


def test_plain() -> None:
    lengths, starts = torch.tensor([2]), torch.tensor([0, 2])
    assert Mask().plain and Mask(causal=True).plain and Mask(causal=True, lengths=lengths).plain
    assert not Mask(lengths=lengths).plain and not Mask(window=2).plain and not Mask(starts=starts).plain


def test_document_positions_need_documents() -> None:
    with pytest.raises(InputError, match=r"Mask\(starts=\.\.\.\)"):
        Mask(causal=True).document_positions()

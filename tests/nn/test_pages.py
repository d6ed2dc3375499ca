"""Room for weights: arrays side by side, none over another, each from a cache line on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harken.nn.pages import CHUNK, LINE, Pages


@given(st.lists(st.tuples(st.integers(0, 70), st.integers(1, 3_000), st.sampled_from([np.uint8, np.uint16, np.float32])), max_size=30))
def test_arrays_begin_with_a_cache_line_and_do_not_overlap(asked: list[tuple[int, int, type]]) -> None:
    pages = Pages()
    made = [pages.room((rows, columns), kind) for rows, columns, kind in asked]
    for i, array in enumerate(made):
        assert array.shape == asked[i][:2] and array.dtype == asked[i][2] and array.ctypes.data % LINE == 0
        assert array.flags.c_contiguous and array.flags.writeable
        array[:] = i % 250
    assert all((array == i % 250).all() for i, array in enumerate(made))


def test_what_is_larger_than_a_chunk_has_its_own() -> None:
    pages = Pages()
    small = pages.room((3,), np.float32)
    large = pages.room((CHUNK // 4 + 5,), np.float32)
    after = pages.room((3,), np.float32)
    large[:], small[:], after[:] = 1, 2, 3
    assert large.sum() == len(large) and (small == 2).all() and after.ctypes.data - small.ctypes.data == LINE


def test_an_array_outlives_its_pages() -> None:
    array = Pages().room((1000,), np.float32)
    array[:] = 7
    assert Pages().room((1000,), np.float32) is not None and (array == 7).all()

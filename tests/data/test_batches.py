"""Rows and their order: bit for bit what the plain loops give, in memory or in files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harken.data import batches
from harken.data.batches import Batches, Spans, in_order
from harken.data.blob import Blob


def slow_rows(spans, rng=None):
    """What `Spans.rows` gives, text by text."""
    lengths = spans.spans[:, 1] - spans.spans[:, 0]
    if (lengths <= spans.context).all():
        return spans.spans
    out = []
    for begin, end in spans.spans:
        shift = int(rng.integers(spans.context)) if rng is not None and spans.lead is not None and end - begin > spans.context else 0
        cuts = np.arange(begin + shift, end, spans.context)
        starts = np.concatenate([[begin], cuts[cuts > begin]])
        out.append(np.stack([starts, np.append(starts[1:], end)], 1))
    return np.concatenate(out)


def slow_order(spans, size, seed, epoch):
    """What `Batches.order` gives, with every row gathered at once."""
    rng = np.random.default_rng((seed, epoch))
    rows = slow_rows(spans, rng)
    rows = rows[rng.permutation(len(rows))]
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    return [part[np.argsort(part[:, 0] - part[:, 1], kind="stable")] for part in parts]


@settings(max_examples=200)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=40),
    context=st.sampled_from([2, 7, 16, 100]),
    lead=st.sampled_from([None, 5]),
    size=st.integers(1, 8),
    small=st.booleans(),
)
def test_like_the_slow_twins(lengths, context, lead, size, small):
    ends = np.cumsum(np.array(lengths) + 1)
    spans = Spans(np.arange(ends[-1], dtype=np.uint16), np.stack([ends - lengths, ends], 1), lead, context)
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(Blob, "HELD", 32)
            patch.setattr(batches, "ROWS", 3)
        assert spans.targets == sum(lengths) and spans.longest == max(lengths)
        assert (spans.rows() == slow_rows(spans)).all()
        for epoch in range(3):
            found, wanted = Batches(spans, size, 3).order(epoch), slow_order(spans, size, 3, epoch)
            assert len(found) == len(wanted) and all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
        rows = np.concatenate(list(in_order(spans, size)))
        assert (np.diff(rows[:, 1] - rows[:, 0]) <= 0).all() and sorted(rows.tolist()) == slow_rows(spans).tolist()


def test_ids_of_two_bytes_are_taken_as_numbers():
    spans = Spans(np.array([65_535, 65_534, 3], np.uint16), np.array([[1, 3]]), None, 8)
    inputs, targets, lengths = spans.take(spans.spans, 0)
    assert inputs.tolist() == [[65_535, 65_534]] and targets.tolist() == [[65_534, 3]] and lengths.tolist() == [2]
    assert inputs.dtype == targets.dtype == np.int64


def test_there_is_no_batch_behind_the_last():
    with pytest.raises(IndexError):
        in_order(Spans(np.zeros(4, np.int32), np.array([[0, 2], [2, 4]]), 0, 8), 1)[2]

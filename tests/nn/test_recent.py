"""What was just read: counts that fade, beside dictionaries; one by one and all at once; and in a mixture that reads in windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.nn import recent as module
from harken.nn.recent import REACH, Recent

FLOOR = np.array([0.0, 0.25, 0.25, 0.25, 0.25])  # the first is never predicted
TEXTS = st.lists(st.integers(0, 4), min_size=1, max_size=40)


def by_hand(ids: list[int], half_life: int) -> tuple[np.ndarray, float]:
    """(V,) what follows a text, and how much of its last token's earlier occurrences is left."""
    worth = {u: 0.5 ** ((len(ids) - 1 - u) / half_life) for u in range(max(0, len(ids) - REACH * half_life), len(ids)) if FLOOR[ids[u]]}
    spread, mass = FLOOR, 0.0
    for order in (1, 2, 3):
        if len(ids) < order - 1:
            continue
        history, found = ids[len(ids) - order + 1 :], np.zeros(len(FLOOR))
        for u, value in worth.items():
            if u >= order - 1 and ids[u - order + 1 : u] == history:
                found[ids[u]] += value
        spread = (found + spread) / (found.sum() + 1)
        mass = found.sum() if order == 2 else mass
    return spread, mass


@given(TEXTS, st.integers(1, 6))
def test_it_is_what_dictionaries_say(ids: list[int], half_life: int) -> None:
    recent = Recent(half_life, FLOOR)
    spread, grades = recent.spread(np.array(ids), len(ids))
    known, seen = recent.score(np.array(ids))
    np.testing.assert_allclose(spread.sum(1), 1, rtol=1e-12)
    for t in range(len(ids)):
        want, mass = by_hand(ids[: t + 1], half_life)
        np.testing.assert_allclose(spread[t], want, rtol=1e-9, atol=1e-15)
        assert abs(mass - module.GRADES).min() < 1e-6 or grades[t] == np.digitize(mass, module.GRADES)
        if t + 1 < len(ids):
            assert known[t + 1] == pytest.approx(want[ids[t + 1]], rel=1e-9)
            assert abs(mass - module.GRADES).min() < 1e-6 or seen[t + 1] == grades[t]


def test_a_long_text_is_counted_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.random.default_rng(0).integers(0, 5, 500)
    recent = Recent(3, FLOOR)
    known, grades = recent.score(ids)
    monkeypatch.setattr(module, "PIECE", 61)
    again, same = recent.score(ids)
    np.testing.assert_allclose(again, known, rtol=1e-12)
    assert (same == grades).all()

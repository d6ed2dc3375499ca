"""Charts: the same bytes every time, whole or absent, sound with awkward numbers, and names that do not overlap."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import RunError
from harken.draw.chart import _apart, _figure, line_chart

CURVES = {"training": [(0, 3.3), (10, 2.5), (20, 2.1)], "held out": [(0, 3.3), (20, 2.2)]}
SAID = {"title": "Loss", "x": "step", "y": "nats per token"}


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_same_bytes_every_time_whatever_the_reader_prefers(tmp_path: Path) -> None:
    line_chart(tmp_path / "a.svg", CURVES, **SAID)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.hashsalt": "other"}):
        line_chart(tmp_path / "b.svg", CURVES, **SAID)
        assert matplotlib.rcParams["font.size"] == 30, "the reader's settings are given back"
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"dc:date" not in (tmp_path / "a.svg").read_bytes()


def test_700_pixels_wide_and_without_leftovers(tmp_path: Path) -> None:
    line_chart(tmp_path / "deep" / "a.svg", CURVES, **SAID, marks={"guessing": 3.3, "never": math.inf})
    root = ElementTree.parse(tmp_path / "deep" / "a.svg").getroot()
    assert float(root.attrib["width"].removesuffix("pt")) * 4 / 3 == pytest.approx(700)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.svg"]


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(0, math.nan)],
        [(0, 1.0)],
        [(0, 1.0), (1, math.nan), (2, math.inf), (3, 2.0)],
        [(0, 5.0), (1, 5.0)],
        [(0, -1e9), (10**9, 1e9)],
        [(step, 1 / (step + 1)) for step in range(20_000)],
    ],
    ids=["none", "nan", "one", "gaps", "flat", "wide", "long"],
)
def test_awkward_numbers(tmp_path: Path, points: list[tuple[float, float]]) -> None:
    line_chart(tmp_path / "a.svg", {"a $b_c$": points, "other": [(0, 1.0), (1, 2.0)]}, **SAID)
    line_chart(tmp_path / "alone.svg", {"a": points}, **SAID)
    assert (tmp_path / "alone.svg").stat().st_size < 200_000
    ElementTree.parse(tmp_path / "a.svg")


def test_points_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    line_chart(tmp_path / "a.svg", {"a": [(0, 1.0), (1, math.nan), (2, 2.0)]}, **SAID)
    line_chart(tmp_path / "b.svg", {"a": [(0, 1.0), (2, 2.0)]}, **SAID)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(("count", "legend"), [(2, False), (8, False), (9, True), (30, True)])
def test_few_lines_are_named_at_their_ends_many_in_a_legend(count: int, legend: bool) -> None:
    lines = {f"run {i}": [(0, 3.0), (1, 2 + i / 100)] for i in range(count)}
    figure = _figure(lines, {}, "Runs", "step", "loss")
    assert bool(figure.legends) is legend
    styles = {
        (line.get_color(), str(line.get_linestyle()), line._unscaled_dash_pattern)
        for line in figure.axes[0].lines
        if line.get_marker() == "None"
    }
    assert len(styles) == min(count, 21), "no two lines look the same"


def test_names_do_not_overlap() -> None:
    lines = {f"run {i}": [(0, 3.0), (1, 2.0)] for i in range(8)}
    figure = _figure(lines, {}, "Runs", "step", "loss")
    figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in figure.axes[0].texts if text.get_text() in lines), key=lambda box: box.y0)
    assert len(boxes) == 8
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))
    assert max(box.x1 for box in boxes) <= figure.bbox.x1 and boxes[0].y0 >= 0


@given(st.lists(st.floats(0, 300), max_size=12).map(sorted))
def test_apart(places: list[float]) -> None:
    found = _apart(places, 13, 300)
    assert len(found) == len(places)
    assert all(b - a >= 13 - 1e-6 for a, b in pairwise(found))
    assert not found or (found[0] >= 0 and found[-1] <= 300 + 1e-6)
    if all(b - a >= 13 for a, b in pairwise(places)):
        assert found == pytest.approx(places), "what has room stays"


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder should be")
    with pytest.raises(RunError, match="cannot be written"):
        line_chart(tmp_path / "a" / "b.svg", CURVES, **SAID)

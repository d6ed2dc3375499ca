"""Heat maps: the same bytes every time, every weight where it belongs, names of any script, large maps sharp and small."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harken.base.errors import RunError
from harken.draw.colours import RAMPS, oklab, ramp, shade
from harken.draw.heatmap import WIDTH, heat_map

SVG = "{http://www.w3.org/2000/svg}"


def causal(size: int) -> np.ndarray:
    return np.tril(np.random.default_rng(0).dirichlet(np.ones(size), size))


def drawn(path: Path, weights: np.ndarray, rows: list[str], columns: list[str]) -> ElementTree.Element:
    heat_map(path, weights, rows=rows, columns=columns, title="A map", x="source", y="target")
    return ElementTree.parse(path).getroot()


def test_a_square_for_every_weight_in_its_colour(tmp_path: Path) -> None:
    weights = causal(5)
    root = drawn(tmp_path / "a.svg", weights, list("abcde"), list("vwxyz"))
    cells = [rect for rect in root.iter(f"{SVG}rect") if rect.attrib["fill"].startswith("#")]
    wanted = [f"#{ramp('blue')[shade(w)].tobytes().hex()}" for w in weights[np.tril_indices(5)]]
    assert [cell.attrib["fill"] for cell in cells] == wanted
    lefts, tops = ({float(cell.attrib[side]) for cell in cells} for side in "xy")
    assert len(lefts) == len(tops) == 5
    said = [text.text for text in root.iter(f"{SVG}text")]
    assert said[2:12] == [*"abcde", *"vwxyz"] and said[12:] == ["0", "0.01", "0.1", "0.25", "0.5", "1", "weight"]


def test_a_large_map_is_one_picture_of_as_many_pixels(tmp_path: Path) -> None:
    weights = causal(300)
    root = drawn(tmp_path / "a.svg", weights, [f"word{i} " for i in range(300)], [f"word{i} " for i in range(300)])
    (image,) = root.iter(f"{SVG}image")
    pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(image.attrib["href"].split(",")[1])))
    assert pixels.shape[:2] == (300, 300)
    np.testing.assert_array_equal(np.round(pixels[200, 100, :3] * 255), ramp("blue")[shade(weights[200, 100])])
    np.testing.assert_array_equal(pixels[100, 200, :3], 1, "what comes later is white")
    names = [text for text in root.iter(f"{SVG}text") if (text.text or "").startswith("word")]
    assert 20 < len(names) < 120, "one name for several rows"
    heights = [float(text.attrib["y"]) for text in names if text.attrib.get("text-anchor") == "end"]
    assert min(np.diff(heights)) >= 11
    assert (tmp_path / "a.svg").stat().st_size < 300_000


@pytest.mark.parametrize("shape", [(1, 1), (2, 40), (40, 2), (70, 3), (0, 0)])
def test_any_shape_stays_within_the_width(tmp_path: Path, shape: tuple[int, int]) -> None:
    root = drawn(tmp_path / "a.svg", np.full(shape, 0.5), ["a long name"] * shape[0], ["another name"] * shape[1])
    assert root.attrib["width"] == str(WIDTH)
    for cell in (*root.iter(f"{SVG}rect"), *root.iter(f"{SVG}image")):
        if "x" in cell.attrib:
            assert float(cell.attrib["x"]) >= 0 and float(cell.attrib["x"]) + float(cell.attrib["width"]) <= WIDTH
            assert float(cell.attrib["y"]) + float(cell.attrib["height"]) <= float(root.attrib["height"])


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_any_name_is_sound_xml(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("maps") / "a.svg"
    heat_map(path, np.eye(len(names)), rows=names, columns=names, title=names[0], x=names[0])
    ElementTree.parse(path)
    assert not re.search(r"<script|\bon\w+=|[\x00-\x09\x0b-\x1f]", path.read_text("utf-8").replace("&lt;", ""))


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    for size in (5, 100):
        first, second = tmp_path / "a.svg", tmp_path / "b.svg"
        for path in (first, second):
            drawn(path, causal(size), ["ä"] * size, ["中"] * size)
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", RAMPS)
def test_more_is_always_further_from_the_page(name: str) -> None:
    colours = ramp(name)
    lightness = oklab(colours)[:, 0]
    rising = np.diff(lightness) * (1 if name.endswith("on black") else -1)
    assert colours.shape == (256, 3) and rising.min() > -0.002 and np.abs(lightness[-1] - lightness[0]) > 0.65
    assert np.abs(np.diff(lightness, n=2)).max() < 0.006, "no step stands out"


def test_oklab_knows_black_white_and_red() -> None:
    found = oklab(np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]]))
    np.testing.assert_allclose(found, [[0, 0, 0], [1, 0, 0], [0.62796, 0.22486, 0.12585]], atol=1e-4)


def test_shades_keep_small_weights_apart() -> None:
    assert shade(np.array([0, 0.001, 0.01, 0.1, 1])).tolist() == [0, 8, 26, 81, 255]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder should be")
    with pytest.raises(RunError, match="cannot be written"):
        drawn(tmp_path / "a" / "b.svg", np.eye(2), ["a", "b"], ["a", "b"])

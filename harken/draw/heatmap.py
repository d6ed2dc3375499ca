"""A heat map as an SVG file: rows against columns with their names, a legend with numbers, the same bytes for the same numbers.

The letters are text in the reader's own fonts, not shapes: tokens come in every script, and no font of ours has them all.
"""

from __future__ import annotations

import base64
import io
import math
import os
import unicodedata
from collections.abc import Sequence
from xml.sax.saxutils import escape

import numpy as np

from ..base.files import write_text
from .colours import ramp, shade
from .labels import printable, shortened

WIDTH = 700  # pixels in a browser
CELL = 28  # at most
MARGIN = 16
FONT = 11  # of the labels
LETTER = 0.61 * FONT  # width of a letter in a monospaced font
LETTERS = 16  # of a label
INK, PALE, LINE = "#333333", "#767676", "#dddddd"
MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
VECTORS = 64  # up to so many rows and columns are squares of their own; above, one picture of as many pixels
TICKS = (0, 0.01, 0.1, 0.25, 0.5, 1)


def heat_map(
    path: str | os.PathLike[str],
    weights: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    x: str = "key",
    y: str = "query",
    unit: str = "weight",
) -> None:
    """Write `weights` (R, C), from 0 to 1, to `path`: an SVG 700 pixels wide, whole or not at all.

    `rows` and `columns` name them; where they stand too close, one label names several. What lies above the last weight
    of each row that is not nothing stays white. An alignment is a heat map whose rows and columns are different texts.
    RunError when the file cannot be written.
    """
    write_text(path, "\n".join(_drawing(np.asarray(weights, np.float64), list(rows), list(columns), title, (x, y, unit))) + "\n")


def _drawing(weights: np.ndarray, rows: list[str], columns: list[str], title: str, said: tuple[str, str, str]) -> list[str]:
    count = max(1, len(columns))
    rough = min(CELL, (WIDTH - 8 * FONT) / count)
    down, across = _grouped(rows, FONT + 2, rough), _grouped(columns, 18, rough)
    left = MARGIN + max((_width(name) for _, name in down), default=0) + 8
    longest = max((_width(name) for _, name in across), default=0)
    cell = min(CELL, (WIDTH - left - MARGIN) / count)
    flat = len(across) == len(columns) and longest + 4 <= cell
    if not flat:  # names lean over to the right
        cell = min(CELL, (WIDTH - left - MARGIN - 0.71 * longest) / count)
    top = MARGIN + 46 + (FONT if flat else 0.71 * longest + 6)
    width, height = cell * len(columns), cell * len(rows)
    total = top + height + 62
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{total:.0f}" viewBox="0 0 {WIDTH} {total:.0f}" role="img">',
        f"<title>{escape(printable(title))}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<g font-family="system-ui, sans-serif" font-size="12" fill="{PALE}">',
        f'<text x="{MARGIN}" y="{MARGIN + 12}" font-size="15" font-weight="bold" fill="{INK}">{escape(printable(title))}</text>',
        f'<text x="{MARGIN}" y="{MARGIN + 32}">rows: {escape(printable(said[1]))} · columns: {escape(printable(said[0]))}</text>',
        "</g>",
        *_cells(weights, left, top, cell),
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none" stroke="{LINE}"/>',
        f'<g font-family="{MONO}" font-size="{FONT}" fill="{INK}" xml:space="preserve">',
        *_names(down, across, left, top, cell, flat),
        "</g>",
        *_legend(left, top + height + 18, said[2]),
        "</svg>",
    ]


def _cells(weights: np.ndarray, left: float, top: float, cell: float) -> list[str]:
    """The cells: squares, those of the lightest colour left out; or one picture, sharp at every size."""
    steps, colours = shade(weights), ramp("blue")
    if max(weights.shape, default=0) <= VECTORS:
        gap = 0.6 if cell > 8 else 0
        side = f'width="{cell - gap:.2f}" height="{cell - gap:.2f}"'
        return [
            f'<rect x="{left + j * cell:.2f}" y="{top + i * cell:.2f}" {side} fill="#{colours[steps[i, j]].tobytes().hex()}"/>'
            for i, j in zip(*np.nonzero(weights > 0), strict=True)
        ]
    import matplotlib.image

    seen = np.maximum.accumulate(weights[:, ::-1] > 0, 1)[:, ::-1]
    picture = io.BytesIO()
    pixels = np.where(seen[..., None], colours[steps], 255).astype(np.uint8)
    matplotlib.image.imsave(picture, pixels, format="png", metadata={"Software": "harken"})
    rows, columns = weights.shape
    where = f'x="{left:.1f}" y="{top:.1f}" width="{cell * columns:.1f}" height="{cell * rows:.1f}" preserveAspectRatio="none"'
    data = base64.b64encode(picture.getvalue()).decode()
    return [f'<image {where} style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>']


def _grouped(names: list[str], room: float, cell: float) -> list[tuple[int, str]]:
    """As many names as fit, (place, name): where they stand too close, one names all that it stands for."""
    step = max(1, math.ceil(room / cell))
    return [(i, shortened("".join(map(printable, names[i : i + step])), LETTERS)) for i in range(0, len(names), step)]


def _names(down: list[tuple[int, str]], across: list[tuple[int, str]], left: float, top: float, cell: float, flat: bool) -> list[str]:
    out = []
    for i, name in down:
        out.append(f'<text x="{left - 6:.1f}" y="{top + (i + 0.5) * cell + FONT / 3:.1f}" text-anchor="end">{escape(name)}</text>')
    for j, name in across:
        x = left + (j + 0.5) * cell
        how = 'text-anchor="middle"' if flat else f'transform="rotate(-45 {x:.1f} {top - 6:.1f})"'
        out.append(f'<text x="{x:.1f}" y="{top - 6:.1f}" {how}>{escape(name)}</text>')
    return out


def _legend(left: float, top: float, unit: str) -> list[str]:
    """The ramp with its numbers: its steps are the square root of the weight."""
    colours, wide = ramp("blue"), 260
    out = [f'<g font-family="system-ui, sans-serif" font-size="11" fill="{PALE}" text-anchor="middle">']
    stops = "".join(f'<stop offset="{i / 15:.4f}" stop-color="#{colours[i * 17].tobytes().hex()}"/>' for i in range(16))
    out.append(f'<linearGradient id="ramp">{stops}</linearGradient>')
    out.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide}" height="9" rx="2" fill="url(#ramp)"/>')
    for tick in TICKS:
        out.append(f'<text x="{left + tick**0.5 * wide:.1f}" y="{top + 24:.1f}">{tick:g}</text>')
    return [*out, f'<text x="{left + wide + 16:.1f}" y="{top + 9:.1f}" text-anchor="start">{escape(printable(unit))}</text>', "</g>"]


def _width(label: str) -> float:
    """About how wide a label is: Chinese letters and emoji take two places, accents none."""
    places = sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in label)
    return places * LETTER

"""A line chart as an SVG file: a light grid, the name of each line at its end, the same bytes for the same numbers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..base.files import replacing

Points = Sequence[tuple[float, float]]

# Okabe and Ito's colours, told apart by the colour-blind too (https://jfly.uni-koeln.de/color/), without the yellow: it fades on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))  # behind the seventh line colours come again, dashed
INK, PALE, GRID = "#333333", "#767676", "#e6e6e6"
WIDTH, HEIGHT = 700, 420  # pixels in a browser
AT_THE_END = 8  # up to so many lines are named at their ends, more of them in a legend
LINE_HEIGHT = 13  # points from one name to the next


def line_chart(
    path: str | os.PathLike[str],
    series: Mapping[str, Points],
    *,
    title: str,
    x: str,
    y: str,
    marks: Mapping[str, float] | None = None,
) -> None:
    """Write `series` (name -> (x, y) points) to `path`, an SVG 700 pixels wide, whole or not at all.

    `x` and `y` say what the axes show, with units. `marks` are levels to compare with (name -> y): thin dashed lines across.
    Points that are not finite are left out, and so is a line that has none. RunError when the file cannot be written.
    """
    lines = {name: finite for name, points in series.items() if (finite := _finite(points))}
    levels = {name: value for name, value in (marks or {}).items() if math.isfinite(value)}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a reader's own matplotlibrc does not change our pictures
        # Letters as shapes look the same in every viewer; the salt makes the file's inner names the same in every run.
        matplotlib.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "harken", "font.size": 10, "text.parse_math": False})
        figure = _figure(lines, levels, title, x, y)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None, "Title": title})


def _figure(lines: Mapping[str, Points], levels: Mapping[str, float], title: str, x: str, y: str) -> Figure:
    figure = Figure(figsize=(WIDTH / 96, HEIGHT / 96), facecolor="white")  # 96 pixels are an inch in a browser
    figure.set_layout_engine("constrained", w_pad=0.11, h_pad=0.11)  # inches of white around everything
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    _dress(axes, title, x, y)
    names: list[tuple[float, str, str]] = []  # (y, name, colour)
    for name, value in levels.items():
        axes.axhline(value, color=PALE, linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
        names.append((value, name, PALE))
    for number, (name, points) in enumerate(lines.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        xs, ys = zip(*points, strict=True)
        axes.plot(
            xs, ys, color=colour, linestyle=dash, linewidth=1.8, solid_capstyle="round", solid_joinstyle="round", label=name, zorder=3
        )
        axes.plot(xs[-1:], ys[-1:], "o", color=colour, markersize=4.5, clip_on=False, zorder=4)
        names.append((ys[-1], name, colour))
    if not lines:
        axes.text(0.5, 0.5, "nothing to show yet", transform=axes.transAxes, ha="center", va="center", color=PALE)
    if len(names) <= AT_THE_END:
        _name_at_the_end(figure, axes, names)
    else:
        _name_at_the_end(figure, axes, names[: len(levels)])
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def _dress(axes: Axes, title: str, x: str, y: str) -> None:
    """Everything that is not data, and as little of it as possible."""
    axes.set_title(title, loc="left", fontsize=12.5, fontweight="bold", color=INK, pad=24)
    axes.set_xlabel(x, color=PALE, fontsize=10)
    # The name of the y axis lies flat above it, where it can be read without turning the head.
    axes.annotate(y, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", color=PALE, fontsize=10, va="bottom")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#bbbbbb")
    axes.tick_params(axis="both", length=0, labelcolor=PALE, labelsize=9.5, pad=5)
    axes.margins(x=0.01, y=0.06)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−")))


def _name_at_the_end(figure: Figure, axes: Axes, names: Iterable[tuple[float, str, str]]) -> None:
    """Write names right of the axes, level with their lines, moved apart where they would overlap."""
    placed = sorted(names, key=lambda each: each[0])
    if not placed:
        return
    figure.draw_without_rendering()  # lays the figure out: the axes have their height now
    height = axes.get_window_extent().height * 72 / figure.dpi  # points
    low, high = axes.get_ylim()
    wanted = [(value - low) / (high - low) * height for value, _, _ in placed]
    for (value, name, colour), want, place in zip(placed, wanted, _apart(wanted, LINE_HEIGHT, height), strict=True):
        axes.annotate(
            name,
            (1, value),
            (9, place - want),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            color=colour,
            fontsize=10,
            va="center",
            annotation_clip=False,
        )


def _apart(places: Sequence[float], gap: float, top: float) -> list[float]:
    """Ascending places moved as little as it takes to stand `gap` apart, none above `top` while there is room below.

    Neighbours that touch become one block around the mean of where they wanted to be, until no two blocks touch.
    """
    blocks: list[list[float]] = []  # of wanted places

    def first(block: list[float]) -> float:
        reach = gap * (len(block) - 1)
        return max(min(sum(block) / len(block) - reach / 2, top - reach), 0)

    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and first(blocks[-1]) < first(blocks[-2]) + gap * len(blocks[-2]):
            last = blocks.pop()
            blocks[-1] += last
    return [first(block) + gap * number for block in blocks for number in range(len(block))]


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]

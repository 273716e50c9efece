"""Figures as pictures: each function takes plain arrays and returns a PNG, the same bytes for the same input.

Labels are folder names, in any script and of any length: what no installed font can draw becomes a question mark, what
is too long loses its middle, and where there are too many, every so many is named. No colour is the only sign of
anything, and the colours stay apart for colour-blind eyes (Okabe and Ito, "Color Universal Design", 2008; the blue and
the ink are the pages' own). Everything is made of matplotlib's objects: its global state (pyplot) is left alone. It
reads files when it is imported, and is therefore imported where it is used.

Not here: where the arrays come from, and the page that the pictures end up in (`indexer.evaluation.report`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]
Bin = tuple[float, float, int]
"""Mean confidence, accuracy and number of pictures of a bin of a reliability diagram."""
Interval = tuple[float | None, float | None, float | None]
"""A value and the ends of its 95 % interval, as far as they are known."""
Row = tuple[str, float | None, float | None, float | None]
"""A name before an interval."""

DPI = 150
POINT = 1 / 72
"""Inches; type is measured in points."""
INK, SOFT, LINE, BLANK = "#18202c", "#515c6e", "#d3dae5", "#e3e3e3"
BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY = "#2453c6", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY, INK)
PENCIL = ("#ffffff", "#a9c0f2", BLUE, "#0b1b47")
"""From paper to a pressed blue pencil, ever darker."""
MARKERS, STYLES = "os^Dv*P", ("-", "--", "-.", ":")
MARKS = {"right": (GREEN, "✓"), "wrong": (ORANGE, "✗"), "none": (LINE, "")}
TITLE, TEXT, SMALL, LEAST = 13.0, 10.5, 9.0, 7.5
"""Sizes of type in points."""
FONT = "DejaVu Sans"
"""Comes with matplotlib. It has Latin, Greek, Cyrillic, Arabic and Hebrew, but nothing of South and East Asia."""
REGULAR = 400
UNUSABLE = re.compile("Last Resort|Emoji")
"""Fonts that have a box for every character, or colours, which matplotlib cannot draw."""
LABEL_COLUMNS = 42
CAPTION_COLUMNS, CAPTION_LINES = 24, 5
ANNOTATED = 15
"""A matrix of at most so many labels shows its figures."""
LARGEST = 12.0
"""Inches that a matrix or a bar chart may take."""
WIDTH, HEIGHT = 6.4, 4.0
FILLING = {"left": 0.0, "right": 1.0, "bottom": 0.0, "top": 1.0, "hspace": 0.12, "wspace": 0.06}
"""How several axes share a figure: they fill it, as a single one does."""
CELL, GAP = 1.7, 0.3
"""Inches of a picture in a grid, and between two."""
TREE = 1.3
"""Inches of a dendrogram."""
DARK = 0.3
"""The share from which on a cell is dark enough for white figures."""
LEGEND = 1.22
"""How far up a reliability diagram goes, so that its legend stands above what is drawn."""
BINS = 30
WIDE = 16.0
"""Where the largest x is so many times the smallest, powers of two are easier to read."""
NAMED_TICKS, MARKED_POINTS = 12, 20


Mark = Literal["right", "wrong", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A picture of a grid, (height, width, 3), what is said about it, and whether its label was right."""

    pixels: NDArray[np.uint8]
    caption: str
    mark: Mark = "none"


def confusion_heat_map(matrix: Numbers, labels: Sequence[str], title: str, breaks: Sequence[int] = ()) -> bytes:
    """Draw what the pictures of each label (row) were taken for (column), as shares of the row.

    A row of NaN had no pictures. `breaks` are the rows where a new show starts: a line is drawn before each.
    """
    figure, axes = _matrix(matrix, labels)
    for row in breaks:
        if 0 < row < len(labels):
            axes.axhline(row - 0.5, color=INK, linewidth=0.8)
            axes.axvline(row - 0.5, color=INK, linewidth=0.8)
    side = figure.get_figwidth()
    tall = min(1.0, 4.0 / side)
    _scale(figure, (1 + 0.2 / side, 1.0 - tall, 0.18 / side, tall), "vertical")
    _entitle(figure, title)
    return _png(figure)


def confusion_cluster_map(matrix: Numbers, labels: Sequence[str], title: str) -> bytes:
    """Draw the confusions so that labels that are taken for one another lie side by side, with the tree that says so.

    The tree is that of average linkage (scipy.cluster.hierarchy) on the distance 1 - (matrix + its transpose) / 2.
    """
    shares = np.nan_to_num(np.asarray(matrix, dtype=np.float64))
    links, order = _clustered(np.clip(1.0 - (shares + shares.T) / 2, 0.0, None))
    figure, axes = _matrix(matrix[np.ix_(order, order)], [labels[row] for row in order])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    side = figure.get_figwidth()
    size, gap = TREE / side, 0.06 / side
    if len(links):
        brackets, limits = _brackets(links, order), (-0.5, len(labels) - 0.5)
        heights = (brackets[..., 1].min(), brackets[..., 1].max())
        _draw_tree(figure, (0, 1 + gap, 1, size), brackets, (limits, heights))
        _draw_tree(figure, (-gap - size, 0, size, 1), brackets[..., ::-1], (heights[::-1], limits[::-1]))
    _scale(figure, (-gap - size, 1 + 0.7 * size, 0.8 * size, 0.14 / side), "horizontal")
    _entitle(figure, title, left=-gap - size, top=1 + gap + size)
    return _png(figure)


def reliability_diagram(
    bins_before: Sequence[Bin], bins_after: Sequence[Bin], title: str, errors: tuple[float, float]
) -> bytes:
    """Draw accuracy against confidence, before and after calibration, above the number of pictures in each bin.

    Below the diagonal the model claims too much. `errors` are the expected calibration errors before and after (Guo et
    al., "On Calibration of Modern Neural Networks", 2017).
    """
    figure = _figure(9.6, 5.6)
    panels = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1), gridspec_kw=FILLING)
    kinds = (("before", bins_before, errors[0], ORANGE, "s"), ("after", bins_after, errors[1], BLUE, "o"))
    for (upper, lower), (when, bins, error, colour, marker) in zip(panels.T, kinds, strict=True):
        filled = np.array([one for one in bins if one[2]], dtype=np.float64).reshape(-1, 3)
        confidence, accuracy, count = filled.T
        upper.plot((0, 1), (0, 1), color=SOFT, linestyle=":", label="accuracy = confidence")
        upper.vlines(confidence, confidence, accuracy, color=colour, alpha=0.4, linewidth=2.5)
        upper.plot(confidence, accuracy, color=colour, marker=marker, label=f"{when} calibration, ECE {error:.3f}")
        upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, LEGEND), yticks=np.linspace(0, 1, 6))
        upper.legend(loc="upper left", fontsize=SMALL, labelcolor=INK)
        lower.vlines(confidence, 0, count, color=colour, linewidth=7)
        lower.set_ylim(bottom=0)
        _describe(upper)
        _describe(lower, "confidence")
    panels[0, 0].set_ylabel("accuracy")
    panels[1, 0].set_ylabel("pictures")
    _entitle(figure, title)
    return _png(figure)


def risk_coverage_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str = "Wrong answers against answers given"
) -> bytes:
    """Draw, for each name, the share of wrong answers among those given (risk) over the share given (coverage)."""
    figure, axes = _plain(WIDTH, HEIGHT)
    for number, (name, (coverage, risk)) in enumerate(zip(_labels(curves), curves.values(), strict=True)):
        axes.plot(np.asarray(coverage), np.asarray(risk), label=name, **_stroke(number))
    axes.set_xlim(0, 1.02)
    axes.set_ylim(bottom=0)
    _describe(axes, "coverage: share of the pictures that get an answer", "risk: share of these that is wrong")
    _entitle(figure, title)
    return _png(figure)


def learning_curves(
    history: Sequence[Mapping[str, float | None]], title: str = "Learning curves", chosen: int | None = None
) -> bytes:
    """Draw the losses of each epoch and, where it was measured, the accuracy.

    A row has `epoch`, `training_loss`, `validation_loss` and `validation_accuracy`; what was not measured is None. The
    `chosen` epoch is marked: where none is named, the one of the lowest validation loss.
    """
    epochs, training, validation, accuracy = (
        _numbers(row.get(key) for row in history)
        for key in ("epoch", "training_loss", "validation_loss", "validation_accuracy")
    )
    if chosen is None and np.isfinite(validation).any():
        chosen = int(epochs[np.nanargmin(validation)])
    curves = [("loss", [(0, "training", training), (1, "validation", validation)])]
    if np.isfinite(accuracy).any():
        curves.append(("accuracy", [(1, "validation", accuracy)]))
    figure = _figure(WIDTH, 2.8 * len(curves))
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False, gridspec_kw=FILLING)[:, 0]
    for panel, (measure, series) in zip(panels, curves, strict=True):
        for number, name, values in series:
            if np.isfinite(values).any():
                panel.plot(epochs, values, label=name, **_stroke(number, len(epochs)))
        if chosen is not None:
            panel.axvline(chosen, color=INK, linestyle=":", label=f"epoch {chosen}, chosen")
        panel.set_xlim(min(epochs, default=1) - 0.5, max(epochs, default=1) + 0.5)
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        _describe(panel, "epoch" if panel is panels[-1] else "", measure)
    _entitle(figure, title)
    return _png(figure)


def picture_grid(cells: Sequence[Cell], columns: int, title: str = "") -> bytes:
    """Draw pictures row by row with their captions below; what is right and wrong has a colour and a sign."""
    captions = [_caption(text) for text in _drawable(cell.caption for cell in cells)]
    line = 1.25 * SMALL * POINT
    step = CELL + GAP + line * max(map(len, captions), default=0)
    rows = max(1, ceil(len(cells) / columns))
    width, height = columns * (CELL + GAP), rows * step
    figure = _figure(width, height)
    for number, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        row, column = divmod(number, columns)
        left, bottom = column * (CELL + GAP), height - row * step - CELL
        axes = figure.add_axes((left / width, bottom / height, CELL / width, CELL / height))
        axes.imshow(cell.pixels, interpolation="antialiased")
        _frame(axes, cell.mark)
        place = (left / width, (bottom - 0.08) / height)
        figure.text(*place, "\n".join(caption), fontsize=SMALL, color=INK, va="top", linespacing=1.2)
    _entitle(figure, title if cells else f"{title}: no pictures".removeprefix(": "))
    return _png(figure)


def bars(rows: Sequence[Row], title: str, xlabel: str) -> bytes:
    """Draw a horizontal bar for each row, the first on top, with its figure and its interval where it has one."""
    names, values = [name for name, *_ in rows], [(value, low, high) for _, value, low, high in rows]
    return _bars(names, {"": values}, title, xlabel)


def grouped_bars(names: Sequence[str], series: Mapping[str, Sequence[Interval]], title: str, xlabel: str) -> bytes:
    """Draw horizontal bars in groups: one group for each name, in it one bar for each series (label space)."""
    return _bars(names, series, title, xlabel)


def lines(
    x: Sequence[float], series: Mapping[str, Sequence[float | None]], title: str, xlabel: str, ylabel: str
) -> bytes:
    """Draw a line for each series; None leaves a gap. Where x is positive and wide it runs in powers of two."""
    figure, axes = _plain(WIDTH, HEIGHT)
    for number, (name, values) in enumerate(zip(_labels(series), series.values(), strict=True)):
        axes.plot(x, _numbers(values), label=name, **_stroke(number, len(x)))
    if len(x) and min(x) > 0 and max(x) >= WIDE * min(x):
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:g}")
    if len(x) <= NAMED_TICKS:
        axes.set_xticks(x)
    _describe(axes, xlabel, ylabel)
    _entitle(figure, title)
    return _png(figure)


def histogram_pair(known: ArrayLike, unknown: ArrayLike, title: str, xlabel: str) -> bytes:
    """Draw how the scores of known and of unknown characters are spread, as shares of each."""
    both = [scores[np.isfinite(scores)] for scores in (np.asarray(known, float), np.asarray(unknown, float))]
    edges = np.histogram_bin_edges(np.concatenate(both), BINS)
    figure, axes = _plain(WIDTH, HEIGHT)
    looks = (("known", BLUE, "", "-"), ("unknown", ORANGE, "///", "--"))
    for scores, (name, colour, hatch, style) in zip(both, looks, strict=True):
        shares = np.histogram(scores, edges)[0] / max(len(scores), 1)
        axes.stairs(shares, edges, color=colour, linewidth=1.8, linestyle=style)
        label = f"{name} (n = {len(scores)})"
        axes.stairs(
            shares, edges, fill=True, facecolor=(colour, 0.3), edgecolor=(colour, 0.6), hatch=hatch, label=label
        )
    axes.set_ylim(bottom=0)
    _describe(axes, xlabel, "share of the pictures")
    _entitle(figure, title)
    return _png(figure)


# Matrices


def _matrix(matrix: Numbers, labels: Sequence[str]) -> tuple[Figure, Axes]:
    """Draw a square matrix of shares with its labels, as many as fit."""
    side = min(max(len(labels) * (0.46 if len(labels) <= ANNOTATED else 0.25), 2.0), LARGEST)
    figure, axes = _plain(side, side)
    _paint(axes, np.asarray(matrix, dtype=np.float64))
    size, shown = _thinned(len(labels), side / len(labels))
    names = _labels(labels)[:: shown.step]
    axes.set_xticks(shown, names, rotation=90)
    axes.set_yticks(shown, names)
    axes.tick_params(labelsize=size, labelcolor=INK, color=LINE)
    axes.spines[:].set_color(LINE)
    axes.set_xlabel(f"taken for{_one_in(shown)}", fontsize=TEXT, color=SOFT)
    blank = ", grey without pictures" if np.isnan(matrix).any() else ""
    axes.set_ylabel(f"in truth{blank}{_one_in(shown)}", fontsize=TEXT, color=SOFT)
    return figure, axes


def _paint(axes: Axes, shares: Numbers) -> None:
    """Fill the cells. The colour goes by the root of a share, or rare confusions would look like none."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    colours = LinearSegmentedColormap.from_list("pencil", PENCIL).with_extremes(bad=BLANK)
    norm = PowerNorm(0.5, vmin=0.0, vmax=1.0)
    axes.imshow(shares, cmap=colours, norm=norm, interpolation="nearest", aspect="auto")
    if len(shares) > ANNOTATED:
        return
    for (row, column), share in np.ndenumerate(shares):
        text = "–" if np.isnan(share) else f"{share:.2f}"
        if text != "0.00":
            colour = "white" if share >= DARK else INK
            axes.text(column, row, text, ha="center", va="center", fontsize=SMALL, color=colour)


def _scale(figure: Figure, place: tuple[float, float, float, float], way: Literal["vertical", "horizontal"]) -> None:
    """Draw which colour stands for which share."""
    ticks = (0.0, 0.05, 0.2, 0.5, 1.0) if way == "vertical" else (0.0, 0.2, 1.0)
    image = figure.axes[0].images[0]
    bar = figure.colorbar(image, cax=figure.add_axes(place), orientation=way, ticks=ticks, format="{x:g}")
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL, labelcolor=INK, color=LINE)
    bar.ax.spines[:].set_color(LINE)
    bar.set_label("share of the row", fontsize=SMALL, color=SOFT)


def _clustered(distance: Numbers) -> tuple[Numbers, NDArray[np.int64]]:
    """Return scipy's linkage of the labels, and the order that puts the nearest side by side."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(distance) == 1:
        return np.empty((0, 4)), np.zeros(1, dtype=np.int64)
    pairs = distance[np.triu_indices(len(distance), 1)]
    links = linkage(pairs, method="average", optimal_ordering=True)
    return links, leaves_list(links).astype(np.int64)


def _brackets(links: Numbers, order: NDArray[np.int64]) -> Numbers:
    """Return a tree as brackets of four points each, (joins, 4, 2): place along the leaves, height.

    The leaves hang a little below the lowest join: few labels are confused often, and zero is far away.
    """
    count, heights = len(order), links[:, 2]
    height = np.concatenate([np.full(count, heights.min() - max(0.08 * np.ptp(heights), 1e-3)), heights])
    place = np.empty(len(height))
    place[order] = np.arange(count)
    brackets = np.empty((len(links), 4, 2))
    for number, (one, other) in enumerate(links[:, :2].astype(int)):
        node = count + number
        brackets[number, :, 0] = place[[one, one, other, other]]
        brackets[number, :, 1] = height[[one, node, node, other]]
        place[node] = (place[one] + place[other]) / 2
    return brackets


def _draw_tree(
    figure: Figure, place: tuple[float, float, float, float], brackets: Numbers, limits: Sequence[Sequence[float]]
) -> None:
    """Draw brackets between the limits of x and y."""
    from matplotlib.collections import LineCollection

    axes = figure.add_axes(place)
    axes.add_collection(LineCollection(list(brackets), colors=SOFT, linewidths=1.0, clip_on=False))
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.set_axis_off()


# Bars


def _bars(names: Sequence[str], series: Mapping[str, Sequence[Interval]], title: str, xlabel: str) -> bytes:
    """Draw groups of bars; a legend names the series where they have names."""
    pitch = len(series) + (0.8 if len(series) > 1 else 0.0)
    total = max(len(names) * pitch, 1.0)
    height = min(max(0.3 * total, 0.8), LARGEST)
    figure, axes = _plain(WIDTH, height)
    size, shown = _thinned(len(names), height / total * pitch)
    first = np.arange(len(names), dtype=np.float64) * pitch
    for number, (name, values) in enumerate(zip(_labels(series), series.values(), strict=True)):
        _draw_bars(axes, first + number, values, PALETTE[number % len(PALETTE)], name)
        if height / total > 1.1 * SMALL * POINT:
            _write_figures(axes, first + number, values)
    axes.set_ylim(total - pitch + len(series) - 0.4, -0.6)
    axes.set_xlim(*_room([end for values in series.values() for interval in values for end in interval]))
    axes.axvline(0, color=SOFT, linewidth=1.0)
    _describe(axes, xlabel, _one_in(shown).strip(" ()"))
    axes.grid(visible=False, axis="y")
    axes.set_yticks(first[:: shown.step] + (len(series) - 1) / 2, _labels(names)[:: shown.step])
    axes.tick_params(axis="y", labelsize=size, length=0)
    _entitle(figure, title)
    return _png(figure)


def _draw_bars(axes: Axes, places: Numbers, values: Sequence[Interval], colour: str, name: str) -> None:
    """Draw bars and their intervals."""
    value, low, high = (_numbers(interval[end] for interval in values) for end in range(3))
    axes.barh(places, np.nan_to_num(value), height=0.8, color=colour, alpha=0.85, label=name or None)
    known = np.isfinite(low) & np.isfinite(high)
    middle, half = (low + high)[known] / 2, (high - low)[known] / 2
    axes.errorbar(middle, places[known], xerr=half, fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5)


def _write_figures(axes: Axes, places: Numbers, values: Sequence[Interval]) -> None:
    """Write the value of each bar where it and its interval have ended."""
    for place, interval in zip(places, values, strict=True):
        value, _, high = _numbers(interval)
        text = f"{value:.3f}".replace("-", "\N{MINUS SIGN}") if np.isfinite(value) else "–"
        end = (np.nanmax([0.0, value, high]), place)
        axes.annotate(text, end, (5, 0), textcoords="offset points", va="center", fontsize=SMALL, color=INK)


def _room(ends: Sequence[float | None]) -> tuple[float, float]:
    """Return limits that hold zero, everything that is drawn, and the figures beside it."""
    known = _numbers([0.0, *ends])
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    span = high - low or 1.0
    return low - (0.03 * span if low < 0 else 0.0), high + 0.14 * span


# Axes and figures


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure; what lies beyond its edges is saved with it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _plain(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure that its axes fill, in inches: names, legend and title lie outside."""
    figure = _figure(width, height)
    return figure, figure.add_axes((0, 0, 1, 1))


def _describe(axes: Axes, xlabel: str = "", ylabel: str = "") -> None:
    """Say what the axes measure, and take away what carries no meaning. Series with names get a legend beside them."""
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(fontsize=TEXT, color=SOFT)
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=LINE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.grid(visible=True, color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    if axes.get_legend() is None and axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=SMALL, labelcolor=INK, frameon=False)


def _stroke(number: int, points: int | None = None) -> dict[str, Any]:
    """Return how the line of a series looks: colour, dashes and, where its points are few, their shape."""
    marker = MARKERS[number % len(MARKERS)] if points is not None and points <= MARKED_POINTS else ""
    dashes = STYLES[number % len(STYLES)]
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": dashes, "marker": marker, "linewidth": 1.8}


def _frame(axes: Axes, mark: Mark) -> None:
    """Put a picture into its frame, with its sign on the corner."""
    colour, sign = MARKS[mark]
    axes.set(xticks=(), yticks=(), anchor="SW")
    axes.spines[:].set(color=colour, linewidth=3 if sign else 1)
    if sign:
        disc = {"boxstyle": "circle", "facecolor": colour, "edgecolor": "white", "linewidth": 1.5}
        text = axes.text(1, 1, sign, transform=axes.transAxes, color="white", fontsize=TEXT, bbox=disc)
        text.set(ha="center", va="center")


def _thinned(count: int, pitch: float) -> tuple[float, range]:
    """Return the size of type and the rows to name, where `count` rows are `pitch` inches apart."""
    size = min(max(0.7 * pitch / POINT, LEAST), TEXT)
    return size, range(0, count, max(1, ceil(1.1 * size * POINT / pitch)))


def _one_in(shown: range) -> str:
    """Say that not every row is named."""
    return f" (one in {shown.step} is named)" if shown.step > 1 else ""


def _entitle(figure: Figure, title: str, left: float = 0.0, top: float = 1.0) -> None:
    """Write the title above everything else."""
    width, height = figure.get_size_inches()
    columns = max(40, int(width * (1 - left) / (0.62 * TITLE * POINT)))
    heading = "\n".join(_wrapped(_drawable([title])[0], columns, 3))
    figure.text(left, top + 0.2 / height, heading, fontsize=TITLE, color=INK, va="bottom")


def _png(figure: Figure) -> bytes:
    """Return the figure as PNG, without the metadata that would differ between two runs."""
    from matplotlib.text import Text

    texts = [artist for artist in figure.findobj(Text) if isinstance(artist, Text)]
    families, _ = _families("".join(text.get_text() for text in texts))
    for text in texts:
        text.set_fontfamily(families)
        text.set_parse_math(False)  # a folder's name may hold dollar signs
    file = BytesIO()
    figure.savefig(
        file,
        format="png",
        dpi=DPI,
        bbox_inches="tight",
        pad_inches=0.15,
        facecolor="white",
        metadata={"Software": None},
    )
    return file.getvalue()


def _numbers(values: Iterable[float | None]) -> Numbers:
    """Return numbers with NaN for what is unknown."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


# Lettering


def _labels(texts: Iterable[str]) -> list[str]:
    """Return labels that can be drawn, in one line that is not too long."""
    return [_shortened(text.replace("\n", " ").strip(), LABEL_COLUMNS) for text in _drawable(texts)]


def _caption(text: str) -> list[str]:
    """Return the lines of a caption; what its writer put on a line of its own gets two at most."""
    parts = [_wrapped(part, CAPTION_COLUMNS, 2) for part in text.split("\n")]
    return [line for part in parts for line in part][:CAPTION_LINES]


def _drawable(texts: Iterable[str]) -> list[str]:
    """Return the texts with question marks for what no font has, and without control characters but line breaks."""
    plain = [
        "".join(" " if one != "\n" and (one.isspace() or unicodedata.category(one) == "Cc") else one for one in text)
        for text in (unicodedata.normalize("NFC", text) for text in texts)
    ]
    missing = _families("".join(plain))[1]
    return ["".join("?" if one in missing else one for one in text) for text in plain]


def _families(text: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the fonts that are needed for a text, in the order in which to ask them, and what none of them has."""
    return _covering(frozenset(one for one in text if one != "\n"))


@lru_cache
def _covering(wanted: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Take the font that comes with matplotlib and, while something is missing, the installed one that adds most."""
    from matplotlib.font_manager import findfont, fontManager

    families, missing = [FONT], wanted - _characters(findfont(FONT))
    files = {
        entry.name: entry.fname
        for entry in fontManager.ttflist
        if missing and entry.weight == REGULAR and entry.style == "normal" and not UNUSABLE.search(entry.name)
    }
    added = {name: _characters(file) & missing for name, file in sorted(files.items())}
    while best := max(added, key=lambda name: len(added[name] & missing), default=None):
        if not added[best] & missing:
            break
        families.append(best)
        missing -= added[best]
    return tuple(families), missing


def _characters(file: str) -> frozenset[str]:
    """Return what a font has a glyph for; one that is gone or damaged has nothing."""
    from matplotlib.font_manager import get_font

    with suppress(OSError, RuntimeError):
        return frozenset(map(chr, get_font(file).get_charmap()))
    return frozenset()


def _width(text: str) -> int:
    """Return how many columns a text takes: two for a wide character (Unicode Standard Annex 11)."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def _shortened(text: str, columns: int) -> str:
    """Take from the middle of a text what is too much: shows differ at the front, characters at the end."""
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    if _width(text) <= columns:
        return text
    while _width(head) + _width(tail) >= columns:
        head, tail = (head[:-1], tail) if _width(head) > _width(tail) else (head, tail[1:])
    return f"{head}…{tail}"


def _wrapped(text: str, columns: int, most: int) -> list[str]:
    """Break a text into lines, after a space or a sign where there is one, and shorten it until they are few enough."""
    length = max(columns * most, 1)
    while len(broken := _broken(_shortened(text, length), columns)) > most:
        length -= 1
    return broken


def _broken(text: str, columns: int) -> list[str]:
    """Break a text into lines of at most so many columns."""
    broken = [""]
    for word in re.findall(r"[^\s/_-]*[\s/_-]|[^\s/_-]+", text):
        if broken[-1] and _width(broken[-1] + word.rstrip()) > columns:
            broken.append("")
        for character in word:
            if _width(broken[-1] + character.rstrip()) > columns:
                broken.append("")
            broken[-1] += character
    return [line.rstrip() for line in broken]

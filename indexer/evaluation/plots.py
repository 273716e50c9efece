"""Figures as pictures: each function takes plain arrays and returns a PNG, the same bytes for the same input.

Where there are too many labels, every so many is named. No colour is the only sign of anything. matplotlib reads files
when it is imported, and is therefore imported where it is used.

Not here: where the arrays come from, confusion matrices (`confusion_maps`), what all figures have in common (`canvas`),
and the page that the pictures end up in (`indexer.evaluation.report`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexer.evaluation.canvas import (
    BLUE,
    GREEN,
    INK,
    LARGEST,
    LINE,
    ORANGE,
    PALETTE,
    POINT,
    SMALL,
    SOFT,
    TEXT,
    Numbers,
    describe,
    entitle,
    new_figure,
    numbers_of,
    one_in,
    plain_figure,
    png_of,
    stroke,
    thinned,
)
from indexer.evaluation.lettering import caption_of, drawable, labels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Bin = tuple[float, float, int]
"""Mean confidence, accuracy and number of pictures of a bin of a reliability diagram."""
Interval = tuple[float | None, float | None, float | None]
"""A value and the ends of its 95 % interval, as far as they are known."""
Row = tuple[str, float | None, float | None, float | None]
"""A name before an interval."""

MARKS = {"right": (GREEN, "✓"), "wrong": (ORANGE, "✗"), "none": (LINE, "")}
WIDTH, HEIGHT = 6.4, 4.0
FILLING = {"left": 0.0, "right": 1.0, "bottom": 0.0, "top": 1.0, "hspace": 0.12, "wspace": 0.06}
"""How several axes share a figure: they fill it, as a single one does."""
CELL, GAP = 1.7, 0.3
"""Inches of a picture in a grid, and between two."""
LEGEND = 1.22
"""How far up a reliability diagram goes, so that its legend stands above what is drawn."""
BINS = 30
WIDE = 16.0
"""Where the largest x is so many times the smallest, powers of two are easier to read."""
NAMED_TICKS = 12

Mark = Literal["right", "wrong", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A picture of a grid, (height, width, 3), what is said about it, and whether its label was right."""

    pixels: NDArray[np.uint8]
    caption: str
    mark: Mark = "none"


def reliability_diagram(
    bins_before: Sequence[Bin], bins_after: Sequence[Bin], title: str, errors: tuple[float, float]
) -> bytes:
    """Draw accuracy against confidence, before and after calibration, above the number of pictures in each bin.

    Below the diagonal the model claims too much. `errors` are the expected calibration errors before and after (Guo et
    al., "On Calibration of Modern Neural Networks", 2017).
    """
    figure = new_figure(9.6, 5.6)
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
        describe(upper)
        describe(lower, "confidence")
    panels[0, 0].set_ylabel("accuracy")
    panels[1, 0].set_ylabel("pictures")
    entitle(figure, title)
    return png_of(figure)


def risk_coverage_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str = "Wrong answers against answers given"
) -> bytes:
    """Draw, for each name, the share of wrong answers among those given (risk) over the share given (coverage)."""
    figure, axes = plain_figure(WIDTH, HEIGHT)
    for number, (name, (coverage, risk)) in enumerate(zip(labels_of(curves), curves.values(), strict=True)):
        axes.plot(np.asarray(coverage), np.asarray(risk), label=name, **stroke(number))
    axes.set_xlim(0, 1.02)
    axes.set_ylim(bottom=0)
    describe(axes, "coverage: share of the pictures that get an answer", "risk: share of these that is wrong")
    entitle(figure, title)
    return png_of(figure)


def learning_curves(
    history: Sequence[Mapping[str, float | None]], title: str = "Learning curves", chosen: int | None = None
) -> bytes:
    """Draw the losses of each epoch and, where it was measured, the accuracy.

    A row has `epoch`, `training_loss`, `validation_loss` and `validation_accuracy`; what was not measured is None. The
    `chosen` epoch is marked: where none is named, the one of the lowest validation loss.
    """
    epochs, training, validation, accuracy = (
        numbers_of(row.get(key) for row in history)
        for key in ("epoch", "training_loss", "validation_loss", "validation_accuracy")
    )
    if chosen is None and np.isfinite(validation).any():
        chosen = int(epochs[np.nanargmin(validation)])
    curves = [("loss", [(0, "training", training), (1, "validation", validation)])]
    if np.isfinite(accuracy).any():
        curves.append(("accuracy", [(1, "validation", accuracy)]))
    figure = new_figure(WIDTH, 2.8 * len(curves))
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False, gridspec_kw=FILLING)[:, 0]
    for panel, (measure, series) in zip(panels, curves, strict=True):
        for number, name, values in series:
            if np.isfinite(values).any():
                panel.plot(epochs, values, label=name, **stroke(number, len(epochs)))
        if chosen is not None:
            panel.axvline(chosen, color=INK, linestyle=":", label=f"epoch {chosen}, chosen")
        panel.set_xlim(min(epochs, default=1) - 0.5, max(epochs, default=1) + 0.5)
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        describe(panel, "epoch" if panel is panels[-1] else "", measure)
    entitle(figure, title)
    return png_of(figure)


def picture_grid(cells: Sequence[Cell], columns: int, title: str = "") -> bytes:
    """Draw pictures row by row with their captions below; what is right and wrong has a colour and a sign."""
    captions = [caption_of(text) for text in drawable(cell.caption for cell in cells)]
    line = 1.25 * SMALL * POINT
    step = CELL + GAP + line * max(map(len, captions), default=0)
    rows = max(1, ceil(len(cells) / columns))
    width, height = columns * (CELL + GAP), rows * step
    figure = new_figure(width, height)
    for number, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        row, column = divmod(number, columns)
        left, bottom = column * (CELL + GAP), height - row * step - CELL
        axes = figure.add_axes((left / width, bottom / height, CELL / width, CELL / height))
        axes.imshow(cell.pixels, interpolation="antialiased")
        _frame(axes, cell.mark)
        place = (left / width, (bottom - 0.08) / height)
        figure.text(*place, "\n".join(caption), fontsize=SMALL, color=INK, va="top", linespacing=1.2)
    entitle(figure, title if cells else f"{title}: no pictures".removeprefix(": "))
    return png_of(figure)


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
    figure, axes = plain_figure(WIDTH, HEIGHT)
    for number, (name, values) in enumerate(zip(labels_of(series), series.values(), strict=True)):
        axes.plot(x, numbers_of(values), label=name, **stroke(number, len(x)))
    if len(x) and min(x) > 0 and max(x) >= WIDE * min(x):
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:g}")
    if len(x) <= NAMED_TICKS:
        axes.set_xticks(x)
    describe(axes, xlabel, ylabel)
    entitle(figure, title)
    return png_of(figure)


def histogram_pair(known: ArrayLike, unknown: ArrayLike, title: str, xlabel: str) -> bytes:
    """Draw how the scores of known and of unknown characters are spread, as shares of each."""
    both = [scores[np.isfinite(scores)] for scores in (np.asarray(known, float), np.asarray(unknown, float))]
    edges = np.histogram_bin_edges(np.concatenate(both), BINS)
    figure, axes = plain_figure(WIDTH, HEIGHT)
    looks = (("known", BLUE, "", "-"), ("unknown", ORANGE, "///", "--"))
    for scores, (name, colour, hatch, style) in zip(both, looks, strict=True):
        shares = np.histogram(scores, edges)[0] / max(len(scores), 1)
        axes.stairs(shares, edges, color=colour, linewidth=1.8, linestyle=style)
        label = f"{name} (n = {len(scores)})"
        axes.stairs(
            shares, edges, fill=True, facecolor=(colour, 0.3), edgecolor=(colour, 0.6), hatch=hatch, label=label
        )
    axes.set_ylim(bottom=0)
    describe(axes, xlabel, "share of the pictures")
    entitle(figure, title)
    return png_of(figure)


def _frame(axes: Axes, mark: Mark) -> None:
    """Put a picture into its frame, with its sign on the corner."""
    colour, sign = MARKS[mark]
    axes.set(xticks=(), yticks=(), anchor="SW")
    axes.spines[:].set(color=colour, linewidth=3 if sign else 1)
    if sign:
        disc = {"boxstyle": "circle", "facecolor": colour, "edgecolor": "white", "linewidth": 1.5}
        text = axes.text(1, 1, sign, transform=axes.transAxes, color="white", fontsize=TEXT, bbox=disc)
        text.set(ha="center", va="center")


def _bars(names: Sequence[str], series: Mapping[str, Sequence[Interval]], title: str, xlabel: str) -> bytes:
    """Draw groups of bars; a legend names the series where they have names."""
    pitch = len(series) + (0.8 if len(series) > 1 else 0.0)
    total = max(len(names) * pitch, 1.0)
    height = min(max(0.3 * total, 0.8), LARGEST)
    figure, axes = plain_figure(WIDTH, height)
    size, shown = thinned(len(names), height / total * pitch)
    first = np.arange(len(names), dtype=np.float64) * pitch
    for number, (name, values) in enumerate(zip(labels_of(series), series.values(), strict=True)):
        _draw_bars(axes, first + number, values, PALETTE[number % len(PALETTE)], name)
        if height / total > 1.1 * SMALL * POINT:
            _write_figures(axes, first + number, values)
    axes.set_ylim(total - pitch + len(series) - 0.4, -0.6)
    axes.set_xlim(*_room([end for values in series.values() for interval in values for end in interval]))
    axes.axvline(0, color=SOFT, linewidth=1.0)
    describe(axes, xlabel, one_in(shown).strip(" ()"))
    axes.grid(visible=False, axis="y")
    axes.set_yticks(first[:: shown.step] + (len(series) - 1) / 2, labels_of(names)[:: shown.step])
    axes.tick_params(axis="y", labelsize=size, length=0)
    entitle(figure, title)
    return png_of(figure)


def _draw_bars(axes: Axes, places: Numbers, values: Sequence[Interval], colour: str, name: str) -> None:
    """Draw bars and their intervals."""
    value, low, high = (numbers_of(interval[end] for interval in values) for end in range(3))
    axes.barh(places, np.nan_to_num(value), height=0.8, color=colour, alpha=0.85, label=name or None)
    known = np.isfinite(low) & np.isfinite(high)
    middle, half = (low + high)[known] / 2, (high - low)[known] / 2
    axes.errorbar(middle, places[known], xerr=half, fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5)


def _write_figures(axes: Axes, places: Numbers, values: Sequence[Interval]) -> None:
    """Write the value of each bar where it and its interval have ended."""
    for place, interval in zip(places, values, strict=True):
        value, _, high = numbers_of(interval)
        text = f"{value:.3f}".replace("-", "\N{MINUS SIGN}") if np.isfinite(value) else "–"
        end = (np.nanmax([0.0, value, high]), place)
        axes.annotate(text, end, (5, 0), textcoords="offset points", va="center", fontsize=SMALL, color=INK)


def _room(ends: Sequence[float | None]) -> tuple[float, float]:
    """Return limits that hold zero, everything that is drawn, and the figures beside it."""
    known = numbers_of([0.0, *ends])
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    span = high - low or 1.0
    return low - (0.03 * span if low < 0 else 0.0), high + 0.14 * span

"""Confusions as a matrix: as a heat map, and as a cluster map, where labels that are confused lie side by side.

Each function takes plain arrays and returns a PNG, the same bytes for the same input. Where there are too many labels,
every so many is named. Not here: where the arrays come from, and all other figures (`plots`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from indexer.evaluation.canvas import (
    BLUE,
    INK,
    LARGEST,
    LINE,
    SMALL,
    SOFT,
    TEXT,
    Numbers,
    entitle,
    one_in,
    plain_figure,
    png_of,
    thinned,
)
from indexer.evaluation.lettering import labels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PENCIL = ("#ffffff", "#a9c0f2", BLUE, "#0b1b47")
"""From paper to a pressed blue pencil, ever darker."""
BLANK = "#e3e3e3"
ANNOTATED = 15
"""A matrix of at most so many labels shows its figures."""
TREE = 1.3
"""Inches of a dendrogram."""
DARK = 0.3
"""The share from which on a cell is dark enough for white figures."""


def heat_map(matrix: Numbers, labels: Sequence[str], title: str, breaks: Sequence[int] = ()) -> bytes:
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
    entitle(figure, title)
    return png_of(figure)


def cluster_map(matrix: Numbers, labels: Sequence[str], title: str) -> bytes:
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
    entitle(figure, title, left=-gap - size, top=1 + gap + size)
    return png_of(figure)


def _matrix(matrix: Numbers, labels: Sequence[str]) -> tuple[Figure, Axes]:
    """Draw a square matrix of shares with its labels, as many as fit."""
    side = min(max(len(labels) * (0.46 if len(labels) <= ANNOTATED else 0.25), 2.0), LARGEST)
    figure, axes = plain_figure(side, side)
    _paint(axes, np.asarray(matrix, dtype=np.float64))
    size, shown = thinned(len(labels), side / len(labels))
    names = labels_of(labels)[:: shown.step]
    axes.set_xticks(shown, names, rotation=90)
    axes.set_yticks(shown, names)
    axes.tick_params(labelsize=size, labelcolor=INK, color=LINE)
    axes.spines[:].set_color(LINE)
    axes.set_xlabel(f"taken for{one_in(shown)}", fontsize=TEXT, color=SOFT)
    blank = ", grey without pictures" if np.isnan(matrix).any() else ""
    axes.set_ylabel(f"in truth{blank}{one_in(shown)}", fontsize=TEXT, color=SOFT)
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

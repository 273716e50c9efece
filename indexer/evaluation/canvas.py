"""What all figures have in common: colours, sizes of type, axes without ornament, titles, and the PNG at the end.

The colours stay apart for colour-blind eyes (Okabe and Ito, "Color Universal Design", 2008; the blue and the ink are
the pages' own). Everything is made of matplotlib's objects: its global state (pyplot) is left alone. Not here: what is
drawn (`plots`, `confusion_maps`), and which letters can be (`lettering`).
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.evaluation.lettering import drawable, families_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

DPI = 150
POINT = 1 / 72
"""Inches; type is measured in points."""
INK, SOFT, LINE = "#18202c", "#515c6e", "#d3dae5"
BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY = "#2453c6", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY, INK)
MARKERS, STYLES = "os^Dv*P", ("-", "--", "-.", ":")
TITLE, TEXT, SMALL, LEAST = 13.0, 10.5, 9.0, 7.5
"""Sizes of type in points."""
LARGEST = 12.0
"""Inches that a matrix or a bar chart may take."""
MARKED_POINTS = 20


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure; what lies beyond its edges is saved with it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def plain_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure that its axes fill, in inches: names, legend and title lie outside."""
    figure = new_figure(width, height)
    return figure, figure.add_axes((0, 0, 1, 1))


def describe(axes: Axes, xlabel: str = "", ylabel: str = "") -> None:
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


def stroke(number: int, points: int | None = None) -> dict[str, Any]:
    """Return how the line of a series looks: colour, dashes and, where its points are few, their shape."""
    marker = MARKERS[number % len(MARKERS)] if points is not None and points <= MARKED_POINTS else ""
    dashes = STYLES[number % len(STYLES)]
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": dashes, "marker": marker, "linewidth": 1.8}


def thinned(count: int, pitch: float) -> tuple[float, range]:
    """Return the size of type and the rows to name, where `count` rows are `pitch` inches apart."""
    size = min(max(0.7 * pitch / POINT, LEAST), TEXT)
    return size, range(0, count, max(1, ceil(1.1 * size * POINT / pitch)))


def one_in(shown: range) -> str:
    """Say that not every row is named."""
    return f" (one in {shown.step} is named)" if shown.step > 1 else ""


def entitle(figure: Figure, title: str, left: float = 0.0, top: float = 1.0) -> None:
    """Write the title above everything else."""
    width, height = figure.get_size_inches()
    columns = max(40, int(width * (1 - left) / (0.62 * TITLE * POINT)))
    heading = "\n".join(wrapped(drawable([title])[0], columns, 3))
    figure.text(left, top + 0.2 / height, heading, fontsize=TITLE, color=INK, va="bottom")


def png_of(figure: Figure) -> bytes:
    """Return the figure as PNG, without the metadata that would differ between two runs."""
    from matplotlib.text import Text

    texts = [artist for artist in figure.findobj(Text) if isinstance(artist, Text)]
    families, _ = families_of("".join(text.get_text() for text in texts))
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


def numbers_of(values: Iterable[float | None]) -> Numbers:
    """Return numbers with NaN for what is unknown."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

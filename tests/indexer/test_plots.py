"""`indexer.evaluation.plots`: what is drawn is what was given, can be read, and comes out the same every time."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from PIL import Image
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from indexer.evaluation import canvas, confusion_maps, lettering, plots
from indexer.evaluation.plots import Cell

pytestmark = pytest.mark.slow

SHOWS = ("the-simpsons", "one-piece", "new-game")
LABELS = [f"{show}/{name}" for show in SHOWS for name in ("charles_montgomery_burns", "nami", *"abcdefg")]
LEAST_SIZE = 7.5
Join = tuple[float, float | None]
"""A point of a tree: its place along the leaves, and its height, which is None for a leaf."""


def _confusion(count: int) -> canvas.Numbers:
    """Return a matrix of shares, mostly right, with a row that had no pictures."""
    matrix = np.random.default_rng(count).dirichlet(np.full(count, 0.05), count) * 0.4 + np.eye(count) * 0.6
    matrix[1] = np.nan
    return matrix


def _history(epochs: int) -> list[dict[str, float | None]]:
    """Return losses that fall, and rise again on validation after half of the epochs."""
    return [
        {
            "epoch": number,
            "training_loss": 1 / number,
            "validation_loss": 1 + abs(number - epochs // 2) / epochs,
            "validation_accuracy": number / epochs,
        }
        for number in range(1, epochs + 1)
    ]


def _cells(count: int) -> list[Cell]:
    """Return pictures of several shapes with long captions."""
    shapes, marks = ((40, 40), (20, 60), (60, 20)), ("right", "wrong", "none")
    return [
        Cell(
            np.full((*shapes[number % 3], 3), 40 * number % 255, np.uint8),
            f"{LABELS[0]}\ntaken for {LABELS[9]}\nsure 0.{number}",
            marks[number % 3],  # type: ignore[arg-type]
        )
        for number in range(count)
    ]


BINS = [(0.1, 0.2, 3), (0.5, 0.4, 10), (float("nan"), float("nan"), 0), (0.9, 0.7, 30)]
SERIES: dict[str, list[plots.Interval]] = {
    name: [(0.5, 0.4, 0.6), (0.9, None, None), (None, None, None)] for name in ("character", "show", "type")
}
SMALL: dict[str, Callable[[], bytes]] = {
    "heat map": lambda: confusion_maps.heat_map(_confusion(3), ["female", "male", "non-human"], "Types"),
    "cluster map": lambda: confusion_maps.cluster_map(_confusion(3), LABELS[:3], "Three"),
    "reliability": lambda: plots.reliability_diagram(BINS, BINS[:2], "Honesty", (0.1234, 0.02)),
    "risk": lambda: plots.risk_coverage_curves({"show": ([0.1, 0.5, 1.0], [0.0, 0.1, 0.2]), "type": ([1.0], [0.5])}),
    "learning": lambda: plots.learning_curves(_history(30)),
    "pictures": lambda: plots.picture_grid(_cells(4), 3, "Mistakes"),
    "bars": lambda: plots.bars([(label, 0.5, 0.4, 0.7) for label in LABELS[:2]], "Robustness", "accuracy"),
    "grouped bars": lambda: plots.grouped_bars(LABELS[:3], SERIES, "Models", "accuracy"),
    "lines": lambda: plots.lines([8, 64, 4096], {"a": [0.1, None, 0.3]}, "By dimension", "dimensions", "recall"),
    "histograms": lambda: plots.histogram_pair([0.1, 0.9, 0.8], [0.2], "Open set", "score"),
}
EXTREME: dict[str, Callable[[], bytes]] = {
    "cluster map of one": lambda: confusion_maps.cluster_map(np.eye(1), ["alone"], "One"),
    "no bins": lambda: plots.reliability_diagram([], [], "Honesty", (0.0, 0.0)),
    "one epoch": lambda: plots.learning_curves(_history(1)),
    "no epoch": lambda: plots.learning_curves([]),
    "no pictures": lambda: plots.picture_grid([], 3),
    "no bars": lambda: plots.bars([], "Robustness", "accuracy"),
    "no scores": lambda: plots.histogram_pair([], [], "Open set", "score"),
    "heat map of 15": lambda: confusion_maps.heat_map(_confusion(15), LABELS[:15], "Characters", [9]),
    "heat map of 27": lambda: confusion_maps.heat_map(_confusion(27), LABELS, "Characters", [0, 9, 18]),
    "cluster map of 27": lambda: confusion_maps.cluster_map(_confusion(27), LABELS, "Characters"),
    "many pictures": lambda: plots.picture_grid(_cells(11), 4, "Mistakes"),
    "many bars": lambda: plots.bars([(label, 0.5, 0.4, 0.7) for label in LABELS], "Robustness " * 20, "accuracy"),
    "many groups": lambda: plots.grouped_bars(LABELS, {name: [(0.5, 0.4, 0.6)] * 27 for name in SHOWS}, "", "accuracy"),
    "many lines": lambda: plots.lines(
        list(range(2, 60)), {LABELS[number]: [number] * 58 for number in range(9)}, "", "dimensions", "recall"
    ),
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Figure]:
    """Keep the figure of the last plot instead of saving it, so that what is in it can be asked for."""
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    return lambda: figures[-1]


@pytest.fixture
def bundled_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave only the fonts that come with matplotlib: without East Asian characters, wherever the test runs."""
    own = [entry for entry in fontManager.ttflist if entry.fname.startswith(mpl.get_data_path())]
    monkeypatch.setattr(fontManager, "ttflist", own)
    lettering.covering.cache_clear()
    yield
    lettering.covering.cache_clear()


def _texts(figure: Figure) -> list[Text]:
    """Return the texts that can be seen."""
    return [
        text
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_text().strip() and text.get_visible()
    ]


def _words(figure: Figure) -> list[str]:
    return [text.get_text() for text in _texts(figure)]


def _names(axes: Axes, axis: str) -> list[str]:
    """Return the names on an axis, in the order of the rows."""
    return [label.get_text() for label in (axes.get_yticklabels() if axis == "y" else axes.get_xticklabels())]


@pytest.mark.parametrize("name", SMALL)
def test_the_same_input_gives_the_same_png(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plot is a PNG for 150 dots an inch, cut nowhere, that tells neither when nor with what it was made.

    It needs no pyplot, leaves the settings alone, and gives no warning (which would be an error here).
    """
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    before = _settings()
    png = SMALL[name]()
    assert png == SMALL[name]()
    assert _settings() == before
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    assert set(picture.info) == {"dpi"}
    assert picture.info["dpi"] == pytest.approx((150, 150), abs=0.1)
    pixels = np.asarray(picture.convert("RGB"))
    assert pixels.min() < 64
    assert all(side.min() == 255 for side in (pixels[:9], pixels[-9:], pixels[:, :9], pixels[:, -9:]))


def _settings() -> dict[str, object]:
    """Return matplotlib's settings but for the backend: asking for that one imports pyplot."""
    return {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}


@pytest.mark.parametrize("name", [*SMALL, *EXTREME])
def test_no_text_covers_another_or_is_too_small(name: str, drawn: Callable[[], Figure]) -> None:
    """Titles, labels, legends and figures keep clear of each other and are of a size that can be read."""
    (SMALL | EXTREME)[name]()
    figure = drawn()
    figure.draw_without_rendering()
    beyond = _beyond(figure)
    texts = [text for text in _texts(figure) if id(text) not in beyond]
    assert texts
    assert all(float(text.get_fontsize()) >= LEAST_SIZE for text in texts)
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for (one, box), (other, another) in combinations(boxes, 2):
        overlap = box.intersection(box, another)
        assert overlap is None or min(overlap.width, overlap.height) < 1, (one, other)


def _beyond(figure: Figure) -> set[int]:
    """Return which texts are those of ticks beyond the ends of their axes: matplotlib keeps them undrawn."""
    beyond = set()
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not limits[0] - 1e-9 <= tick.get_loc() <= limits[1] + 1e-9:
                    beyond |= {id(tick.label1), id(tick.label2)}
    return beyond


def test_importing_the_module_imports_no_matplotlib() -> None:
    """Matplotlib reads its settings and fonts when it is imported: that waits for the first plot."""
    code = "import sys, indexer.evaluation.plots; sys.exit('matplotlib' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_long_title_is_broken_and_ends_with_the_picture(drawn: Callable[[], Figure]) -> None:
    """A title has three lines at the most, which are no wider than what they stand above."""
    plots.bars([("a", 0.5, None, None)], "A title of many words, " * 20, "accuracy")
    figure = drawn()
    (title,) = figure.texts
    assert title.get_text().count("\n") == 2
    assert title.get_window_extent().width < figure.bbox.width


# Matrices


def test_a_heat_map_shows_the_matrix_row_by_row(drawn: Callable[[], Figure]) -> None:
    """Rows are the truth from top to bottom, columns what it was taken for, and a row of NaN is grey."""
    matrix = np.array([[0.9, 0.1, 0.0], [np.nan] * 3, [0.004, 0.25, 0.746]])
    confusion_maps.heat_map(matrix, ["a", "b", "c"], "Three")
    axes = drawn().axes[0]
    image: Any = axes.images[0]
    assert np.array_equal(image.get_array().filled(np.nan), matrix, equal_nan=True)
    assert _names(axes, "x") == _names(axes, "y") == ["a", "b", "c"]
    bottom, top = axes.get_ylim()
    assert top < bottom  # the first row is on top
    assert to_hex(image.cmap(image.norm(np.ma.masked_invalid(matrix[1:2]))[0, 0])) == confusion_maps.BLANK
    assert "grey" in axes.get_ylabel()
    figures = {(int(x), int(y)): text.get_text() for text in axes.texts for x, y in [text.get_position()]}
    assert figures == {
        (0, 0): "0.90",
        (1, 0): "0.10",
        **{(column, 1): "–" for column in range(3)},
        (1, 2): "0.25",  # 0.004 beside it would be 0.00, and is not worth a figure
        (2, 2): "0.75",
    }


def test_the_colours_of_a_heat_map_darken_with_the_share(drawn: Callable[[], Figure]) -> None:
    """Nothing is white, everything is darkest, and one in a hundred can already be told from nothing."""
    confusion_maps.heat_map(np.eye(2), ["a", "b"], "Two")
    image: Any = drawn().axes[0].images[0]
    light = [float(np.mean(image.cmap(image.norm(share))[:3])) for share in np.linspace(0, 1, 101)]
    assert light[0] == 1.0
    assert light[0] - light[1] > 0.02
    assert all(one > other for one, other in pairwise(light))


def test_figures_can_be_read_on_their_cells(drawn: Callable[[], Figure]) -> None:
    """A figure's contrast with the colour of its cell is 3.9:1 at the least, whatever the share (WCAG 2, 1.4.3)."""
    shares = np.linspace(0.01, 1, 52)
    for chunk in shares.reshape(-1, 2, 2):
        confusion_maps.heat_map(chunk, ["a", "b"], "Two")
        axes = drawn().axes[0]
        image: Any = axes.images[0]
        for text, share in zip(axes.texts, chunk.ravel(), strict=True):
            cell, ink = _luminance(image.cmap(image.norm(share))), _luminance(mpl.colors.to_rgba(text.get_color()))
            assert (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05) > 3.9


def _luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of a colour (WCAG 2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize(("count", "figures"), [(15, 15), (16, 0)])
def test_only_small_matrices_show_their_figures(count: int, figures: int, drawn: Callable[[], Figure]) -> None:
    """Up to 15 labels there is room for figures."""
    confusion_maps.heat_map(np.eye(count), [str(number) for number in range(count)], "Many")
    assert len(drawn().axes[0].texts) == figures


def test_lines_divide_the_shows(drawn: Callable[[], Figure]) -> None:
    """A break is a line across and a line down before its row; none lies on the border."""
    confusion_maps.heat_map(np.eye(4), list("abcd"), "Four", breaks=(0, 1, 3, 4))
    places = [tuple(float(np.ravel(line.get_data()[axis])[0]) for axis in (0, 1)) for line in drawn().axes[0].lines]
    assert sorted(places) == [(0.0, 0.5), (0.0, 2.5), (0.5, 0.0), (2.5, 0.0)]


def test_of_too_many_labels_every_so_many_is_named(drawn: Callable[[], Figure]) -> None:
    """Of 300 labels a third is named, each at its own row, and the axes say so."""
    labels = [f"show/character-{number}" for number in range(300)]
    confusion_maps.heat_map(np.eye(300), labels, "Many")
    axes = drawn().axes[0]
    assert _names(axes, "y") == _names(axes, "x") == labels[::3]
    assert axes.get_yticks().tolist() == axes.get_xticks().tolist() == list(range(0, 300, 3))
    assert "one in 3 is named" in axes.get_xlabel()
    assert "one in 3 is named" in axes.get_ylabel()
    pitch = axes.get_window_extent().height / 100
    assert max(label.get_window_extent().height for label in axes.get_yticklabels()) < pitch


def test_a_cluster_map_puts_side_by_side_what_is_confused(drawn: Callable[[], Figure]) -> None:
    """Where a is taken for c, and b for d, these become neighbours, and the cells move with their labels."""
    matrix = np.array([[0.6, 0, 0.4, 0], [0.1, 0.5, 0, 0.4], [0.4, 0, 0.6, 0], [0, 0.2, 0, 0.8]])
    confusion_maps.cluster_map(matrix, list("abcd"), "Four")
    axes = drawn().axes[0]
    names = _names(axes, "y")
    assert names == _names(axes, "x")
    assert {frozenset(names[:2]), frozenset(names[2:])} == {frozenset("ac"), frozenset("bd")}
    shown = np.asarray(axes.images[0].get_array())
    for row, truth in enumerate(names):
        for column, taken in enumerate(names):
            assert shown[row, column] == matrix["abcd".index(truth), "abcd".index(taken)]


def test_the_trees_are_those_that_scipy_draws(drawn: Callable[[], Figure]) -> None:
    """Above and beside the matrix stands scipy's dendrogram of the same linkage, but for where the leaves end."""
    matrix = np.nan_to_num(_confusion(12))
    confusion_maps.cluster_map(matrix, LABELS[:12], "Twelve")
    distance = 1 - (matrix + matrix.T) / 2
    np.fill_diagonal(distance, 0)
    tree: Any = dendrogram(linkage(squareform(distance), "average", optimal_ordering=True), no_plot=True)
    expected: list[list[Join]] = [
        [((x - 5) / 10, y or None) for x, y in zip(xs, ys, strict=True)]
        for xs, ys in zip(tree["icoord"], tree["dcoord"], strict=True)
    ]
    matrix_axes, above, beside, _ = drawn().axes
    assert _names(matrix_axes, "y") == [LABELS[row] for row in tree["leaves"]]
    floor = min(y for bracket in expected for _, y in bracket if y is not None)
    for axes, turn in ((above, 1), (beside, -1)):
        (lines,) = axes.findobj(LineCollection)
        assert isinstance(lines, LineCollection)
        brackets: list[list[Join]] = [
            [(float(x), float(y) if y >= floor else None) for x, y in np.asarray(points)[:, ::turn]]
            for points in lines.get_segments()
        ]
        assert _rounded(brackets) == _rounded(expected)
    low, high = above.get_xlim()
    assert (low, high) == (-0.5, 11.5)  # as wide as the cells
    assert beside.get_ylim() == (11.5, -0.5)


def _rounded(brackets: list[list[Join]]) -> list[list[tuple[float, float]]]:
    """Return brackets in a fixed order, with -1 for the height of a leaf."""
    return sorted(sorted((round(x, 9), -1.0 if y is None else round(y, 9)) for x, y in bracket) for bracket in brackets)


# Curves and bars


def test_a_reliability_diagram_shows_filled_bins_and_both_errors(drawn: Callable[[], Figure]) -> None:
    """Points are (confidence, accuracy), counts stand below; an empty bin is neither; the legends tell the errors."""
    plots.reliability_diagram(BINS, BINS[:1], "Honesty", (0.1234, 0.02))
    before, after, counts_before, counts_after = drawn().axes
    points = [panel.lines[1].get_xydata().tolist() for panel in (before, after)]  # type: ignore[union-attr]
    assert points == [[[0.1, 0.2], [0.5, 0.4], [0.9, 0.7]], [[0.1, 0.2]]]
    assert before.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]  # type: ignore[union-attr]
    heights = [[line[1][1] for line in panel.collections[0].get_segments()] for panel in (counts_before, counts_after)]  # type: ignore[attr-defined]
    assert heights == [[3, 10, 30], [3]]
    assert [_words_of_legend(panel)[1] for panel in (before, after)] == [
        "before calibration, ECE 0.123",
        "after calibration, ECE 0.020",
    ]


def _words_of_legend(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def test_risk_stands_over_coverage(drawn: Callable[[], Figure]) -> None:
    """Each curve has its name in the legend, and no two look alike without colours."""
    curves = {"show": ([0.5, 1.0], [0.0, 0.2]), "type": ([0.2, 1.0], [0.1, 0.3]), "character": ([1.0], [0.5])}
    plots.risk_coverage_curves(curves)
    (axes,) = drawn().axes
    found = {str(line.get_label()): tuple(np.asarray(line.get_data()).tolist()) for line in axes.lines}
    assert found == curves
    assert _words_of_legend(axes) == list(curves)
    assert len({line.get_linestyle() for line in axes.lines}) == len(curves)


@pytest.mark.parametrize(("chosen", "marked"), [(None, 4), (6, 6)])
def test_the_chosen_epoch_is_marked(chosen: int | None, marked: int, drawn: Callable[[], Figure]) -> None:
    """Losses above, accuracy below; the epoch of the lowest validation loss is marked unless another is named."""
    plots.learning_curves(_history(8), chosen=chosen)
    losses, accuracy = drawn().axes
    assert _words_of_legend(losses) == ["training", "validation", f"epoch {marked}, chosen"]
    assert _words_of_legend(accuracy) == ["validation", f"epoch {marked}, chosen"]
    for panel in (losses, accuracy):
        assert np.asarray(panel.lines[-1].get_xdata()).tolist() == [marked, marked]
    assert np.asarray(accuracy.lines[0].get_ydata()).tolist() == [number / 8 for number in range(1, 9)]


def test_without_validation_there_is_one_curve_and_no_chosen_epoch(drawn: Callable[[], Figure]) -> None:
    """What was not measured is not drawn."""
    rows = [row | {"validation_loss": None, "validation_accuracy": None} for row in _history(5)]
    plots.learning_curves(rows)
    (axes,) = drawn().axes
    assert _words_of_legend(axes) == ["training"]


def test_right_and_wrong_have_a_sign_besides_a_colour(drawn: Callable[[], Figure]) -> None:
    """A tick or a cross sits on the picture's corner, in the colour of its frame; a picture without a mark has none."""
    plots.picture_grid(_cells(3), 3)
    signs = [[text.get_text() for text in axes.texts] for axes in drawn().axes]
    assert signs == [["✓"], ["✗"], []]
    frames = [to_hex(axes.spines["left"].get_edgecolor()) for axes in drawn().axes]
    assert frames == [canvas.GREEN, canvas.ORANGE, canvas.LINE]


def test_pictures_stand_row_by_row_with_their_captions_below(drawn: Callable[[], Figure]) -> None:
    """Seven pictures in three columns: each keeps its pixels and shape, and its caption begins below its left edge."""
    cells = _cells(7)
    plots.picture_grid(cells, 3)
    figure = drawn()
    figure.draw_without_rendering()  # puts frames around pictures that are not square
    frames = [axes.get_window_extent() for axes in figure.axes]
    captions = [text for text in figure.texts if text.get_text()]
    assert len(frames) == len(captions) == 7
    places = [(-round(frame.y0), round(frame.x0)) for frame in frames]
    assert places == sorted(places)
    assert [len({place[axis] for place in places}) for axis in (0, 1)] == [3, 3]
    for axes, frame, caption, cell in zip(figure.axes, frames, captions, cells, strict=True):
        assert np.array_equal(np.asarray(axes.images[0].get_array()), cell.pixels)
        assert frame.height / frame.width == pytest.approx(cell.pixels.shape[0] / cell.pixels.shape[1])
        below = caption.get_window_extent()
        assert below.x0 == pytest.approx(frame.x0, abs=2)
        assert below.y1 < frame.y0
        assert below.width < 2.0 * canvas.DPI
        said = "".join(caption.get_text().split())
        assert said == "".join(cell.caption.split())


def test_bars_have_their_figures_and_intervals(drawn: Callable[[], Figure]) -> None:
    """From top to bottom: a bar with an interval, one without, one that is not known, and one below zero."""
    plots.bars(
        [("a", 0.5, 0.4, 0.7), ("b", 0.25, None, None), ("c", None, None, None), ("d", -0.1, None, None)],
        "Four",
        "accuracy",
    )
    (axes,) = drawn().axes
    bottom, top = axes.get_ylim()
    assert top < bottom
    assert _names(axes, "y") == list("abcd")
    assert [patch.get_width() for patch in axes.patches] == [0.5, 0.25, 0.0, -0.1]  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["0.500", "0.250", "–", "\N{MINUS SIGN}0.100"]
    whiskers = [segment for lines in axes.collections for segment in lines.get_segments()]  # type: ignore[attr-defined]
    assert np.allclose(whiskers, [[[0.4, 0.0], [0.7, 0.0]]])
    assert axes.texts[0].xy[0] == 0.7  # type: ignore[attr-defined]
    low, high = axes.get_xlim()
    assert low < -0.1
    assert high > 0.7


def test_grouped_bars_stand_together_by_name(drawn: Callable[[], Figure]) -> None:
    """Of two names and two series: the bars of a name touch one another more closely than those of the other."""
    series = {"show": [(0.1, None, None), (0.2, None, None)], "type": [(0.3, None, None), (0.4, None, None)]}
    plots.grouped_bars(["one", "other"], series, "Models", "accuracy")
    (axes,) = drawn().axes
    assert _words_of_legend(axes) == ["show", "type"]
    places = {patch.get_width(): patch.get_y() + patch.get_height() / 2 for patch in axes.patches}  # type: ignore[attr-defined]
    assert sorted(places, key=lambda width: places[width]) == [0.1, 0.3, 0.2, 0.4]
    assert places[0.3] - places[0.1] < places[0.2] - places[0.3]
    assert axes.get_yticks().tolist() == pytest.approx(
        [(places[0.1] + places[0.3]) / 2, (places[0.2] + places[0.4]) / 2]
    )


def test_of_too_many_bars_every_so_many_is_named(drawn: Callable[[], Figure]) -> None:
    """Three hundred bars are all drawn, a third of them is named, and figures would not fit."""
    plots.bars([(f"character-{number}", number / 300, None, None) for number in range(300)], "Many", "accuracy")
    (axes,) = drawn().axes
    assert len(axes.patches) == 300
    assert _names(axes, "y") == [f"character-{number}" for number in range(0, 300, 3)]
    assert axes.get_ylabel() == "one in 3 is named"
    assert len(axes.texts) == 0


@pytest.mark.parametrize(
    ("x", "scale", "ticks"),
    [
        ([8, 64, 4096], "log", ["8", "64", "4096"]),
        ([64, 128], "linear", ["64", "128"]),
        ([0, 50], "linear", ["0", "50"]),
    ],
)
def test_wide_dimensions_run_in_powers_of_two(
    x: list[float], scale: str, ticks: list[str], drawn: Callable[[], Figure]
) -> None:
    """Each dimension that was measured is named, and no other; a small range, or one from zero, stays linear."""
    plots.lines(x, {"recall": [0.5] * len(x)}, "By dimension", "dimensions", "recall@10")
    (axes,) = drawn().axes
    assert axes.get_xscale() == scale
    assert _names(axes, "x") == ticks
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("dimensions", "recall@10")


def test_a_missing_value_leaves_a_gap(drawn: Callable[[], Figure]) -> None:
    """None is neither zero nor bridged."""
    plots.lines([1, 2, 3], {"recall": [0.5, None, 0.7]}, "", "", "")
    values = np.asarray(drawn().axes[0].lines[0].get_ydata(), dtype=float)
    assert np.array_equal(values, [0.5, np.nan, 0.7], equal_nan=True)


def test_each_histogram_is_of_shares(drawn: Callable[[], Figure]) -> None:
    """However many pictures there are of each kind, their shares add up to one, over the same bins."""
    plots.histogram_pair([0.0, 0.5, 1.0, float("nan")], [0.25], "Open set", "score")
    (axes,) = drawn().axes
    steps = [patch for patch in axes.findobj(StepPatch) if isinstance(patch, StepPatch)]
    filled: list[Any] = [patch.get_data() for patch in steps if patch.get_fill()]
    assert [float(np.sum(data.values)) for data in filled] == pytest.approx([1.0, 1.0])
    assert [int(np.count_nonzero(data.values)) for data in filled] == [3, 1]
    assert np.array_equal(filled[0].edges, filled[1].edges)
    assert _words_of_legend(axes) == ["known (n = 3)", "unknown (n = 1)"]


# Lettering


def _label(text: str, drawn: Callable[[], Figure]) -> str:
    """Return how a label is written."""
    plots.bars([(text, 0.5, None, None)], "", "")
    return _names(drawn().axes[0], "y")[0]


@pytest.mark.usefixtures("bundled_fonts")
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Тетрадь смерти/Лайт", "Тетрадь смерти/Лайт"),
        ("進撃/Eren", "??/Eren"),
        ("드래곤볼", "????"),
        ("half \udcff name", "half ? name"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("bell\x07", "bell"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("$\\frac$ & $x_1$", "$\\frac$ & $x_1$"),
        ("\\$5", "\\$5"),
    ],
)
def test_labels_are_written_as_far_as_there_are_letters(text: str, written: str, drawn: Callable[[], Figure]) -> None:
    """What no font has is a question mark; line breaks are spaces; a dollar sign is a dollar sign and no formula."""
    assert _label(text, drawn) == written


@pytest.mark.usefixtures("bundled_fonts")
def test_another_font_helps_out(drawn: Callable[[], Figure], monkeypatch: pytest.MonkeyPatch) -> None:
    """A character that only another installed font has is written with that one; fonts that add nothing stay away."""
    only = "\N{MATHEMATICAL ITALIC SMALL PI}"
    monkeypatch.setattr(lettering, "FONT", "STIXNonUnicode")
    monkeypatch.setattr(lettering, "UNUSABLE", re.compile("^(?!STIXGeneral|cmr10)"))
    assert _label(f"a{only}", drawn) == f"a{only}"
    assert drawn().axes[0].get_yticklabels()[0].get_fontfamily() == ["STIXNonUnicode", "STIXGeneral"]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=3))
@example(["$", "$$", "\\$x$"])
@example(["\N{VARIATION SELECTOR-16}\N{ZERO WIDTH JOINER}"])
def test_any_name_can_be_drawn(names: list[str]) -> None:
    """Whatever a folder is called, the plot is drawn without a warning."""
    assert plots.picture_grid([Cell(np.zeros((2, 2, 3), np.uint8), name) for name in names], 2, names[0])


@pytest.mark.usefixtures("bundled_fonts")
def test_long_labels_lose_their_middle(drawn: Callable[[], Figure]) -> None:
    """Of a label that is too long the beginning (which show) and the end (which character) remain."""
    fits = "the-simpsons/charles_montgomery_burns"
    assert _label(fits, drawn) == fits
    long = _label(f"first/{'x' * 250}/last", drawn)
    assert long.startswith("first/x")
    assert long.endswith("x/last")
    assert "x…x" in long
    assert len(long) == lettering.LABEL_COLUMNS


def test_captions_are_broken_where_names_have_joints(drawn: Callable[[], Figure]) -> None:
    """A long name goes on in a second line after its slash, dash or underline; what is longer still is shortened."""
    long = f"some/{'very_' * 30}end"
    plots.picture_grid([Cell(np.zeros((9, 9, 3), np.uint8), f"the-simpsons/charles_montgomery_burns\n{long}")], 1)
    first, second, third, fourth = drawn().texts[0].get_text().split("\n")
    assert (first, second) == ("the-simpsons/charles_", "montgomery_burns")
    assert third.startswith("some/very_")
    assert fourth.endswith("_end")
    assert "…" in third + fourth
    assert max(map(len, (first, second, third, fourth))) <= lettering.CAPTION_COLUMNS

"""`indexer.evaluation.report`: one page that needs nothing else, the figures in full, and all of it at once."""

from __future__ import annotations

import base64
import csv
import errno
import io
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from indexer.evaluation.plots import lines
from indexer.evaluation.report import Plot, Report, Section, Table, write_report
from recommender.errors import BuildError
from tests.pictures import picture
from tests.web.browsing import FLAGS

pytestmark = pytest.mark.slow

PNG = picture(1, (30, 20))
LABEL = 'show/<b>"Tom" & Jerry</b>'
CHARACTERS = Table(
    "characters",
    "Characters",
    ("character", "pictures", "accuracy", "known"),
    (
        (LABEL, 12, 2 / 3, True),
        ("進撃の巨人/エレン", 0, None, False),
        ("a,b\nc", np.int64(7), np.float64(-0.25), True),
        ("nothing", 1, float("nan"), True),
    ),
    note="Of the test part.",
)
REPORT = Report(
    "Evaluation of <demo>",
    ("This model is untrained.", "Few pictures & wide intervals."),
    (("characters right", "91.2 %"),),
    (
        Section("Accuracy", "How often it is right.", (CHARACTERS, Plot("risk", "Risk", PNG, "It rises."))),
        Section("Nothing", "Nobody knows.", (Table("empty", "Empty", ("a", "b"), ()),)),
    ),
)
METRICS = {
    "accuracy": 2 / 3,
    "none": [float("nan"), float("inf"), np.float64("nan")],
    "そっくり": np.arange(2),
    "n": None,
}
FILES = {"report.html", "metrics.json", "risk.png", "characters.csv", "empty.csv"}


class Elements(HTMLParser):
    """The elements of a page: tag, attributes, and the text inside."""

    VOID = frozenset({"meta", "img", "circle", "br", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        if tag not in self.VOID:
            self._open.append(len(self.found))
        self.found.append((tag, dict(attrs), []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element without an inside."""
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        """Hold the page to closing what was opened last."""
        assert self.found[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        """Give the text to every element that is open."""
        for number in self._open:
            self.found[number][2].append(data)

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of some tags."""
        return [attributes for tag, attributes, _ in self.found if tag in tags]

    def text(self, *tags: str) -> list[str]:
        """Return what stands in all elements of some tags."""
        return [" ".join("".join(text).split()) for tag, _, text in self.found if tag in tags]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write the report."""
    write_report(REPORT, METRICS, tmp_path / "deep" / "report")
    return tmp_path / "deep" / "report"


@pytest.fixture
def page(folder: Path) -> Elements:
    """Read the page."""
    return Elements((folder / "report.html").read_text(encoding="utf-8"))


def test_a_report_is_a_page_its_figures_and_a_file_for_each_part(folder: Path) -> None:
    """The folder holds these files and no others, and the plot as it was given."""
    assert {file.name for file in folder.iterdir()} == FILES
    assert (folder / "risk.png").read_bytes() == PNG
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_the_page_is_a_whole_document(page: Elements) -> None:
    """Language, title, one heading, a heading for each section, and a way to each of them."""
    assert page.of("html") == [{"lang": "en"}]
    assert page.text("title") == ["Evaluation of <demo> – Sokkuri"]
    assert page.text("h1") == ["Evaluation of <demo>"]
    assert page.text("h2") == ["Accuracy", "Nothing"]
    inside = [str(link["href"])[1:] for link in page.of("a") if str(link["href"]).startswith("#")]
    ids = [attributes["id"] for _, attributes, _ in page.found if "id" in attributes]
    assert len(inside) == 3
    assert set(inside) <= set(ids)
    assert len(ids) == len(set(ids))
    assert page.text("dt", "dd") == ["characters right", "91.2 %"]
    assert [text for text in page.text("p") if text in REPORT.notices] == list(REPORT.notices)


def test_the_page_needs_nothing_else(folder: Path, page: Elements) -> None:
    """The plot is inside, and so is the style; there is no script, and no address but those of the files beside it."""
    (image,) = page.of("img")
    assert base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,")) == PNG
    assert image["alt"] == "It rises."
    assert page.of("script", "link", "iframe") == []
    links = {str(link["href"]) for link in page.of("a")}
    assert {link for link in links if not link.startswith("#")} == FILES - {"report.html"}
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|url\(|@import|\bon\w+=", text)
    assert "Content-Security-Policy" in text


def test_tables_are_told_apart_from_layout(page: Elements) -> None:
    """A table has a name, heads of columns and of rows, and can be scrolled with the keyboard."""
    assert [table["aria-label"] for table in page.of("table")] == ["Characters", "Empty"]
    assert {attributes["scope"] for attributes in page.of("th")} == {"col", "row"}
    assert len([head for head in page.of("th") if head["scope"] == "row"]) == len(CHARACTERS.rows)
    boxes = [box for box in page.of("div") if box.get("class") == "wide"]
    assert [(box["tabindex"], box["aria-label"]) for box in boxes] == [
        ("0", "Characters"),
        ("0", "Risk"),
        ("0", "Empty"),
    ]
    assert "There is nothing to show." in page.text("p")
    assert "Of the test part." in page.text("p")


def test_cells_are_short_and_numbers_stand_in_line(page: Elements) -> None:
    """Three decimals, a dash for what is not known, yes and no as words; columns of numbers, and no others, in line."""
    cells = [(text, attributes) for tag, attributes, text in page.found if tag == "td"]
    assert ["".join(text) for text, _ in cells] == [
        *("12", "0.667", "yes"),
        *("0", "–", "no"),
        *("7", "\N{MINUS SIGN}0.250", "yes"),
        *("1", "–", "yes"),
    ]
    assert [attributes.get("class") for _, attributes in cells] == ["number", "number", None] * 4


def test_what_is_written_is_text_and_never_markup(page: Elements) -> None:
    """A folder's name may hold any sign: on the page it stands as it is."""
    assert LABEL in page.text("th")
    assert page.of("b") == []


def test_tables_are_kept_in_full_precision(folder: Path) -> None:
    """RFC 4180: a row a line, ended by CR LF; a cell with a comma or a line break is quoted; unknown is empty."""
    data = (folder / "characters.csv").read_bytes()
    assert data.startswith(b"character,pictures,accuracy,known\r\n")
    assert data.endswith(b"\r\n")
    with (folder / "characters.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["character", "pictures", "accuracy", "known"],
        [LABEL, "12", repr(2 / 3), "True"],
        ["進撃の巨人/エレン", "0", "", "False"],
        ["a,b\nc", "7", "-0.25", "True"],
        ["nothing", "1", "", "True"],
    ]
    assert (folder / "empty.csv").read_bytes() == b"a,b\r\n"


def test_metrics_are_json_that_every_program_reads(folder: Path) -> None:
    """Numbers in full, None where a number is not finite, numpy's arrays as lists, and letters as letters."""
    text = (folder / "metrics.json").read_text(encoding="utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(text, parse_constant=refuse) == {
        "accuracy": 2 / 3,
        "none": [None, None, None],
        "そっくり": [0, 1],
        "n": None,
    }
    assert "そっくり" in text
    assert text.startswith('{\n "accuracy"')
    assert text.endswith("}\n")


def test_the_same_report_is_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Nothing tells when a report was written."""
    write_report(REPORT, METRICS, tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_rerun_replaces_the_files_and_leaves_what_is_not_its_own(folder: Path) -> None:
    """The folder holds the new report, and a note that lay there; who was reading the old page reads it to its end."""
    (folder / "note.txt").write_text("mine")
    before = (folder / "report.html").read_text(encoding="utf-8")
    with (folder / "report.html").open(encoding="utf-8") as reading:
        write_report(Report("Again", (), (), REPORT.sections), {"accuracy": 1.0}, folder)
        assert reading.read() == before
    assert {file.name for file in folder.iterdir()} == FILES | {"note.txt"}
    assert (folder / "note.txt").read_text() == "mine"
    assert json.loads((folder / "metrics.json").read_text()) == {"accuracy": 1.0}
    assert "<h1>Again</h1>" in (folder / "report.html").read_text()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be full after two files: the third is written by half."""
    write, written = Path.write_bytes, []

    def fail(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) < 3:
            return write(path, data)
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", fail)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_no_half_report(tmp_path: Path) -> None:
    """The error says what to do, and nothing remains."""
    with pytest.raises(BuildError, match=r"report cannot be written \(No space left on device\): make room and run"):
        write_report(REPORT, METRICS, tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_on_a_rerun_leaves_whole_files(folder: Path, request: pytest.FixtureRequest) -> None:
    """Each file is the old one or the new one, the page is the old one, and nothing else lies there."""
    before = {name: (folder / name).read_bytes() for name in FILES}
    request.getfixturevalue("full_disk")
    with pytest.raises(BuildError, match="make room"):
        write_report(Report("Again", (), (), REPORT.sections), {}, folder)
    assert {file.name for file in folder.iterdir()} == FILES
    after = {name: (folder / name).read_bytes() for name in FILES}
    assert [name for name in FILES if after[name] != before[name]] == ["metrics.json"]
    assert json.loads(after["metrics.json"]) == {}


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    """It stays as it is, and so does one above the folder."""
    (tmp_path / "report").write_text("mine")
    with pytest.raises(BuildError, match=r"/report is a file: name a folder"):
        write_report(REPORT, METRICS, tmp_path / "report")
    with pytest.raises(BuildError, match=r"/report/inside cannot be written \(.+\): name another folder"):
        write_report(REPORT, METRICS, tmp_path / "report" / "inside")
    assert (tmp_path / "report").read_text() == "mine"


@pytest.mark.parametrize("names", [("same", "same"), ("Upper", "b"), ("../up", "b"), ("", "b")])
def test_names_of_parts_are_names_of_files(names: tuple[str, str], tmp_path: Path) -> None:
    """Two parts of one name would overwrite each other, and a name with a path would leave the folder."""
    parts = (Plot(names[0], "One", PNG, ""), Table(names[1], "Other", ("a",), ()))
    with pytest.raises(ValueError, match=re.escape(repr(names[0]))):
        write_report(Report("", (), (), (Section("", "", parts),)), {}, tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


def test_a_plot_is_shown_at_its_size_in_print() -> None:
    """A picture of 150 dots an inch takes the pixels that an inch of a page has."""
    png = PNG[:16] + (1500).to_bytes(4, "big") + (750).to_bytes(4, "big")
    assert Plot("a", "A", png, "").size == (960, 480)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the machine's own Chromium."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("there is no Chromium here: `apt-get install chromium` as root brings one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


def _large_report() -> Report:
    """Return a report with a plot and a table that are wider and longer than any screen."""
    columns = ("character", *(f"a long column {number}" for number in range(14)))
    rows = tuple((f"the-simpsons/charles_montgomery_burns_{number}", *[0.5] * 14) for number in range(40))
    plot = lines([1, 2, 3], {"recall": [0.1, 0.2, 0.4]}, "Recall", "dimensions", "recall")
    parts: tuple[Plot | Table, ...] = (
        Plot("recall", "Recall", plot, "It rises."),
        Table("wide", "A wide table", columns, rows),
    )
    parts += (Table("whole", "A table of 24 rows", columns[:2], tuple(row[:2] for row in rows[:24])),)
    return Report("Evaluation", REPORT.notices, REPORT.summary, (*REPORT.sections, Section("Wide", "Very.", parts)))


def _darkest(page: Page, box: Locator, right: int) -> int:
    """Return how dark it gets in the middle of a box, in the 8 columns that end so many pixels from its right edge."""
    place = box.bounding_box()
    assert place
    x, y = place["x"] + place["width"] - right - 8, place["y"] + place["height"] / 2
    shot = page.screenshot(full_page=True, clip={"x": x, "y": y, "width": 8, "height": 1})
    return int(np.asarray(Image.open(io.BytesIO(shot)).convert("L")).min())


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_where_there_is_more(scheme: str, browser: Browser, tmp_path: Path) -> None:
    """A large plot and a wide table have a shade at the edge behind which they go on; a small plot is scaled down."""
    blank = io.BytesIO()
    Image.new("RGB", (1400, 600), "white").save(blank, "PNG")
    small = io.BytesIO()
    Image.new("RGB", (700, 300), "white").save(small, "PNG")
    parts = (Plot("big", "Big", blank.getvalue(), "Blank."), Plot("small", "Small", small.getvalue(), "Blank."))
    write_report(Report("Blank", (), (), (Section("Plots", "Two.", parts),)), {}, tmp_path / "report")
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 800})  # type: ignore[arg-type]
    page: Page = context.new_page()
    page.goto((tmp_path / "report" / "report.html").as_uri())
    big, little = (page.get_by_role("group", name=name) for name in ("Big", "Small"))
    assert _darkest(page, big, 0) < 200, "nothing says that the plot goes on"
    assert _darkest(page, big, 60) == 255
    big.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    assert _darkest(page, big, 0) > 240, "the plot is at its end"
    assert little.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert _darkest(page, little, 0) > 240
    context.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_everybody_can_read_the_page_from_a_disk(width: int, scheme: str, browser: Browser, tmp_path: Path) -> None:
    """On a desk by day, on a phone by night: axe finds no fault, nothing is fetched, nothing is too wide."""
    write_report(_large_report(), METRICS, tmp_path / "report")
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})  # type: ignore[arg-type]
    page: Page = context.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto((tmp_path / "report" / "report.html").as_uri())
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [page.url]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    table = page.get_by_role("group", name="A wide table")
    assert table.evaluate("box => box.scrollWidth > box.clientWidth && box.scrollHeight > box.clientHeight")
    whole = page.get_by_role("group", name="A table of 24 rows")
    assert whole.evaluate("box => box.scrollHeight <= box.clientHeight"), "its last rows are cut off"
    assert page.get_by_text("40 rows, of which the first are in sight").is_visible()
    table.focus()
    table.evaluate("box => { window.moved = new Promise(done => box.onscroll = () => done(box.scrollLeft)); }")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("window.moved") > 0
    assert Axe().run(page).response["violations"] == []
    context.close()

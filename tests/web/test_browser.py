"""The page in a real browser: every way to show it a picture, what it says when one is refused, and who can use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.web.browsing import chromium, served
from tests.web.world import World, build, draw
from web import create_app

pytestmark = pytest.mark.browser

# A file cannot be dropped or pasted from outside, so the page is given the event that the browser would make of it.
GIVE = """
([kind, bytes, type]) => {
  const data = new DataTransfer();
  if (bytes) data.items.add(new File([new Uint8Array(bytes)], "a name.png", {type}));
  const options = {bubbles: true, cancelable: true};
  document.body.dispatchEvent(kind === "drop"
    ? new DragEvent("drop", {...options, dataTransfer: data})
    : new ClipboardEvent("paste", {...options, clipboardData: data}));
}
"""


@dataclass
class Visit:
    """A page and what happened on it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def choose(self, data: bytes, kind: str = "image/png") -> None:
        """Choose a file in the form."""
        self.page.set_input_files("#picture", {"name": "x.png", "mimeType": kind, "buffer": data})

    def give(self, how: str, data: bytes | None) -> None:
        """Drop or paste a file."""
        self.page.evaluate(GIVE, [how, None if data is None else list(data), "image/png"])

    def expect_answer(self, name: str) -> None:
        """Wait for an answer that names somebody, and hold the page to its promises."""
        expect(self.page.locator(".verdict h2")).to_contain_text(name)
        expect(self.page.locator(".verdict h2")).to_be_focused()
        assert self.complaints == []
        assert {url.partition(":")[0] for url in self.requests} <= {"http", "data", "blob"}
        assert all(url.startswith(self.page.url) for url in self.requests if url.startswith("http"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a small world from a thread."""
    world: World = build(tmp_path_factory.mktemp("browsed"), notice="Only a toy that looks at colours.")
    with world.publication() as publication, served(create_app(world.settings, publication)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """Open the page, recording every request and every complaint of the browser."""
    context = browser.new_context()
    visit = Visit(context.new_page())
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.on("request", lambda request: visit.sent.append(request.url) if request.method == "POST" else None)
    visit.page.on("console", lambda message: visit.complaints.append(f"{message.type}: {message.text}"))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.goto(address)
    yield visit
    context.close()


def test_choose(visit: Visit) -> None:
    """Choosing a file is enough: it is shown at once, the answer comes without leaving the page, and says who it is."""
    visit.choose(draw(0, 50))
    visit.expect_answer("Ada")
    expect(visit.page.locator("#status")).to_have_text("Done: Ada from Red Sea.")
    expect(visit.page.get_by_role("note")).to_contain_text("Only a toy")
    expect(visit.page.locator(".cel")).to_have_js_property("complete", True)
    loaded = visit.page.locator(".cel").evaluate("image => image.naturalWidth")
    assert loaded == 96


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_drop_and_paste(visit: Visit, how: str) -> None:
    """A picture may also be dropped anywhere or pasted."""
    visit.give(how, draw(2, 50))
    visit.expect_answer("Cat")


@pytest.mark.parametrize(("how", "words"), [("drop", "not a picture file"), ("paste", "holds no picture")])
def test_nothing_to_take(visit: Visit, how: str, words: str) -> None:
    """What holds no file is told so, and nothing is sent."""
    visit.give(how, None)
    expect(visit.page.locator("#status")).to_contain_text(words)
    assert visit.sent == []


def test_preview_while_busy(visit: Visit) -> None:
    """The picture is on the page before the answer is, and a screen reader hears that it is being looked at."""
    visit.page.route("**/", lambda route: None if route.request.method == "POST" else route.continue_())
    visit.choose(draw(0, 50))
    expect(visit.page.locator("#preview")).to_be_visible()
    expect(visit.page.locator("#status")).to_contain_text("Looking at the picture")
    expect(visit.page.locator("#answer")).to_have_attribute("aria-busy", "true")
    assert visit.complaints == []
    visit.page.unroute_all(behavior="ignoreErrors")


def test_another_picture(visit: Visit) -> None:
    """After an answer the next picture can be chosen on the same page, and an error takes the answer's place."""
    visit.choose(draw(0, 50))
    visit.expect_answer("Ada")
    visit.choose(draw(2, 50))
    visit.expect_answer("Cat")
    visit.choose(b"no picture " * 20)
    expect(visit.page.get_by_role("alert")).to_contain_text("text")
    expect(visit.page.locator(".verdict")).to_have_count(0)


def test_error_in_place(visit: Visit) -> None:
    """A refused file is told on the page, which stays usable."""
    visit.choose(b"no picture " * 20)
    expect(visit.page.get_by_role("alert")).to_contain_text("This is text")
    expect(visit.page.get_by_role("alert").locator("h2")).to_be_focused()
    visit.complaints.clear()  # the browser itself reports the status 415
    visit.choose(draw(0, 50))
    visit.expect_answer("Ada")


def test_too_large_is_not_sent(visit: Visit) -> None:
    """A file over the limit is refused before it travels."""
    visit.choose(bytes(2_000_001))
    expect(visit.page.get_by_role("alert")).to_contain_text("2,000,000")
    assert visit.sent == []


def test_server_gone(visit: Visit) -> None:
    """A server that cannot be reached is told as such."""
    visit.page.route("**/", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    visit.choose(draw(0, 50))
    expect(visit.page.get_by_role("alert")).to_contain_text("could not be reached")


def test_without_javascript(browser: Browser, address: str, tmp_path: Path) -> None:
    """Without JavaScript the same page is a plain form with a button."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    file = tmp_path / "x.png"
    file.write_bytes(draw(0, 50))
    page.set_input_files("#picture", file)
    page.get_by_role("button", name="Look it up").click()
    assert "Ada" in page.inner_text(".verdict h2")
    file.write_bytes(b"no picture " * 20)
    page.set_input_files("#picture", file)
    page.get_by_role("button", name="Look it up").click()
    assert "This is text" in page.inner_text("[role=alert]")
    context.close()


def test_keyboard(visit: Visit) -> None:
    """The file button is reached with the tab key, and what has the focus can be seen."""
    for _ in range(5):
        visit.page.keyboard.press("Tab")
    expect(visit.page.locator("#picture")).to_be_focused()
    assert visit.page.locator("#picture").evaluate("input => getComputedStyle(input).outlineStyle") == "solid"


PAGES = ("", "shows", "shows/red-sea", "characters/red-sea/ada", "api/docs", "api/problems/busy", "nowhere")


def walk(page: Page, address: str) -> Iterator[str]:
    """Visit every kind of page, an answer and an error among them, and name each."""
    for path in PAGES:
        page.goto(address + path)
        yield path
    for name, data in (("an answer", draw(0, 50)), ("an error", b"no picture " * 20)):
        page.goto(address)
        page.set_input_files("#picture", {"name": "x", "mimeType": "image/png", "buffer": data})
        page.wait_for_selector(".verdict, .trouble")
        yield name


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_accessible(browser: Browser, address: str, scheme: Literal["light", "dark"], width: int) -> None:
    """Every page passes axe's rules, WCAG 2 AA among them, in light and dark."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    page = context.new_page()
    for name in walk(page, address):
        result = Axe().run(page)
        assert result.violations_count == 0, f"{name}: {result.generate_snapshot()}"
    context.close()


@pytest.mark.parametrize("width", [320, 390, 1400])
def test_nothing_sticks_out(browser: Browser, address: str, width: int) -> None:
    """No page has to be scrolled sideways, from the smallest telephone on."""
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    for name in walk(page, address):
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    context.close()

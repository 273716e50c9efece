"""The operator's page in a real browser: told the token once, it keeps itself up to date, and everybody can use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from recommender.jobs import Job, Jobs
from tests.web.browsing import chromium, served
from tests.web.test_jobs import REPORT, TOKEN, remember
from tests.web.world import World
from web import create_app

pytestmark = pytest.mark.browser


@dataclass
class Desk:
    """The page, where it is, and what lies behind it."""

    address: str
    page: Page
    jobs: Jobs
    library: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def enter(self) -> None:
        """Tell the token."""
        self.page.goto(f"{self.address}admin/jobs")
        self.page.get_by_label("The token").fill(TOKEN)
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#act")).to_be_visible()

    def running(self) -> Job:
        """Return a job that runs."""
        job = self.jobs.claim(self.jobs.add(self.library, {}).id)
        assert job
        return job


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def address(own_world: World) -> Iterator[str]:
    """Serve a world with a token."""
    remember(own_world, str(own_world.library))
    settings = replace(own_world.settings, admin_token=TOKEN)
    with own_world.publication() as publication, served(create_app(settings, publication)) as address:
        yield address


@pytest.fixture
def desk(browser: Browser, address: str, own_world: World) -> Iterator[Desk]:
    """Open a page, recording what it asks for and what the browser complains of."""
    context = browser.new_context()
    desk = Desk(address, context.new_page(), Jobs(own_world.settings.home), str(own_world.library))
    desk.page.on("request", lambda request: desk.requests.append(request.url))
    desk.page.on("console", lambda message: desk.complaints.append(message.text))
    desk.page.on("pageerror", lambda error: desk.complaints.append(str(error)))
    yield desk
    context.close()


def test_a_job_from_its_beginning_to_its_report(desk: Desk) -> None:
    """Start it; without a reload the page shows stage, bar and time left, then how it ended, and a new form."""
    desk.enter()
    expect(desk.page.get_by_role("note")).to_contain_text("No worker is there")
    desk.page.get_by_label("Read every file").check()
    desk.page.get_by_role("button", name="Reindex").click()
    expect(desk.page.locator("#state")).to_contain_text("Waiting for a worker")
    loaded = desk.page.evaluate("performance.timeOrigin")
    (job,) = desk.jobs.latest()
    assert job.options["full"]
    desk.jobs.beat(4711)
    desk.jobs.claim(job.id)
    desk.jobs.tell(job.id, "scanning", (1, 4), 90.0)
    bar = desk.page.get_by_role("progressbar", name="Pictures that have been read")
    expect(bar).to_have_js_property("position", 0.25)
    expect(desk.page.locator("#state")).to_contain_text("1 of 4 pictures")
    expect(desk.page.locator("#facts")).to_contain_text("process 4711")
    desk.jobs.tell(job.id, "scanning", (3, 4), 30.0)
    expect(bar).to_have_js_property("position", 0.75)
    expect(desk.page.get_by_role("status")).to_contain_text("Reading pictures")
    desk.jobs.end(job.id, "done", report=REPORT)
    expect(desk.page.get_by_role("status")).to_contain_text("The job has ended: it is done")
    expect(desk.page.get_by_role("button", name="Reindex")).to_be_visible()
    desk.page.get_by_role("link", name=job.id).click()
    expect(desk.page.get_by_role("heading", name="Report")).to_be_visible()
    assert desk.page.evaluate("performance.timeOrigin") != loaded
    assert desk.complaints == []
    assert all(url.startswith(desk.address) for url in desk.requests)


def test_the_page_is_not_loaded_anew(desk: Desk) -> None:
    """What is swapped in is a part of the page: a choice that somebody is making stays while others change."""
    desk.enter()
    loaded = desk.page.evaluate("performance.timeOrigin")
    desk.page.get_by_label("Publish even where").check()
    desk.page.get_by_label("Publish even where").focus()
    desk.jobs.beat(4711)
    expect(desk.page.locator("#facts")).to_contain_text("process 4711", timeout=15_000)
    expect(desk.page.get_by_label("Publish even where")).to_be_checked()
    expect(desk.page.get_by_label("Publish even where")).to_be_focused()
    assert desk.page.evaluate("performance.timeOrigin") == loaded


def test_cancel(desk: Desk) -> None:
    """The button stays where it is while the bar moves, and keeps the focus; once used it cannot be used again."""
    job = desk.running()
    desk.enter()
    button = desk.page.get_by_role("button", name="Cancel this job")
    button.focus()
    desk.jobs.tell(job.id, "scanning", (1, 4), None)
    expect(desk.page.locator("#state")).to_contain_text("1 of 4 pictures")
    expect(button).to_be_focused()
    desk.page.keyboard.press("Enter")
    expect(desk.page.locator("#state")).to_contain_text("Stopping at the next safe point")
    expect(button).to_be_disabled()
    desk.jobs.put_back(job.id, "stopped", died=False)
    expect(desk.page.locator("#earlier-jobs")).to_contain_text("cancelled")


def test_a_server_that_is_away(desk: Desk) -> None:
    """While it restarts the page says so and goes on by itself."""
    job = desk.running()
    desk.enter()
    desk.page.route("**/admin/jobs", lambda route: route.abort())
    expect(desk.page.get_by_role("status")).to_contain_text("cannot be reached")
    desk.page.unroute_all()
    desk.complaints.clear()  # the browser itself reports what it could not reach
    desk.jobs.tell(job.id, "scanning", (2, 4), None)
    expect(desk.page.locator("#state")).to_contain_text("2 of 4 pictures", timeout=20_000)
    desk.jobs.tell(job.id, "building", None, None)
    expect(desk.page.get_by_role("status")).to_contain_text("Building")
    assert desk.complaints == []


def test_a_session_that_is_over(desk: Desk) -> None:
    """The page asks for the token again by itself, and shows nothing more."""
    desk.running()
    desk.enter()
    desk.page.context.clear_cookies()
    expect(desk.page.get_by_label("The token")).to_be_visible()


def test_without_javascript(browser: Browser, address: str, own_world: World) -> None:
    """Everything is there without it: a link looks again."""
    context = browser.new_context(java_script_enabled=False)
    desk = Desk(address, context.new_page(), Jobs(own_world.settings.home), str(own_world.library))
    desk.enter()
    desk.page.get_by_role("button", name="Reindex").click()
    (job,) = desk.jobs.latest()
    desk.jobs.claim(job.id)
    desk.jobs.tell(job.id, "scanning", (1, 4), None)
    desk.page.get_by_role("link", name="Look again").click()
    expect(desk.page.locator("#state")).to_contain_text("1 of 4 pictures")
    desk.page.get_by_role("button", name="Cancel this job").click()
    expect(desk.page.locator("#state")).to_contain_text("Stopping")
    context.close()


def walk(desk: Desk) -> Iterator[str]:
    """Visit the page in every state of it, and name each."""
    desk.page.goto(f"{desk.address}admin/jobs")
    yield "the form for the token"
    desk.page.get_by_label("The token").fill("wrong")
    desk.page.keyboard.press("Enter")
    desk.page.wait_for_selector("[role=alert]")
    yield "a wrong token"
    desk.enter()
    yield "no job yet"
    job = desk.jobs.add(desk.library, {"full": True})
    desk.page.reload()
    yield "a job that waits"
    desk.jobs.claim(job.id)
    desk.jobs.beat(4711)
    desk.page.reload()
    yield "a job without a count"
    desk.jobs.tell(job.id, "scanning", (1234, 2406), 98.4)
    desk.page.reload()
    yield "a job that runs"
    desk.page.goto(f"{desk.address}admin/jobs/{job.id}")
    yield "its page"
    desk.jobs.end(job.id, "failed", "x" * 300, REPORT)
    desk.page.reload()
    yield "its report"
    desk.page.goto(f"{desk.address}admin/jobs")
    yield "jobs that have ended"
    desk.page.goto(f"{desk.address}api/docs")
    yield "the description"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390), ("light", 320)])
def test_everybody_can_use_it(
    browser: Browser, address: str, own_world: World, scheme: Literal["light", "dark"], width: int
) -> None:
    """In every state it passes axe's rules, in light and dark, and has not to be scrolled sideways on a telephone."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    desk = Desk(address, context.new_page(), Jobs(own_world.settings.home), str(own_world.library))
    for name in walk(desk):
        result = Axe().run(desk.page)
        assert result.violations_count == 0, f"{name}: {result.generate_snapshot()}"
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= width, name
    context.close()

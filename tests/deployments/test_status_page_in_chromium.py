"""Does the status page work for an operator in a real browser, also while the service or its ledger is gone?"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tasks.domain.assess.completeness import end_of
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.overview import Place, Standing
from tasks.domain.assess.states import Examination, Kind, LakeObject, State
from tasks.domain.assess.unknown import UnknownSchedule
from tasks.domain.assess.verdicts import whole
from tasks.domain.expected.seasons import eastern_day, seasons_between
from tasks.domain.incidents import Incident, Incidents
from tasks.domain.incidents import Kind as What
from tasks.domain.limits.servers import Server
from tasks.domain.metrics import COMPLETE_UNTIL, OLDEST, QUEUE, series_of
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tasks.observe.listing import check_ids
from tests.builders import NOW, a_cell, a_config, a_game
from tests.chromium import chromium_program
from tests.deployments.test_serve import a_look
from tests.servers import free_port

pytestmark = pytest.mark.xdist_group("chromium")  # one start for all
ROOT = Path(__file__).parents[2]
HOLE = "espn_box_scores/401580002.json"
REASON = "HTTP 403 <b>Access Denied</b> & so on"
SEASON, FILE = "/coverage/espn_summary/2023-24", f"/files/{HOLE}"
STALE = ".stale"
_WITHIN = 60_000  # milliseconds; a busy machine takes long for everything
# The page replaces its sections with what the service answers. So elements are found and measured in one step: one that
# was found before, and is replaced meanwhile, has no size.
HIDDEN = """(selector) => [...document.querySelectorAll(selector)]
    .filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.ariaLabel)"""
SIZES = "(selector) => [...document.querySelectorAll(selector)].map((one) => [one.offsetWidth, one.offsetHeight])"


@dataclass
class Service:
    """`adce serve` in a process of its own, with a ledger."""

    folder: Path
    address: str = ""
    process: subprocess.Popen[bytes] | None = None
    prefect: str = ""

    @property
    def env(self) -> dict[str, str]:
        own = {"ADCE_CONFIG": "", "ADCE_LAKE": str(self.folder / "lake"), "ADCE_LEDGER": self.ledger}
        return {**os.environ, **own, "ADCE_SERVE__REFRESH": "2s", "PREFECT_API_URL": self.prefect}

    @property
    def ledger(self) -> str:
        return f"sqlite:///{self.folder / 'ledger.db'}"

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-W", "ignore", "-m", "deployments", *arguments]
        return subprocess.run(argv, env=self.env, cwd=ROOT, capture_output=True, text=True, check=True)

    @contextmanager
    def running(self) -> Iterator[Service]:
        port = free_port()
        argv = [sys.executable, "-W", "ignore", "-m", "deployments", "serve", "--port", str(port)]
        self.address = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            argv, env=self.env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not _is_ready(self.address):
                assert self.process.poll() is None
                time.sleep(0.1)
            yield self
        finally:
            self.process.kill()
            self.process.wait()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").is_success
    except httpx.HTTPError:
        return False


def make(folder: Path, *, age: timedelta = timedelta()) -> Service:
    """A ledger with a look at 28 seasons, in which a file of 2023-24 is missing, an incident, a queue and a run."""
    service = Service(folder)
    (folder / "lake").mkdir(parents=True)
    config = a_config(lake=(folder / "lake").as_uri(), ledger=service.ledger)
    now, at = datetime.now(UTC), datetime.now(UTC) - age
    day = datetime(2024, 1, 15, tzinfo=UTC).date()
    games = tuple(a_game(id=f"40158000{n}", day=day, start=None, season="2023-24") for n in (1, 2))
    present, gap = Standing(State.PRESENT), Standing(State.GAP)
    counts: Any = {
        Place(name, season, f"{season[:4]}-12-01"): {present: 12}
        for name in ("espn_summary", "nba_playbyplay", "br_boxscore")
        for season in seasons_between("1997-98", "2024-25")
    }
    counts[Place("espn_summary", "2023-24", day.isoformat())] = {present: 5, gap: 1}
    night = end_of(eastern_day(at) - timedelta(days=1))
    ends = dict.fromkeys(("nba_playbyplay", "br_boxscore"), night.timestamp())
    ends["espn_summary"] = datetime(2024, 1, 15, 5, tzinfo=UTC).timestamp()
    gauges = {series_of(COMPLETE_UNTIL, dataset=name): end for name, end in ends.items()}
    gauges |= {series_of(QUEUE, priority="LOW"): 1, series_of(OLDEST, priority="LOW"): NOW.timestamp()}
    unknown = (UnknownSchedule("br_boxscore", "2024-25", "2024-12", "basketball_reference/schedules/2025/<i>.html"),)
    incident = Incident("1", What.SOURCE_PAUSED, "espn", at, opened=at, files=1, reason=REASON)
    with closing(Ledger(service.ledger)) as ledger:
        board = "espn_schedules/20240115.json"
        seen = Examination("etag", 100_000, check_ids(config)["espn_scoreboard"], whole(games), NOW)
        ledger.objects.record({board: seen}, objects={board: LakeObject(board, 100_000, NOW, "etag")}, at=NOW)
        ledger.gaps.record([Gap(a_cell(key=HOLE), Kind.MISSING, "not in the lake", NOW)])
        look = a_look(lake=config.lake, counts=counts, gauges=gauges, taken_at=at, unknown=unknown)
        ledger.looks.record(look)
        ledger.incidents.evaluate(lambda _: (Incidents(1, (incident,)), ()), now)
        leases = Leases(ledger.database, "run", timedelta(minutes=1))
        leases.begin("reconcile", "everything", "0d3c7d4e", lambda _: None, Server("http://127.0.0.1:1/api", {}))
        leases.end(RunEnd.ENDED, "Complete: all files", state="Completed")
    return service


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = chromium_program()
    if program is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    expect.set_options(timeout=_WITHIN)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with make(tmp_path_factory.mktemp("status") / "home").running() as service:
        yield service


Open = Callable[..., Page]


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Open]:
    """Opens addresses in a window of its own. Nothing may be asked elsewhere, and the console has to stay empty."""
    windows, said = [], []

    def open_(address: str, *, is_quiet: bool = True, before: str = "", **window: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **window})
        windows.append(context)
        context.set_default_timeout(_WITHIN)
        if before:
            context.add_init_script(before)
        page = context.new_page()
        if is_quiet:
            page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        origin = "/".join(address.split("/")[:3])
        page.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith(origin) else None)
        page.goto(address)
        return page

    yield open_
    for context in windows:
        context.close()
    assert said == []


def tell_age(page: Page) -> None:
    """Waits until the script has had its first answers."""
    expect(page.locator("main .ago").first).to_be_attached()


def test_the_numbers_are_those_of_the_recorded_coverage_at_the_same_moment(opened: Open, service: Service) -> None:
    recorded = json.loads(service.command("coverage", "--recorded", "--json").stdout)
    page = opened(service.address)
    text = page.locator("#whole").inner_text()
    total = recorded["total"]
    lacking = total["gap"] + total["deferred"] + total["in_flight"]
    assert f"{total['present']:,} of {total['present'] + lacking:,} files complete" in text
    assert f"No: {lacking} hole" in text
    at = page.locator("#whole time").first.get_attribute("datetime")
    assert at == datetime.fromisoformat(recorded["as_of"]).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for row in recorded["rows"]:
        cell = page.locator(f'#holes a[href="/coverage/{row["dataset"]}/{row["season"]}"]')
        shown = "100" if row["percent"] == 100 else f"{row['percent']:.1f}"
        assert cell.inner_text() == shown + "?" * bool(row["unknown"])


def test_a_season_leads_to_a_date_and_back(opened: Open, service: Service) -> None:
    page = opened(service.address)
    page.locator("#holes").get_by_role("link", name="94.4").click()
    assert page.url == f"{service.address}{SEASON}"
    page.locator('#calendar a[href$="/2024-01-15"]').click()
    assert page.url == f"{service.address}{SEASON}/2024-01-15"
    expect(page.locator("main")).to_contain_text("5 of 6 files complete")
    page.get_by_role("link", name=HOLE).click()
    expect(page.locator("h1")).to_have_text(HOLE)
    page.go_back()
    page.go_back()
    assert page.url == f"{service.address}{SEASON}"
    page.get_by_role("link", name="Overview").click()
    assert page.url == f"{service.address}/#holes"


@pytest.mark.parametrize(
    ("clicks", "shown"),
    [
        pytest.param([], r"Last night.*espn_summary lacks files", id="is last night complete?"),
        pytest.param(['#holes a[href$="espn_summary/2023-24"]'], f"{HOLE}.*gap", id="what is missing of 2023-24?"),
        pytest.param(
            ['#datasets a[href*="espn_summary"]', f'a[href="{FILE}"]'],
            "Reason.*not in the lake.*Next.*fetched by the next run",
            id="why is this file not there?",
        ),
        pytest.param(['a[href="#work"]'], "1 file waits.*LOW", id="what is it waiting for?"),
        pytest.param(['a[href="#happened"]'], "reconcile everything.*Complete: all files", id="did anything happen?"),
    ],
)
def test_a_question_of_an_operator_is_answered_in_two_clicks(
    opened: Open, service: Service, clicks: list[str], shown: str
) -> None:
    page = opened(service.address)
    for link in clicks:
        page.locator(link).first.click()
    assert re.search(shown, page.locator("main").inner_text(), re.DOTALL)


@pytest.mark.parametrize(
    ("pixels", "scale", "scheme"),
    [
        pytest.param(1280, 1, "light", id="light"),
        pytest.param(1280, 1, "dark", id="dark"),
        pytest.param(320, 1, "light", id="320 px"),
        pytest.param(640, 2, "dark", id="200 %"),
    ],
)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    opened: Open, service: Service, pixels: int, scale: int, scheme: str
) -> None:
    window = {"viewport": {"width": pixels, "height": 800}, "device_scale_factor": scale, "color_scheme": scheme}
    page = opened(service.address, **window)
    for path in ("/", SEASON, FILE):
        page.goto(f"{service.address}{path}")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= pixels


@pytest.mark.parametrize("pixels", [1280, 1000, 768, 320])
def test_no_column_of_a_calendar_or_a_table_lies_outside_the_window(
    opened: Open, service: Service, pixels: int
) -> None:
    page = opened(f"{service.address}{SEASON}", viewport={"width": pixels, "height": 800})
    assert page.evaluate(HIDDEN, ".scroll") == []
    assert page.locator("#calendar a").all_inner_texts() == ["100", "100", "83.3", "83.3"]
    page.goto(service.address)
    assert page.evaluate(HIDDEN, ".scroll:not(:has(.heat))") == []


def test_each_colour_of_the_legend_has_a_swatch(opened: Open, service: Service) -> None:
    page = opened(service.address)
    assert page.locator(".legend .shade-u").count() == 1
    sizes = page.evaluate(SIZES, ".legend span")
    assert sizes
    assert all(width >= 16 and height >= 12 for width, height in sizes)


def test_a_heatmap_is_walked_through_by_the_arrow_keys_and_the_page_by_tab(opened: Open, service: Service) -> None:
    page = opened(service.address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.locator('#holes a[href$="espn_summary/2023-24"]').focus()
    for key in ("ArrowLeft", "ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/coverage/nba_playbyplay/2024-25"
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("nba_playbyplay 2024-25")


def test_without_script_everything_can_be_read(opened: Open, service: Service) -> None:
    page = opened(service.address, java_script_enabled=False)
    assert "No: 1 hole" in page.locator("#whole").inner_text()
    page.locator('#holes a[href$="espn_summary/2023-24"]').click()
    assert HOLE in page.locator("main").inner_text()


def test_markup_in_keys_and_reasons_is_text(opened: Open, service: Service) -> None:
    page = opened(service.address)
    assert REASON in page.locator("#wrong").inner_text()
    assert "<i>.html" in page.locator("#whole").inner_text()


def test_in_print_there_is_no_navigation_and_nothing_is_cut(opened: Open, service: Service) -> None:
    page = opened(service.address)
    page.emulate_media(media="print")
    assert page.locator("header nav").is_hidden()
    boxes = "[...document.querySelectorAll('.scroll')].map((box) => getComputedStyle(box).overflowX)"
    assert set(page.evaluate(boxes)) == {"visible"}


def test_a_browser_whose_clock_is_wrong_tells_the_same_ages(opened: Open, service: Service) -> None:
    wrong = (
        "{ const real = Date; Date = class extends real { constructor(...of) { super(...(of.length ? of : [0])); } };"
    )
    page = opened(service.address, before=f"{wrong} Date.now = () => 0; }}")
    tell_age(page)
    assert re.search(r"\((under a minute|\d min) ago\)", page.locator("#happened .ago").first.inner_text())
    expect(page.locator(STALE)).to_have_count(0)


def test_an_old_look_is_greyed_until_a_new_one_comes_which_leaves_the_focus_where_it_is(
    opened: Open, tmp_path: Path
) -> None:
    with make(tmp_path / "home", age=timedelta(hours=1)).running() as service:
        page = opened(service.address)
        tell_age(page)
        expect(page.locator(STALE)).to_have_count(2)
        for section in ("#whole", "#holes"):
            expect(page.locator(section)).to_have_class("stale")
        assert "This is old: as of" in page.locator("#whole").inner_text()
        assert Axe().run(page).violations_count == 0
        page.locator('#holes a[href$="espn_summary/2023-24"]').focus()
        with closing(Ledger(service.ledger)) as ledger:
            look = ledger.looks.recorded()
            assert look
            counts = {place: {Standing(State.PRESENT): 6} for place in look.counts}
            ledger.looks.record(a_look(lake=look.lake, counts=counts, taken_at=datetime.now(UTC), run="r2"))
        expect(page.locator("#whole .answer")).to_contain_text("Yes, it is whole")
        expect(page.locator('#holes a[href$="espn_summary/2023-24"]')).to_have_text("100")
        expect(page.locator(STALE)).to_have_count(0)
        assert page.evaluate("document.activeElement.getAttribute('href')") == SEASON


def test_an_open_page_greys_itself_when_the_ledger_or_the_service_is_gone_and_says_which(
    opened: Open, tmp_path: Path
) -> None:
    made = make(tmp_path / "home")
    made.prefect = "http://127.0.0.1:1/api"  # nothing answers there
    with made.running() as service:
        page = opened(service.address, is_quiet=False)  # Chromium itself tells of requests without an answer
        tell_age(page)
        expect(page.locator(STALE)).to_have_count(0)
        expect(page.locator("#live")).to_contain_text("No answer from: Prefect API. What is shown is the last")
        expect(page).to_have_title("? 99.9 %? · ADCE")
        file = service.folder / "ledger.db"
        file.rename(file.with_name("gone"))
        expect(page.locator("#live")).to_contain_text("No answer from: ledger, Prefect API: all of this is as of")
        expect(page.locator(STALE)).to_have_count(5)
        assert "No: 1 hole" in page.locator("#whole").inner_text(), "what is known stays"
        file.with_name("gone").rename(file)
        expect(page.locator(STALE)).to_have_count(0)
        assert service.process
        service.process.terminate()
        expect(page.locator("#live")).to_contain_text("The service does not answer: all of this is as of")
        expect(page.locator(STALE)).to_have_count(5)


HIDEABLE = "Object.defineProperty(document, 'hidden', { get: () => Boolean(window.isHidden) });"
TURN = """(isHidden) => {
    window.isHidden = isHidden;
    document.dispatchEvent(new Event("visibilitychange"));
    return [document.querySelectorAll(".stale").length, document.getElementById("live")?.hidden ?? true];
}"""


def test_a_tab_that_was_hidden_asks_before_it_says_that_anything_is_old(opened: Open, service: Service) -> None:
    page = opened(service.address, is_quiet=False, before=HIDEABLE)  # Chromium itself tells of refused requests
    page.clock.install()
    page.reload()
    tell_age(page)
    page.evaluate(TURN, True)
    page.clock.fast_forward(600_000)
    with page.expect_response("**/fragments/happened"):
        assert page.evaluate(TURN, False) == [0, True]
    expect(page.locator(STALE)).to_have_count(0)
    page.evaluate(TURN, True)
    page.clock.fast_forward(600_000)
    page.route("**/fragments/*", lambda route: route.abort("connectionrefused"))
    page.evaluate(TURN, False)
    expect(page.locator(STALE)).to_have_count(5)
    expect(page.locator("#live")).to_contain_text("The service does not answer: all of this is as of")


def test_a_service_that_takes_requests_and_does_not_answer_counts_as_away(opened: Open, service: Service) -> None:
    page = opened(service.address)
    tell_age(page)
    page.route("**/fragments/*", lambda route: None)
    expect(page.locator("#live")).to_contain_text("The service does not answer: all of this is as of")
    expect(page.locator(STALE)).to_have_count(5)


def test_a_page_without_sections_bears_that_its_tab_is_hidden_and_shown(opened: Open, service: Service) -> None:
    page = opened(service.address, before=HIDEABLE)
    for path in (SEASON, f"{SEASON}/2024-01-15", FILE):
        page.goto(f"{service.address}{path}")
        for is_hidden in (True, False):
            page.evaluate(TURN, is_hidden)


def test_written_to_a_folder_it_works_as_files_down_to_the_months(opened: Open, service: Service) -> None:
    folder = service.folder / "static"
    service.command("serve", "--once", str(folder))
    page = opened((folder / "index.html").as_uri())
    assert "No: 1 hole" in page.locator("#whole").inner_text()
    assert page.evaluate("getComputedStyle(document.querySelector('h2')).textTransform") == "uppercase", (
        "it has its style"
    )
    for link in page.evaluate("[...document.querySelectorAll('a')].map((link) => link.href.split('#')[0])"):
        assert link.startswith("http://127.0.0.1:1/") or Path(link.removeprefix("file://")).is_file(), link
    page.locator('#holes a[href$="espn_summary/2023-24.html"]').click()
    expect(page.locator("h1")).to_have_text("espn_summary 2023-24")
    assert re.search(f"January 2024.*83.3.*{HOLE}.*gap", page.locator("main").inner_text(), re.DOTALL)
    page.get_by_role("link", name="Overview").click()
    assert page.url == f"{(folder / 'index.html').as_uri()}#holes"

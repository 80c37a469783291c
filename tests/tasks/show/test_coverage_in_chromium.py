"""Does the coverage fit the screen, and take the colours of light and dark mode, in a real browser?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.domain.assess.coverage import Coverage, Hole, Row, Tally
from tasks.domain.assess.states import State, Status
from tasks.domain.expected import seasons
from tasks.show.coverage import html, svg
from tasks.show.coverage.shades import DARK, LIGHT
from tests.builders import NOW
from tests.chromium import Browser, browser, chromium_program

pytestmark = pytest.mark.xdist_group("chromium")  # one start for all
WIDTHS = (1280, 375)
DAY = "#nba_boxscore_traditional/2024-25/2024-11-28"
REASON = (
    "not in the lake any more; it had 123,456 bytes before; " * 3 + "https://example.org/" + "a_very_long_path_" * 20
)
# What is cut: headings that end outside of the window, and cells with more text than room.
CUT = """(() => {
  const outside = [...document.querySelectorAll("h1, h2, h3, p, li")].filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return left < 0 || right > innerWidth || element.scrollWidth > element.clientWidth;
  });
  const narrow = [...document.querySelectorAll("th, td, td a")].filter((cell) => cell.scrollWidth > cell.clientWidth);
  return [...outside, ...narrow].map((element) => element.outerHTML);
})()"""
# The corner of a table and a row's heading, with the table scrolled as far to the right as it goes: is each at the left
# edge of its box, and on top of what lies there?
STICKY = """["#overview", "#calendar"].map((name) => {
  const table = document.querySelector(name), box = table.parentElement;
  box.scrollLeft = box.scrollWidth;
  table.scrollIntoView();
  return [box.scrollLeft, ...["thead td", "tbody th"].map((selector) => {
    const cell = table.querySelector(selector), { left, top, width, height } = cell.getBoundingClientRect();
    const onTop = document.elementFromPoint(left + width / 2, top + height / 2);
    return left === box.getBoundingClientRect().left && cell.contains(onTop);
  })];
})"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page and the picture of thirty seasons of a lake with a long address."""
    rows = []
    for source, dataset in (("espn", "espn_summary"), ("nba_api", "nba_boxscore_traditional")):
        for season in seasons.seasons_between("1996-97", "2025-26"):
            tally = Tally(present=12_345, gap=6, not_due=3, unknown=frozenset({f"{dataset} {season}"}))
            rows += [Row(source, dataset, season, f"{season[:4]}-11-{day}", tally) for day in (5, 17, 28)]
    status = Status(State.GAP, REASON, until=NOW)
    key = "nba_api_comprehensive/boxscores_traditional/traditional_0022400123.json"
    hole = Hole("nba_boxscore_traditional", "2024-25", "2024-11-28", key, status)
    coverage = Coverage(tuple(rows), "s3://a-bucket/" + "a_long_prefix_" * 12, "espn, nba_api since 1996-09-01", NOW)
    folder = tmp_path_factory.mktemp("coverage")
    (folder / "page.html").write_text(html(coverage, [hole]))
    (folder / "picture.svg").write_text(svg(coverage))
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = chromium_program()
    if program is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    with browser(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_fits_the_window_and_nothing_of_it_is_cut(chromium: Browser, pictures: Path, width: int) -> None:
    chromium.open(pictures / "page.html", width)
    for part in ("", "#nba_boxscore_traditional/2024-25", DAY):
        if part:
            chromium.go(part)
        assert chromium.run("document.documentElement.scrollWidth") <= width
        assert chromium.run(CUT) == []
    table = "document.querySelector('#overview').parentElement"
    assert chromium.run(f"{table}.scrollWidth > {table}.clientWidth") is (width < 1280), "a table of 30 seasons"


def test_names_of_rows_and_the_corner_stay_where_they_are_and_the_chosen_date_is_in_sight(
    chromium: Browser, pictures: Path
) -> None:
    chromium.open(pictures / "page.html", 375)
    chromium.go(DAY)
    mark = "document.querySelector('#calendar a[aria-current]').getBoundingClientRect()"
    name = "document.querySelector('#calendar tbody th').getBoundingClientRect()"
    assert chromium.run(f"{name}.right <= {mark}.left && {mark}.right <= innerWidth")
    for scrolled, *stays in chromium.run(STICKY):
        assert scrolled > 100
        assert stays == [True, True]


def test_the_newest_seasons_are_in_sight_also_in_a_window_that_becomes_narrower(
    chromium: Browser, pictures: Path
) -> None:
    box = "document.querySelector('#overview').parentElement"
    beyond = f"{box}.scrollWidth - {box}.clientWidth - {box}.scrollLeft"
    chromium.open(pictures / "page.html", 375)
    assert chromium.run(beyond) == 0
    chromium.open(pictures / "page.html", 1280)
    chromium.resize(375)
    assert (chromium.run(beyond), chromium.run(f"{box}.scrollLeft > 100")) == (0, True)
    listen = f"{box}.addEventListener('scroll', () => done(1), {{ once: true }})"
    chromium.run(f"new Promise((done) => {{ {listen}; {box}.scrollLeft = 300; }})")
    before = chromium.run(beyond)
    chromium.resize(500)
    assert chromium.run(beyond) == before, "the seasons at the edge stay there"


@pytest.mark.parametrize(("width", "is_card"), zip(WIDTHS, (False, True), strict=True))
def test_a_reason_is_readable_at_full_length(chromium: Browser, pictures: Path, width: int, is_card: bool) -> None:
    chromium.open(pictures / "page.html", width)
    chromium.go(DAY)
    reason = "document.querySelector('.holes td.reason')"
    assert chromium.run(f"{reason}.textContent") == REASON
    box: dict[str, Any] = chromium.run(f"{reason}.getBoundingClientRect().toJSON()")
    assert 0 <= box["left"] < box["right"] <= width
    assert box["width"] > width / 4
    assert chromium.run(f"getComputedStyle({reason}).display") == ("block" if is_card else "table-cell")
    assert chromium.run("getComputedStyle(document.querySelector('.holes thead')).display === 'none'") is is_card


@pytest.mark.parametrize(("scheme", "colours"), [("light", LIGHT), ("dark", DARK)])
def test_page_and_ink_have_the_colours_of_the_mode(
    chromium: Browser, pictures: Path, scheme: str, colours: tuple[str, str, str]
) -> None:
    page, ink = (f"rgb({', '.join(str(int(colour[n : n + 2], 16)) for n in (1, 3, 5))})" for colour in colours[:2])
    chromium.open(pictures / "page.html", 1280, scheme)
    style = "getComputedStyle(document.querySelector('{}')).{}"
    assert chromium.run(style.format("body", "backgroundColor")) == page
    assert chromium.run(style.format("#overview thead td", "backgroundColor")) == page, "or cells would shine through"
    assert chromium.run(style.format("h1", "color")) == ink
    chromium.open(pictures / "picture.svg", 1280, scheme)
    assert chromium.run(style.format(".page", "fill")) == page
    assert chromium.run(style.format("text", "fill")) == ink


def test_no_text_of_a_picture_is_cut(chromium: Browser, pictures: Path) -> None:
    chromium.open(pictures / "picture.svg", 1280)
    ends = chromium.run("[...document.querySelectorAll('text')].map((text) => text.getBBox().x + text.getBBox().width)")
    assert len(ends) > 100
    assert max(ends) <= chromium.run("document.documentElement.viewBox.baseVal.width")

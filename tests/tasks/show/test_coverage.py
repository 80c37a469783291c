"""How complete is the lake, to look at: in a terminal, as a picture, as a page."""

import io
import json
import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from tasks.domain.assess.coverage import By, Coverage, Hole, Row, Tally, add_up
from tasks.domain.assess.states import State, Status
from tasks.domain.expected import seasons
from tasks.show.coverage import heatmap, html, svg
from tasks.show.coverage.grid import fold, grid_of
from tasks.show.coverage.shades import NONE, SHADES, UNKNOWN, percent_of, shade_of
from tests.builders import NOW

SEASONS = seasons.seasons_between("1996-97", "2025-26")
DATASETS = [
    (source, f"{source[:4]}_some_dataset_{n:02}") for source in ("espn", "nba_api", "reference") for n in range(7)
][:20]
EVIL = "</script><script>alert(1)</script><!-- &amp; ' \""


def _coverage(tally: Tally | None = None) -> Coverage:
    """3 sources, 20 datasets and 30 seasons; in each a date, a month and a season file, with some holes."""
    rows = []
    for n, (source, dataset) in enumerate(DATASETS):
        for season in SEASONS:
            some = tally or Tally(present=3_684, gap=n % 4, deferred=n % 3)
            for span in (f"{season[:4]}-11-05", f"{season[:4]}-11", ""):
                rows.append(Row(source, dataset, season, span, some))
    return Coverage(tuple(rows))


def _holes(reason: str = "not in the lake", count: int = 40) -> list[Hole]:
    status = Status(State.DEFERRED, reason, until=NOW)
    return [
        Hole(DATASETS[n % 20][1], "2024-25", "2024-11-05", f"folder/{n}<b>&.json", replace(status, reason=reason))
        for n in range(count)
    ]


def _printed(width: int, coverage: Coverage, by: By = By.SEASON, encoding: str = "utf-8") -> list[str]:
    bytes_ = io.BytesIO()
    out = io.TextIOWrapper(bytes_, encoding=encoding, write_through=True)
    Console(file=out, width=width).print(heatmap(coverage, by))
    return bytes_.getvalue().decode(encoding).splitlines()


class _Page(HTMLParser):
    """What a browser would make of a page: its open elements are matched, its scripts and its data."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self.feed(page)
        self.close()
        assert not self.open
        self.json: dict[str, Any] = json.loads(self.data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.tags[-1] == ("script", {"type": "application/json", "id": "data"}):
            self.data += data


@pytest.mark.parametrize("width", [60, 80, 120, 250])
@pytest.mark.parametrize("by", By)
def test_a_heatmap_fits_the_width_of_the_terminal(width: int, by: By) -> None:
    lines = _printed(width, _coverage(), by)
    assert max(cell_len(line) for line in lines) <= width
    for _, dataset in DATASETS:
        assert any(line.startswith(f" {dataset} ") for line in lines)


def test_a_heatmap_says_when_seasons_share_a_column() -> None:
    assert any("share a column" in line for line in _printed(80, _coverage()))
    assert not any("share a column" in line for line in _printed(250, _coverage()))


def test_a_heatmap_can_be_printed_in_ascii() -> None:
    assert any("100#" in line for line in _printed(80, _coverage(Tally(present=1)), encoding="ascii"))


UNKNOWN_TALLY = Tally(present=3_684, unknown=frozenset({"schedule.json"}))


@pytest.mark.parametrize("by", By)
@pytest.mark.parametrize("width", [60, 80, 250])
def test_a_heatmap_shows_what_is_unknown_and_never_100_percent_of_it(width: int, by: By) -> None:
    lines = _printed(width, _coverage(UNKNOWN_TALLY), by)
    assert max(cell_len(line) for line in lines) <= width
    assert any(" 99?" in line and "99.9?" in line for line in lines)
    assert any("Unknown: what 1 schedule would list" in line for line in lines)
    assert not any("100" in line for line in lines)


def test_a_dataset_of_which_nothing_is_known_has_a_row_of_question_marks() -> None:
    coverage = Coverage((Row("nba_api", "nba_playbyplay", "2023-24", "", Tally(unknown=frozenset("s"))),))
    assert any(re.fullmatch(r" nba_playbyplay +\? +\? *", line) for line in _printed(80, coverage))
    texts = {e.text for e in ET.fromstring(svg(coverage)).iter("{http://www.w3.org/2000/svg}text")}
    assert "?" in texts
    assert 'class="u"><a href="#nba_playbyplay/2023-24"' in html(coverage, [])


def test_what_the_source_has_none_of_stands_beside_100_percent() -> None:
    coverage = _coverage(Tally(present=10, unavailable=2, by_operator=1))
    told = "3,600 unavailable (1,800 set by an operator)"
    lines = _printed(80, coverage)
    assert max(cell_len(line) for line in lines) <= 80
    assert any(line.rstrip().endswith("3,600") and "100✓" in line for line in lines)
    assert any(told in line for line in lines)
    picture = svg(coverage)
    assert told in picture
    assert "10/10, 2 unavailable" in svg(Coverage(coverage.finest[:1]))
    page = html(coverage, [])
    assert told in page
    assert '<th scope="col" class="count">unavailable</th>' in page


def test_a_heatmap_of_nothing_says_so() -> None:
    assert _printed(80, Coverage(())) == ["No files are expected."]


def test_too_many_columns_leave_the_newest_alone_and_put_the_older_ones_together() -> None:
    columns = fold(SEASONS, 8)
    assert len(columns) == 8
    assert [column[0] for column in columns[4:]] == SEASONS[-4:]
    assert [season for column in columns for season in column] == SEASONS


@pytest.mark.parametrize("most", [None, 2, 8, 100])
@pytest.mark.parametrize("by", By)
def test_a_folded_grid_loses_no_file(most: int | None, by: By) -> None:
    coverage = _coverage()
    grid = grid_of(coverage, by, most)
    assert grid.lines[-1].total == coverage.total
    for line in grid.lines:
        assert add_up(line.tallies) == line.total


def test_dates_of_which_nothing_is_due_yet_have_no_column() -> None:
    rows = [
        Row("espn", "espn_summary", "2025-26", "2026-01-13", Tally(present=1)),
        Row("espn", "espn_summary", "2025-26", "2026-01-16", Tally(not_due=1)),
    ]
    grid = grid_of(Coverage(tuple(rows)), By.DATE)
    assert [column.spans for column in grid.columns] == [("2026-01-13",)]
    assert grid.ahead == 1


@pytest.mark.parametrize(
    ("tally", "text", "shade"),
    [
        pytest.param(Tally(present=9_999, gap=1), "99.9", SHADES[1], id="one is lacking"),
        pytest.param(Tally(present=9_999), "100", SHADES[0], id="none is lacking"),
        pytest.param(Tally(gap=9), "0.0", SHADES[-1], id="all are lacking"),
        pytest.param(Tally(not_due=9), "-", NONE, id="none is due"),
        pytest.param(Tally(), "", NONE, id="none is expected"),
        pytest.param(UNKNOWN_TALLY, "99.9?", UNKNOWN, id="all that is known is there"),
        pytest.param(Tally(gap=9, unknown=frozenset("s")), "0.0?", UNKNOWN, id="nothing of what is known"),
        pytest.param(Tally(unknown=frozenset("s")), "?", UNKNOWN, id="nothing is known"),
    ],
)
def test_numbers_and_shades_never_flatter(tally: Tally, text: str, shade: object) -> None:
    assert (percent_of(tally), shade_of(tally)) == (text, shade)


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("shade", [*SHADES, UNKNOWN], ids=lambda shade: shade.meaning)
def test_numbers_can_be_read_on_every_shade(shade: Any) -> None:
    assert _contrast(shade.fill, shade.ink) >= 5.5


@pytest.mark.parametrize("by", By)
def test_a_picture_is_well_formed_and_shows_every_dataset(by: By) -> None:
    picture = ET.fromstring(svg(_coverage(), "A <lake> & more", by))
    texts = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {dataset for _, dataset in DATASETS} | {"A <lake> & more", "espn", "total", "lacking"} <= texts


def test_a_picture_is_small_enough_for_an_artifact() -> None:
    assert len(svg(_coverage(Tally(present=3_684, gap=1_234)))) < 60_000


def test_a_picture_of_nothing_is_still_one() -> None:
    ET.fromstring(svg(Coverage(())))


def test_a_page_is_well_formed_and_holds_every_key() -> None:
    page = _Page(html(_coverage(), _holes()))
    listed = [hole[-1] for by_season in page.json["holes"].values() for holes in by_season.values() for hole in holes]
    assert sorted(listed) == sorted(hole.key for hole in _holes())


def test_a_page_holds_state_reason_until_and_date_of_a_hole() -> None:
    data = _Page(html(_coverage(), _holes("run cap"))).json
    days, state, reason, until, key = data["holes"][DATASETS[0][1]]["2024-25"][0]
    assert (days, key) == (309, "folder/0<b>&.json")  # 5 November, in days after 1 January 2024
    assert (data["states"][state], data["reasons"][reason]) == ("deferred", "run cap")
    assert data["times"][until] == "2026-01-15 12:00 UTC"


@pytest.mark.parametrize("tally", [None, UNKNOWN_TALLY])
def test_a_page_counts_every_file_of_every_span(tally: Tally | None) -> None:
    coverage = _coverage(tally)
    data = _Page(html(coverage, [])).json
    counted = [0] * (len(data["states"]) + 1)
    for by_season in data["cells"].values():
        for rows in by_season.values():
            for _, *counts in rows:
                counted = [a + b for a, b in zip(counted, counts + [0] * (7 - len(counts)), strict=True)]
    *states, unknown = counted
    assert states == [getattr(coverage.total, state) for state in data["states"]]
    assert unknown == sum(len(row.tally.unknown) for row in coverage.finest)


def test_text_from_the_lake_stays_text() -> None:
    page = html(_coverage(), _holes(EVIL), title=EVIL)
    parsed = _Page(page)
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    assert parsed.json["reasons"] == [EVIL]
    assert "alert(1)</script>" not in page


def test_a_page_needs_nothing_from_elsewhere_and_runs_no_other_script() -> None:
    page = html(_coverage(), _holes())
    assert not re.search(r"https?://|//cdn|@import|url\(", page)
    policy = next(a["content"] for tag, a in _Page(page).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("style", "script"):
        [text] = re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy, "or the browser would refuse our own"


def test_every_season_of_a_dataset_is_a_link_in_a_table_with_headings() -> None:
    tags = _Page(html(_coverage(), [])).tags
    assert ("a", f"#{DATASETS[0][1]}/1996-97") in {(tag, a.get("href")) for tag, a in tags}
    scopes = [a.get("scope") for tag, a in tags if tag == "th"]
    assert scopes.count("col") == len(SEASONS) + 2
    assert scopes.count("row") == len(DATASETS) + 3 + 1


def test_a_page_with_too_many_holes_says_how_many_it_leaves_out() -> None:
    page = html(_coverage(), _holes(count=40), most_holes=15)
    assert "lists 15 of the 40 files" in page
    assert "the other 25 are counted, but not listed" in page
    assert "adce why KEY" in page
    assert sum(len(h) for by_season in _Page(page).json["holes"].values() for h in by_season.values()) == 15

"""How complete is the lake, to look at: in a terminal, as a picture, as a page."""

import io
import json
import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from tasks.domain.assess.coverage import Coverage, Hole, Row, Tally, add_up
from tasks.domain.assess.periods import By
from tasks.domain.assess.states import State, Status
from tasks.domain.expected import seasons
from tasks.domain.reasons import Limit
from tasks.show.coverage import heatmap, html, markdown, svg
from tasks.show.coverage.grid import fold, grid_of
from tasks.show.coverage.shades import NONE, OFF, SHADES, UNKNOWN, shade_of
from tasks.show.coverage.words import percent_of, sentence_of, state_in_words, summary_of, title_of
from tests.builders import NOW

SEASONS = seasons.seasons_between("1996-97", "2025-26")
DATASETS = [
    (source, f"{source[:4]}_some_dataset_{n:02}") for source in ("espn", "nba_api", "reference") for n in range(7)
][:20]
LAKE = "s3://some-<bucket>/" + "a-long-prefix/" * 9
EVIL = "</script><script>alert(1)</script><!-- &amp; ' \""


def _coverage(tally: Tally | None = None) -> Coverage:
    """3 sources, 20 datasets and 30 seasons of a lake; in each a date, a month and a season file, with some holes."""
    rows = []
    for n, (source, dataset) in enumerate(DATASETS):
        for season in SEASONS:
            some = tally or Tally(present=3_684, gap=n % 4, deferred=n % 3)
            for span in (f"{season[:4]}-11-05", f"{season[:4]}-11", ""):
                rows.append(Row(source, dataset, season, span, some))
    return Coverage(tuple(rows), LAKE, "espn since 2026-01-05", NOW)


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


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


class _Page(HTMLParser):
    """What a browser would make of a page: its open elements are matched, its scripts and its data."""

    VOID = frozenset({"meta", "br", "wbr"})

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


@pytest.mark.parametrize("width", [40, 60, 80, 120, 250])
@pytest.mark.parametrize("by", By)
def test_a_heatmap_fits_the_width_of_the_terminal(width: int, by: By) -> None:
    lines = _printed(width, _coverage(), by)
    assert max(cell_len(line) for line in lines) <= width
    assert any("under 0.1 %" in line for line in lines), "no word of the legend stands on another line"
    for _, dataset in DATASETS:
        [row] = [line for line in lines if line.startswith(f" {dataset} ")]
        assert re.search(r" [\d.]+[▆✓]", row), "names and numbers are whole"
    assert any("A wider terminal shows" in line for line in lines) is (width == 40)


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
    assert any(line.count("99.9?") > 1 for line in lines)
    assert "unknown what 1 schedule would list" in _joined(lines)
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
    assert told in _joined(lines)
    picture = svg(coverage)
    assert told in picture
    assert "10 of 10 files complete; 2 unavailable" in svg(Coverage(coverage.finest[:1]))
    page = html(coverage, [])
    assert told in page
    assert '<th scope="col" class="count">unavail-<br>able</th>' in page


def test_a_heatmap_of_nothing_says_so() -> None:
    assert _printed(80, Coverage(())) == ["Coverage", "No files are expected."]


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
        pytest.param(Tally(deferred=9, unread=9), "0.0?", UNKNOWN, id="all is in the lake and not read"),
        pytest.param(Tally(present=1, deferred=1, switched_off=1), "50.0", OFF, id="the rest is disabled"),
        pytest.param(Tally(gap=1, deferred=8, switched_off=8), "0.0", SHADES[-1], id="not all is disabled"),
        pytest.param(Tally(unavailable=9), "-", NONE, id="the source has none"),
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


@pytest.mark.parametrize(
    ("tally", "summary"),
    [
        pytest.param(
            Tally(present=3_684, gap=3, in_flight=1, deferred=9, unread=4, switched_off=3, unavailable=2, not_due=5),
            "99.6 %, as far as is known: 3,684 of 3,697 files complete; 3 gaps, 1 in flight, 2 deferred, "
            "4 not read yet, 3 disabled, 2 unavailable, 5 not due",
            id="some of each",
        ),
        pytest.param(Tally(gap=1), "0.0 %: 0 of 1 file complete; 1 gap", id="stale or missing"),
        pytest.param(Tally(present=2), "100 %: 2 of 2 files complete", id="all"),
        pytest.param(Tally(not_due=2, unavailable=1), "1 unavailable, 2 not due", id="nothing is wanted"),
        pytest.param(Tally(unknown=frozenset("ab")), "unknown what 2 schedules would list", id="nothing is known"),
        pytest.param(Tally(), "no files expected", id="nothing"),
    ],
)
def test_a_tally_is_put_into_words(tally: Tally, summary: str) -> None:
    assert summary_of(tally) == summary
    assert summary.endswith(sentence_of(tally))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status(State.GAP, "not in the lake"), "gap"),
        (Status(State.IN_FLIGHT, "another run"), "in flight"),
        (Status(State.DEFERRED, "source paused", limit=Limit.BACKOFF), "deferred"),
        (Status(State.DEFERRED, "not read yet", limit=Limit.EXAMINE_AT_MOST), "not read yet"),
        (Status(State.DEFERRED, "disabled", limit=Limit.ENABLED, of="sources.espn.enabled"), "disabled"),
        (Status(State.DEFERRED, "disabled", limit=Limit.ENABLED, of="enabled"), "deferred"),
        (Status(State.UNAVAILABLE, "HTTP 404"), "unavailable"),
    ],
)
def test_a_file_is_put_into_the_words_of_the_counts(status: Status, words: str) -> None:
    assert state_in_words(status) == words


def test_every_form_says_which_lake_as_of_when_and_how_complete_it_is() -> None:
    coverage = _coverage()
    title, summary = title_of(coverage), f"{summary_of(coverage.total)}."
    assert title == f"Coverage of {LAKE} as of 2026-01-15 12:00 UTC; only espn since 2026-01-05"
    printed = "".join(_printed(80, coverage))
    assert title.replace(" ", "") in printed.replace(" ", "")
    assert summary.replace(" ", "") in printed.replace(" ", "")
    assert markdown(coverage).startswith(f"{title}\n\n{summary}\n\n![")
    picture = ET.fromstring(svg(coverage))
    assert [e.text for e in picture.iter("{http://www.w3.org/2000/svg}text")][:2] == [title, summary]
    page = html(coverage, [])
    assert f"<title>{escape(title)}</title>" in page
    assert f"<code>{escape(LAKE)}</code> as of 2026-01-15 12:00 UTC; only espn since 2026-01-05</p>" in page
    assert f"<strong>{summary}</strong>" in page
    older = replace(coverage, since=NOW - timedelta(hours=5), inventory=NOW - timedelta(hours=9))
    rest = "; parts of it as of 2026-01-15 07:00 UTC or later; by the S3 Inventory of 2026-01-15 03:00 UTC; only espn"
    assert rest in title_of(older)
    assert rest in html(older, [])


def _numbers_of_picture(picture: str) -> list[list[str]]:
    """The numbers of each row of a picture, ordered by their place in it."""
    rows = ET.fromstring(picture).iterfind("{*}g")
    cells = [[(int(text.get("x", "")), text.text or "") for text in row.iterfind("{*}g/{*}text")] for row in rows]
    return [[text for _, text in sorted(row)] for row in cells if row]


def test_picture_page_and_terminal_show_the_same_numbers_of_sources_datasets_and_all() -> None:
    coverage = _coverage()
    expected = [[percent_of(tally) for tally in (*line.tallies, line.total)] for line in grid_of(coverage).lines]
    assert _numbers_of_picture(svg(coverage)) == expected
    assert _numbers_of_picture(svg(coverage, tooltips=False)) == expected
    body = html(coverage, []).partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r'<td class="[^"]*[a-z]"[^>]*>(?:<a [^>]*>)?([^<]*)', row) for row in body.split("<tr")[1:]]
    assert [row[: len(SEASONS) + 1] for row in cells] == expected
    printed = [re.findall(r"([\d.]+)[▆✓]", line) for line in _printed(300, coverage)]
    assert [row for row in printed if len(row) == len(SEASONS) + 1] == expected


@pytest.mark.parametrize("shade", [*SHADES, UNKNOWN, OFF], ids=lambda shade: shade.meaning)
def test_numbers_can_be_read_on_every_shade(shade: Any) -> None:
    assert _contrast(shade.fill, shade.ink) >= 5.5


@pytest.mark.parametrize("by", By)
def test_a_picture_is_well_formed_and_shows_every_dataset(by: By) -> None:
    picture = ET.fromstring(svg(_coverage(), by))
    texts = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {dataset for _, dataset in DATASETS} | {"espn", "total", "lack-", "ing"} <= texts


def test_an_artifact_has_a_table_with_the_totals_of_each_row() -> None:
    coverage = Coverage((Row("espn", "espn_summary", "2024-25", "", Tally(present=1, gap=1, unavailable=1_000)),))
    assert markdown(coverage).splitlines()[-5:] == [
        "|  | percent | lacking | unavailable |",
        "| --- | ---: | ---: | ---: |",
        "| **espn** | 50.0 | 1 | 1,000 |",
        "| espn_summary | 50.0 | 1 | 1,000 |",
        "| **total** | 50.0 | 1 | 1,000 |",
    ]


def test_a_picture_is_small_enough_for_an_artifact() -> None:
    assert len(markdown(_coverage(Tally(present=3_684, gap=1_234)))) < 65_000


def test_a_picture_of_nothing_is_still_one() -> None:
    ET.fromstring(svg(Coverage(())))


def test_a_page_is_well_formed_and_holds_every_key() -> None:
    page = _Page(html(_coverage(), _holes()))
    listed = [hole[-1] for by_season in page.json["holes"].values() for holes in by_season.values() for hole in holes]
    assert sorted(listed) == sorted(hole.key for hole in _holes())


def test_a_page_holds_state_reason_time_and_date_of_a_hole() -> None:
    data = _Page(html(_coverage(), _holes("run cap"))).json
    days, state, reason, time, key = data["holes"][DATASETS[0][1]]["2024-25"][0]
    assert (days, key) == (309, "folder/0<b>&.json")  # 5 November, in days after 1 January 2024
    assert (data["states"][state], data["reasons"][reason]) == ("deferred", "run cap")
    assert data["times"][time] == "until 2026-01-15 12:00 UTC"


def test_a_page_holds_what_to_show_of_every_season_month_and_date() -> None:
    coverage = _coverage()
    data = _Page(html(coverage, [])).json
    expected = {(row.dataset, row.season, ""): row.tally for row in coverage.rows(By.SEASON)}
    expected |= {(row.dataset, row.season, row.span or "whole"): row.tally for row in coverage.rows(By.MONTH)}
    expected |= {(row.dataset, row.season, row.span): row.tally for row in coverage.rows(By.DATE) if row.span}
    found = {}
    for dataset, by_season in data["seasons"].items():
        for season, counted in by_season.items():
            assert counted["summary"] == summary_of(expected[dataset, season, ""])
            found[dataset, season, ""] = data["tallies"][counted["all"]]
            for span, tally in counted["spans"]:
                text = f"{season[:4]}-11-05" if isinstance(span, int) else span or "whole"
                found[dataset, season, text] = data["tallies"][tally]
    assert found == {
        place: [percent_of(tally), shade_of(tally).name, sentence_of(tally), tally.lacking + tally.unavailable]
        for place, tally in expected.items()
    }


def test_text_from_the_lake_stays_text() -> None:
    page = html(replace(_coverage(), lake=EVIL, part=EVIL), _holes(EVIL))
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
    assert "lists 15 of the 40 files that are due and not complete" in page
    assert "the other 25 are counted, but not listed" in page
    assert "adce why KEY" in page
    assert sum(len(h) for by_season in _Page(page).json["holes"].values() for h in by_season.values()) == 15

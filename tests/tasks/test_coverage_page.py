"""Does the script of the coverage page show what was clicked, with the numbers of every other form?"""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import quickjs

from tasks.domain.assess.coverage import Coverage, Hole, Row, Tally, add_up
from tasks.domain.assess.states import State, Status
from tasks.show.coverage import html
from tasks.show.coverage.shades import shade_of
from tasks.show.coverage.words import percent_of, sentence_of, summary_of
from tests.builders import NOW

BROWSER = (Path(__file__).parent / "browser.js").read_text()
TALLIES = {
    "2024-11-05": Tally(present=3_684),
    "2024-11-06": Tally(present=9_996, gap=3, in_flight=1, not_due=2),
    "2024-12-01": Tally(present=2, deferred=1, unavailable=4, unknown=frozenset({"board of the 1st"})),
    "2024-12-02": Tally(unavailable=2),
    "2024-12-03": Tally(present=1, unknown=frozenset({"board of the 3rd"})),
    "2024-12-31": Tally(unknown=frozenset({"board of the 31st"})),
    "2024-11": Tally(gap=1),
    "": Tally(present=1),
}


class _Tree(HTMLParser):
    """A document as nested lists of a tag, its attributes and what it holds."""

    def __init__(self, page: str):
        super().__init__()
        self.root: list[Any] = ["body", {}, []]
        self.open = [self.root]
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = [tag, dict(attrs), []]
        self.open[-1][2].append(element)
        if tag not in ("meta", "br", "wbr"):
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.open[-1][2].append(data)


class Browser:
    """The page with its script, which has run."""

    def __init__(self, holes: list[Hole], most_holes: int = 1000):
        rows = [Row("espn", "espn_summary", "2024-25", span, tally) for span, tally in sorted(TALLIES.items())]
        rows.append(Row("espn", "espn_summary", "2023-24", "2024-01-05", Tally(present=1)))
        tree = _Tree(html(Coverage(tuple(rows)), holes, most_holes=most_holes)).root
        self._engine = quickjs.Context()
        self._engine.eval(BROWSER)
        self.do("load", json.dumps(tree))
        [script] = [text for text in json.loads(self.do("texts", "script")) if "use strict" in text]
        self._engine.eval(script)

    def do(self, function: str, *arguments: str) -> Any:
        return self._engine.eval(f"{function}({', '.join(map(json.dumps, arguments))})")

    def texts(self, selector: str) -> list[str]:
        return json.loads(self.do("texts", selector))

    def links(self, selector: str) -> list[list[str]]:
        return json.loads(self.do("links", selector))


def _holes(count: int = 3, reason: str = "not in the lake") -> list[Hole]:
    status = Status(State.GAP, reason, until=NOW)
    return [Hole("espn_summary", "2024-25", "2024-11-06", f"espn_box_scores/{n}.json", status) for n in range(count)]


def test_a_season_that_is_clicked_shows_a_cell_for_each_day_with_the_numbers_of_every_other_form() -> None:
    browser = Browser(_holes())
    assert browser.texts("#detail h2") == []
    browser.do("go", "#espn_summary/2024-25")
    assert browser.texts("#detail h2") == ["espn_summary 2024-25"]
    expected = []
    for name, month in (("whole season", ""), ("November 2024", "2024-11"), ("December 2024", "2024-12")):
        within = {span: tally for span, tally in TALLIES.items() if span[:7] == month}
        days = {span: tally for span, tally in within.items() if len(span) == 10}
        for span, title, tally in [
            *((day, day, tally) for day, tally in sorted(days.items())),
            (month or "whole", name, add_up(within.values())),
        ]:
            address = f"#espn_summary/2024-25/{span}"
            expected.append([address, percent_of(tally), f"{title}: {sentence_of(tally)}", shade_of(tally).name])
    assert browser.links("#calendar a") == expected
    total = add_up(TALLIES.values())
    assert browser.texts("#detail p")[:2] == [f"{summary_of(total)}.", f"{sentence_of(total)}."]


def test_a_day_that_is_clicked_shows_its_files_and_has_the_focus() -> None:
    browser = Browser(_holes())
    browser.do("go", "#espn_summary/2024-25/2024-11-06")
    assert browser.texts("#detail h3") == ["2024-11-06"]
    assert browser.texts("#detail p")[1] == "9,996 of 10,000 files complete; 3 gaps, 1 in flight, 2 not due."
    assert browser.texts("#detail tbody tr")[-3:] == [
        f"2024-11-06espn_box_scores/{n}.jsongapnot in the lakeuntil 2026-01-15 12:00 UTC" for n in range(3)
    ]
    assert "adce plan --json --dataset espn_summary --since 2024-11-06 --until 2024-11-06" in browser.texts("code")
    assert browser.do("focused") == "#espn_summary/2024-25/2024-11-06"
    assert [href for href, *_ in browser.links("a[aria-current]")] == [
        "#espn_summary/2024-25",
        "#espn_summary/2024-25/2024-11-06",
    ]
    browser.do("go", "#espn_summary/2024-25/2024-11-05")
    assert browser.texts("#detail p")[1:] == ["3,684 of 3,684 files complete."]
    browser.do("go", "#espn_summary/2024-25/2024-12-31")
    assert browser.texts("#detail p")[1:] == ["unknown what 1 schedule would list."]
    browser.do("go", "#espn_summary/2024-25/whole")
    assert (browser.texts("#detail h3"), browser.texts("#detail p")[1]) == (
        ["files of the whole season"],
        "1 of 1 file complete.",
    )
    browser.do("go", "#espn_summary/2024-25/2024-10-01")
    assert browser.texts("#detail p")[1:] == ["no files expected."]


@pytest.mark.parametrize("hash", ["#nothing/of/ours", "#%E0%A4%A", "#espn_summary/1999-00", "#constructor/name", ""])
def test_an_address_of_nothing_that_there_is_shows_nothing(hash: str) -> None:
    browser = Browser(_holes())
    browser.do("go", "#espn_summary/2024-25")
    browser.do("go", hash)
    assert browser.texts("#detail h2") == []


def test_the_arrow_keys_go_from_cell_to_cell_and_tab_reaches_one_of_them() -> None:
    browser = Browser(_holes())
    browser.do("go", "#espn_summary/2024-25/2024-11-05")
    places = []
    for key in (
        "ArrowRight",
        "ArrowRight",
        "ArrowDown",
        "ArrowLeft",
        "ArrowLeft",
        "ArrowRight",
        "ArrowRight",
        "ArrowUp",
    ):
        browser.do("press", key)
        places.append(browser.do("focused").rpartition("/")[2])
    assert places == [
        "2024-11-06",
        "2024-11",
        "2024-12",
        "2024-12-31",
        "2024-12-03",
        "2024-12-31",
        "2024-12",
        "2024-11",
    ]


def test_of_very_many_files_the_first_are_shown_and_the_others_on_demand() -> None:
    browser = Browser(_holes(250))
    browser.do("go", "#espn_summary/2024-25/2024-11-06")
    assert browser.texts("button") == ["Show the other 50"]
    shown = len(browser.texts(".holes tbody tr"))
    browser.do("click", "button")
    assert (shown, len(browser.texts(".holes tbody tr")), browser.texts("button")) == (200, 250, [])


def test_what_a_lake_says_is_shown_as_text_and_makes_no_element() -> None:
    browser = Browser(_holes(1, "<img src=x onerror=alert(1)>"))
    browser.do("go", "#espn_summary/2024-25/2024-11-06")
    assert "<img src=x onerror=alert(1)>" in browser.texts(".holes tbody td")
    assert browser.texts("img") == []

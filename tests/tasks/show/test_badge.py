"""What does the badge of a dataset say?"""

from datetime import date
from xml.etree import ElementTree

import pytest

from tasks.domain.assess.completeness import end_of
from tasks.domain.metrics import CELLS, COMPLETE_UNTIL, UNKNOWN, Measured, Metric
from tasks.show.badge import Completeness, badge, completeness
from tasks.show.coverage.shades import SHADES
from tests.builders import NOW, a_config

CONFIG = a_config()
END = end_of(date(2026, 1, 12)).timestamp()
STATES = {"present": 9.0, "gap": 0.0, "in_flight": 0.0, "deferred": 0.0}


def said(until: float | None = END, unknown: float = 0, **states: float) -> tuple[str, str]:
    """The text of the badge of espn_summary and its colour, if the last look has found this."""
    cells = {("espn", "espn_summary", state): count for state, count in (STATES | states).items()}
    values: dict[Metric, dict[tuple[str, ...], float]] = {CELLS: cells, UNKNOWN: {("espn_summary",): unknown}}
    if until is not None:
        values[COMPLETE_UNTIL] = {("espn_summary",): until}
    found = completeness(Measured(NOW, values), CONFIG, "espn_summary")
    assert found
    return found.text, found.shade.meaning


def test_it_says_to_which_day_a_dataset_is_complete_and_how_much_is_lacking() -> None:
    assert said() == ("complete to 2026-01-12, 0 holes", "complete")
    assert said(gap=1) == ("complete to 2026-01-12, 1 hole", "from 0.1 %")
    assert said(None, gap=1000, in_flight=2, deferred=3)[0] == "1,005 holes"
    assert said(unknown=2) == ("complete to 2026-01-12, 0 holes, 2 schedules unknown", "not all is known")
    assert completeness(Measured(NOW), CONFIG, "espn_summary") is None


@pytest.mark.parametrize("name", ["espn_summary", "<script>&\"'"])
def test_it_is_a_picture_whose_text_is_text(name: str) -> None:
    picture = ElementTree.fromstring(badge(name, None))
    assert [part.text for part in picture.iter("{http://www.w3.org/2000/svg}text")] == [name, "not known yet"]
    assert picture.get("aria-label") == f"{name}: not known yet"
    complete = Completeness(None, 0, 0)
    left_out, whole = (badge(name, complete, is_collected=collected).decode() for collected in (False, True))
    assert ("not collected" in left_out, SHADES[0].fill in left_out) == (True, False)
    assert ("not collected" in whole, SHADES[0].fill in whole) == (False, True)

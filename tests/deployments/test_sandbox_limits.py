"""Does the limiter hold in every window, and are faults what their settings say?"""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.limits import Rate, SlidingWindow

gaps = st.lists(st.integers(0, 40), max_size=200)  # in 32nds of a second: exact in binary


@given(gaps, st.integers(1, 5), st.integers(1, 100))
def test_no_window_ever_holds_more_than_the_rate_and_no_request_is_refused_without_need(
    gaps: list[int], count: int, ticks: int
) -> None:
    seconds = ticks / 32
    window = SlidingWindow(Rate(count, seconds))
    accepted: list[float] = []
    for now in (tick / 32 for tick in itertools.accumulate(gaps)):
        recent = [moment for moment in accepted if now - moment < seconds]
        if window.wait(now):
            assert len(recent) == count
        else:
            assert len(recent) < count
            accepted.append(now)


def test_a_refusal_says_how_long_to_wait_and_costs_nothing() -> None:
    window = SlidingWindow(Rate(1, 12))
    assert [window.wait(0), window.wait(4), window.wait(11), window.wait(12)] == [0, 8, 1, 0]


@pytest.mark.parametrize("text", ["10", "0/1", "1/0", "-1/1", "a/b", ""])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        Rate.parse(text)


def test_a_fault_strikes_the_share_asked_for_and_the_same_requests_every_time() -> None:
    def struck() -> list[bool]:
        fault = Fault("espn", FaultKind.SERVER_ERROR, share=0.25)
        return [fault.strikes(1, "espn", "/scoreboard") for _ in range(2000)]

    assert struck() == struck()
    assert 400 < sum(struck()) < 600


def test_a_fault_keeps_to_its_source_its_match_and_its_number() -> None:
    fault = Fault("espn", FaultKind.EMPTY, first=2, match="summary")
    asked = [("nba_api", "/summary"), ("espn", "/scoreboard"), *[("espn", "/summary")] * 3]
    assert [fault.strikes(0, source, url) for source, url in asked] == [False, False, True, True, False]


@pytest.mark.parametrize("text", ["espn", "espn:nonsense:1", "espn:500:2", "espn:500:x"])
def test_a_fault_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a fault"):
        Fault.parse(text)

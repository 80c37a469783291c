"""Does the pace keep the rate in every window, however late a request is sent? In simulated time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Rate
from tasks.domain.pacing import Departure, Pace

RATES = [Rate(requests=10, seconds=1), Rate(requests=2, seconds=1), Rate(requests=1, seconds=12)]


def _sendings(rate: Rate, delays: list[float]) -> list[float]:
    """When requests are sent that are each held up for so long between permission and sending, one by one."""
    pace, now, sent = Pace(rate), 0.0, []
    for delay in delays:
        while (ready := pace.ready_at(now)) > now:
            now = ready
        departure = Departure(now)
        pace.leave(departure)
        now += delay
        departure.sent = now
        sent.append(now)
    return sent


@given(st.sampled_from(RATES), st.lists(st.floats(0, 0.4), max_size=60))
def test_no_window_ever_holds_more_than_the_rate(rate: Rate, delays: list[float]) -> None:
    sent = _sendings(rate, delays)
    for first, beyond in zip(sent, sent[rate.requests :], strict=False):
        assert beyond - first >= rate.seconds


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_steady_asker_uses_most_of_the_rate(rate: Rate) -> None:
    sent = _sendings(rate, [0.0] * 500)
    assert (len(sent) - 1) / sent[-1] >= 0.97 * rate.requests / rate.seconds


def test_a_request_that_is_not_sent_yet_holds_its_place() -> None:
    pace = Pace(Rate(requests=1, seconds=1))
    pace.leave(Departure(0.0))
    assert pace.ready_at(100.0) >= 101.0

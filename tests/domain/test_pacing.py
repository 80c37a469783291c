"""Does the pace keep the rate in every window, however late a request is sent? In simulated time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Rate
from tasks.domain.pacing import Departure, Pace, spacing, terms_of

RATES = [
    [Rate(requests=10, seconds=1)],
    [Rate(requests=2, seconds=1)],
    [Rate(requests=1, seconds=12)],
    [Rate(requests=10, seconds=1), Rate(requests=30, seconds=10), Rate(requests=1000, seconds=3600)],
]
LATE = 0.004  # seconds by which a timer wakes late


def _sendings(rates: list[Rate], delays: list[float], late: float = 0.0) -> list[float]:
    """When requests are sent that are each held up for so long between permission and sending, one by one."""
    pace, now, sent = Pace(rates), 0.0, []
    for delay in delays:
        while (ready := pace.ready_at(now, spacing(rates))) > now:
            now = ready + late
        departure = Departure(now)
        pace.leave(departure, spacing(rates))
        now += delay
        departure.sent = now
        sent.append(now)
    return sent


@given(st.sampled_from(RATES), st.lists(st.floats(0, 0.4), max_size=60))
def test_no_window_ever_holds_more_than_the_rate(rates: list[Rate], delays: list[float]) -> None:
    sent = _sendings(rates, delays)
    for rate in rates:
        for first, beyond in zip(sent, sent[rate.requests :], strict=False):
            assert beyond - first >= rate.seconds


@pytest.mark.parametrize("rates", RATES, ids=str)
@pytest.mark.parametrize("late", [0.0, LATE])
def test_a_steady_asker_uses_most_of_the_tightest_rate(rates: list[Rate], late: float) -> None:
    sent = _sendings(rates, [0.0] * 500, late)
    tightest = min(rate.requests / rate.seconds for rate in rates)
    assert (len(sent) - 1) / sent[-1] >= 0.97 * tightest


def test_a_request_that_is_not_sent_yet_holds_its_place() -> None:
    rates = [Rate(requests=1, seconds=1)]
    pace = Pace(rates)
    pace.leave(Departure(0.0), spacing(rates))
    assert pace.ready_at(100.0, spacing(rates)) >= 101.0


@pytest.mark.parametrize("rates", RATES, ids=str)
def test_leases_one_after_another_spend_the_rate_and_keep_it(rates: list[Rate]) -> None:
    terms = terms_of(rates)
    tightest = min(rate.requests / rate.seconds for rate in rates)
    assert 0.97 * tightest <= terms.decay / 100 <= tightest
    assert terms.spacing == pytest.approx(spacing(rates))
    assert terms.slots / 100 * terms.spacing < terms.lease

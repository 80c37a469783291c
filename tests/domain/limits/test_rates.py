"""Does the pace keep the rate in every window, however late a request is sent or counted? In simulated time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Rate
from tasks.domain.limits.rates import AllowanceTerms, Pace, Permit, allowance_terms_of, budget_of, margin, spacing
from tests.builders import a_config

RATES = [
    [Rate(requests=10, seconds=1)],
    [Rate(requests=2, seconds=1)],
    [Rate(requests=1, seconds=12)],
    [Rate(requests=10, seconds=1), Rate(requests=30, seconds=10), Rate(requests=1000, seconds=3600)],
]
LATE = 0.004  # seconds by which a timer wakes late
QUICK = 0.002  # seconds of a quick answer


class Process:
    """One that asks as fast as its pace allows: it is held up before a request is sent, and until the answer begins."""

    def __init__(self, rates: list[Rate], now: float = 0.0):
        self.pace, self.now, self.apart = Pace(rates), now, spacing(rates)

    def ask(self, held_up: float = 0.0, answer: float = QUICK, late: float = 0.0) -> tuple[float, float]:
        """When the request is sent, and when its answer begins."""
        while (ready := self.pace.ready_at(self.now, self.apart)) > self.now:
            self.now = ready + late
        permit = Permit(self.now)
        self.pace.allow(permit, self.apart)
        permit.sent = permit.allowed + held_up
        self.pace.answered(permit, permit.sent + answer)
        self.now = permit.allowed + held_up
        return permit.sent, permit.sent + answer


def _keeps(rates: list[Rate], times: list[float]) -> bool:
    return all(
        beyond - first >= rate.seconds
        for rate in rates
        for first, beyond in zip(times, times[rate.requests :], strict=False)
    )


@given(st.sampled_from(RATES), st.lists(st.floats(0, 0.4), max_size=60))
def test_no_window_ever_holds_more_than_the_rate(rates: list[Rate], delays: list[float]) -> None:
    process = Process(rates)
    assert _keeps(rates, [process.ask(delay)[0] for delay in delays])


PROMPT = [0.0] * 10  # answers from which it is known how quick the site can be


@given(st.sampled_from(RATES), st.lists(st.floats(0, 0.15), min_size=20, max_size=60))
def test_a_request_that_a_busy_site_reads_late_is_in_no_window_with_one_too_many(
    rates: list[Rate], answers: list[float]
) -> None:
    process = Process(rates)
    counted = []
    for answer in [*PROMPT, *answers]:
        sent, answered = process.ask(answer=QUICK + answer)
        counted.append((sent, answered - QUICK))
    for rate in rates:
        for (_, late), (prompt, _) in zip(counted, counted[rate.requests :], strict=False):
            assert prompt - late >= rate.seconds, "the first as late, and the last as early, as may be"


@pytest.mark.parametrize("rates", RATES, ids=str)
@pytest.mark.parametrize("late", [0.0, LATE])
def test_a_steady_asker_uses_most_of_the_tightest_rate(rates: list[Rate], late: float) -> None:
    process = Process(rates)
    sent = [process.ask(late=late)[0] for _ in range(500)]
    tightest = min(rate.requests / rate.seconds for rate in rates)
    assert (len(sent) - 1) / sent[-1] >= 0.97 * tightest


@pytest.mark.parametrize("rates", RATES, ids=str)
def test_a_slow_site_is_asked_at_the_same_rate(rates: list[Rate]) -> None:
    process = Process(rates)
    sent = [process.ask(answer=3.0)[0] for _ in range(500)]
    tightest = min(rate.requests / rate.seconds for rate in rates)
    assert (len(sent) - 1) / sent[-1] >= 0.96 * tightest


def test_requests_that_left_late_are_caught_up_with() -> None:
    rates = RATES[0]
    process = Process(rates)
    sent = [process.ask(late=0.03 * (n % 7 == 0))[0] for n in range(500)]
    assert (len(sent) - 1) / sent[-1] >= 0.96 * 10


def test_a_request_that_is_not_sent_yet_holds_its_place() -> None:
    rates = [Rate(requests=1, seconds=1)]
    pace = Pace(rates)
    pace.allow(Permit(0.0), spacing(rates))
    assert pace.ready_at(100.0, spacing(rates)) >= 101.0


@given(
    st.sampled_from(RATES),
    st.lists(st.tuples(st.floats(0, 0.4), st.floats(0, 0.15)), min_size=1, max_size=40),
    st.floats(0, 0.3),
)
def test_the_process_that_comes_next_keeps_the_windows_of_the_one_before(
    rates: list[Rate], requests: list[tuple[float, float]], later: float
) -> None:
    """It knows nothing of them, and is not held up itself."""
    if len(requests) >= len(PROMPT):  # from so many answers on, the site counts as no quicker than the quickest of them
        requests = [*((0.0, answer) for answer in PROMPT), *requests]
    one = Process(rates)
    before = [one.ask(held_up, QUICK + answer)[1] - QUICK for held_up, answer in requests]
    begins = one.pace.free_from(one.now + 1, one.apart) + later
    other = Process(rates, begins)
    after = [other.ask()[0] for _ in range(30)]
    assert after[0] >= before[-1] + QUICK + one.apart, "one spacing after the last answer"
    assert _keeps(rates, [*before, *after])


def test_nobody_comes_next_before_the_last_request_is_answered() -> None:
    rates = [Rate(requests=2, seconds=1)]
    pace = Pace(rates)
    permit = Permit(0.0)
    pace.allow(permit, spacing(rates))
    permit.sent = 0.0
    assert pace.free_from(30.0, spacing(rates)) == pytest.approx(30.0 + spacing(rates))
    pace.answered(permit, 31.0)
    assert pace.free_from(90.0, spacing(rates)) == pytest.approx(31.0 + spacing(rates))


@pytest.mark.parametrize("rates", RATES, ids=str)
def test_a_bucket_spends_most_of_the_rate_and_an_allowance_is_for_two_requests_at_least(rates: list[Rate]) -> None:
    terms = allowance_terms_of(rates)
    tightest = min(rate.requests / rate.seconds for rate in rates)
    assert 0.97 * tightest <= terms.decay / 100 <= tightest
    assert terms.spacing == pytest.approx(spacing(rates))
    assert terms.seconds >= 1.99 * terms.spacing
    assert terms.is_bucket


@pytest.mark.parametrize("rate", [rates[0] for rates in RATES], ids=str)
def test_one_window_is_stretched_by_at_most_three_hundredths(rate: Rate) -> None:
    assert 0.02 * rate.seconds <= margin(rate) <= 0.0301 * rate.seconds


def test_a_bucket_is_for_five_seconds_of_requests_or_for_two_of_them() -> None:
    for rates in RATES:
        terms = allowance_terms_of(rates)
        assert terms.seconds == pytest.approx(max(5.0, 2 * spacing(rates)), rel=0.01)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(AllowanceTerms(1000, 100.0), True, id="the same"),
        pytest.param(AllowanceTerms(1000, 100.05), True, id="as a database rounds it"),
        pytest.param(AllowanceTerms(1000, 99.95), True, id="rounded down"),
        pytest.param(AllowanceTerms(1000, 101.0), False, id="another decay"),
        pytest.param(AllowanceTerms(1000, 99.0), False, id="a slower one"),
        pytest.param(AllowanceTerms(1001, 100.0), False, id="another size"),
    ],
)
def test_a_bucket_is_as_configured_if_its_size_is_and_its_decay_nearly(other: AllowanceTerms, same: bool) -> None:
    assert AllowanceTerms(1000, 100.0).same_as(other) is same
    assert AllowanceTerms(1000, 1001.0).same_as(AllowanceTerms(1000, 1000.0)), "a thousandth more"


@pytest.mark.parametrize("rates", RATES[:3], ids=str)
def test_who_keeps_the_pace_is_followed_by_the_next_process_after_one_spacing(rates: list[Rate]) -> None:
    process = Process(rates)
    answered = [process.ask()[1] for _ in range(3 * rates[0].requests)]
    begins = process.pace.free_from(process.now + 1, process.apart)
    assert begins == pytest.approx(answered[-1] + process.apart)


def test_a_request_that_left_a_little_late_is_made_up_for_and_one_that_left_later_is_not() -> None:
    rates, apart = [Rate(requests=100, seconds=25)], 0.25
    for allowed, ready in ((0.375, 0.5), (0.4, 0.65)):
        pace = Pace(rates)
        pace.allow(Permit(0.0), apart)
        pace.allow(Permit(allowed), apart)
        assert pace.ready_at(0.0, apart) == pytest.approx(ready), "half of the time between two is made up for"


def _counted(answers: list[float], seconds: float = 1) -> float:
    """How much later than it was sent the last of some requests may have been counted."""
    rate = Rate(requests=1, seconds=seconds)
    pace, now = Pace([rate]), 0.0
    for answer in answers:
        now += 10
        permit = Permit(now, sent=now)
        pace.allow(permit, spacing([rate]))
        pace.answered(permit, now + answer)
    return pace.ready_at(now, 0.0) - now - rate.seconds - 0.3 * margin(rate)


@pytest.mark.parametrize(
    ("answers", "late"),
    [
        pytest.param([0.1] * 8 + [0.3], 0.3, id="few answers: nobody knows how quick the site can be"),
        pytest.param([0.1] * 9 + [0.3], 0.2, id="slower than the quickest of ten"),
        pytest.param([0.1] * 20, 0.0, id="as quick as any"),
        pytest.param([0.1] * 20 + [9.0], 0.4, id="very slow: no more than a share of the window"),
        pytest.param([0.1] * 9 + [0.2] * 99 + [0.3], 0.1, id="quick ones of long ago are forgotten"),
    ],
)
def test_a_slow_answer_makes_its_request_count_as_late(answers: list[float], late: float) -> None:
    assert _counted(answers) == pytest.approx(late)


def test_a_slow_answer_counts_for_no_more_than_two_fifths_of_its_window() -> None:
    assert _counted([0.1] * 20 + [9.0], seconds=4) == pytest.approx(1.6)


def test_a_request_that_was_never_sent_counts_from_when_that_is_known() -> None:
    permit = Permit(0.0)
    Pace(RATES[0]).answered(permit, 5.0)
    assert (permit.sent, permit.answered) == (5.0, 5.0)


def test_a_source_spends_no_more_than_the_rate_for_all_sources_allows_and_shares_it_with_those_that_are_on() -> None:
    config = a_config()
    own = config.sources["espn"].rates
    assert (budget_of(config, "espn").spacing, budget_of(config, "espn").sharing) == (spacing(own), 1)
    off = config.sources["nba_api"].model_copy(update={"enabled": False})
    slow, fast = Rate(requests=1, seconds=30), Rate(requests=1000, seconds=1)
    for rate, expected in ((slow, spacing([slow])), (fast, spacing(own))):
        shared = config.model_copy(update={"rates": [rate], "sources": config.sources | {"nba_api": off}})
        budget = budget_of(shared, "espn")
        assert (budget.spacing, budget.sharing) == (expected, 2)


def test_a_limit_that_somebody_made_for_something_else_is_no_bucket_of_ours() -> None:
    assert AllowanceTerms(500, 100.0).is_bucket, "an allowance of five seconds"
    assert AllowanceTerms(450, 100.0).is_bucket, "nearly"
    assert not AllowanceTerms(440, 100.0).is_bucket
    assert not AllowanceTerms(10, 1.0).is_bucket, "a request takes a hundred of its slots"
    assert AllowanceTerms(200, 1.0).is_bucket, "for two requests"
    assert not AllowanceTerms(170, 1.0).is_bucket, "for less than two"


def test_the_next_process_waits_for_a_window_that_a_late_request_has_filled() -> None:
    [rate] = rates = RATES[0]
    process = Process(rates)
    for _ in range(10):
        process.ask()
    slow, _ = process.ask(answer=QUICK + 0.3)
    for _ in range(9):
        process.ask()
    begins = process.pace.free_from(process.now + 1, process.apart)
    assert begins == pytest.approx(slow + 0.3 + rate.seconds + 0.3 * margin(rate))

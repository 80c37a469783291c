"""When is a source left alone, and a scraper's breaker open? In simulated time."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Backoff, BreakerRules
from tasks.domain.limits.pauses import (
    LONGEST_ASKED,
    PROBE_TIMEOUT,
    Pause,
    Phase,
    all_trusted,
    failed,
    longest_open,
    longest_pause,
    refused,
    succeeded,
    trusted,
)
from tasks.domain.times import SKEW
from tests.builders import NOW, a_config

RULES = Backoff(first=timedelta(seconds=10), longest=timedelta(minutes=5), quiet=timedelta(minutes=10))
BREAKER = BreakerRules(failures=3, window=timedelta(minutes=10), open_for=timedelta(minutes=5))
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
FRESH = Pause("espn")


def _refused(pause: Pause, at: float, asked: float | None = None, **more: object) -> Pause:
    asked = at if asked is None else asked
    return refused(pause, RULES, NOW + asked * SECOND, NOW + at * SECOND, "HTTP 429", **more)  # type: ignore[arg-type]


def test_the_first_refusal_pauses_the_source() -> None:
    pause = _refused(FRESH, 0)
    assert pause == Pause("espn", NOW + 10 * SECOND, "HTTP 429", step=0, since=NOW)
    assert [pause.phase(NOW + n * SECOND) for n in (0, 9, 10)] == [Phase.OPEN, Phase.OPEN, Phase.HALF_OPEN]


def test_a_pause_is_longer_by_a_random_part_of_a_share_of_it() -> None:
    lasted = [(_refused(FRESH, 0, jitter=jitter).until or NOW) - NOW for jitter in (0.0, 0.5, 1.0)]
    assert lasted == [10 * SECOND, 10.5 * SECOND, 11 * SECOND]


def test_who_is_shut_out_waits_longer_and_twice_as_long_when_that_was_not_enough() -> None:
    pause, lasted = FRESH, []
    rules = RULES.model_copy(update={"shut_out": timedelta(minutes=2)})
    for _ in range(4):
        at = pause.until or NOW
        pause = refused(pause, rules, at, at, "HTTP 403", shut_out=True)
        assert pause.until
        lasted.append((pause.until - at) / SECOND)
    assert lasted == [120, 240, 300, 300]
    rules = RULES.model_copy(update={"shut_out": timedelta(minutes=15)})
    assert refused(FRESH, rules, NOW, NOW, "HTTP 403", shut_out=True).until == NOW + timedelta(minutes=15), (
        "though the longest that doubling leads to is shorter"
    )


def test_the_responses_of_one_incident_are_one_step() -> None:
    pause = _refused(FRESH, 0)
    for at in (0.1, 0.2, 3):
        pause = _refused(pause, at, asked=-1)
    assert (pause.until, pause.step) == (NOW + 10 * SECOND, 0)


@pytest.mark.parametrize("later", [0, 601, 86400], ids=["at once", "in the next run", "a day later"])
def test_a_failed_probe_doubles_the_pause_up_to_the_longest_however_late_it_goes(later: float) -> None:
    pause, lasted = FRESH, []
    for _ in range(8):
        at = ((pause.until or NOW) - NOW) / SECOND + later
        pause = _refused(pause, at)
        assert pause.until
        lasted.append((pause.until - NOW) / SECOND - at)
    assert lasted == [10, 20, 40, 80, 160, 300, 300, 300]


@pytest.mark.parametrize(("quiet", "lasts"), [(60, 20), (600, 10)], ids=["soon after", "forgiven"])
def test_an_incident_after_quiet_time_is_a_first_one(quiet: float, lasts: float) -> None:
    pause = succeeded(_refused(FRESH, 0), NOW + 11 * SECOND, NOW + 11 * SECOND)
    assert pause.phase(NOW + 11 * SECOND) is Phase.CLOSED
    again = _refused(pause, 11 + quiet)
    assert again.until == NOW + (11 + quiet + lasts) * SECOND


def test_the_longest_pause_is_the_longest_after_any_number_of_incidents() -> None:
    for step in (38, 40, 10_000):
        many = Pause("espn", NOW, "HTTP 403", step=step)
        assert refused(many, Backoff(), NOW, NOW, "HTTP 403", shut_out=True).until == NOW + Backoff().longest
        assert failed(many, BreakerRules(), NOW, NOW, "HTTP 500").until == NOW + BreakerRules().longest


def test_who_wants_no_pause_gets_none_after_any_number_of_incidents() -> None:
    rules = Backoff(first=timedelta(0))
    for step in (0, 1, 60):
        assert refused(Pause("espn", NOW, step=step), rules, NOW, NOW, "HTTP 429").until == NOW


def test_what_the_source_asks_for_is_kept_and_prolongs_a_pause_without_a_step() -> None:
    assert _refused(FRESH, 0, wait=timedelta(minutes=2)).until == NOW + timedelta(minutes=2)
    assert _refused(FRESH, 0, wait=timedelta(seconds=1)).until == NOW + 10 * SECOND
    longer = _refused(_refused(FRESH, 0), 1, asked=-1, wait=timedelta(minutes=2))
    assert (longer.until, longer.step) == (NOW + timedelta(minutes=2, seconds=1), 0)


def test_an_answer_to_what_was_sent_before_the_pause_does_not_end_it() -> None:
    pause = _refused(FRESH, 0)
    assert succeeded(pause, NOW - SECOND, NOW + SECOND) == pause
    resumed = succeeded(pause, NOW + 10 * SECOND, NOW + 11 * SECOND)
    assert _refused(resumed, 12, asked=-1) == resumed, "nor does a late refusal begin another"
    assert _refused(resumed, 12, asked=11).until, "but one of what was sent as it resumed does"


def test_a_recovery_that_is_yet_to_come_is_not_believed() -> None:
    pause = Pause("espn", resumed_at=NOW + HOUR)
    assert trusted(pause, DAY, NOW).resumed_at is None
    assert trusted(pause, DAY, NOW + HOUR) == pause
    assert trusted(pause, DAY, NOW + HOUR - SECOND) == pause, "the clocks of two machines differ a little"


def test_a_probe_and_failures_that_a_wrong_clock_has_written_are_not_believed() -> None:
    pause = Pause("espn", NOW, "HTTP 503", failures=(NOW - HOUR, NOW + HOUR), probe_until=NOW + HOUR)
    assert trusted(pause, DAY, NOW, HOUR / 2) == replace(pause, failures=(NOW - HOUR,), probe_until=None)
    assert trusted(pause, DAY, NOW + HOUR / 2, HOUR) == replace(pause, failures=(NOW - HOUR,))


def test_what_is_just_possible_is_believed() -> None:
    pause = Pause("espn", NOW + DAY, "HTTP 503", probe_until=NOW + HOUR, resumed_at=NOW + SKEW, failures=(NOW + SKEW,))
    assert trusted(pause, DAY, NOW, HOUR) == pause
    in_part = replace(pause, failures=(NOW + SKEW, NOW + HOUR))
    assert trusted(in_part, DAY, NOW, HOUR) == pause


def test_a_hold_that_no_rule_allows_is_over_at_once_and_nobody_is_waited_for() -> None:
    pause = Pause("espn", NOW + DAY + SECOND, "HTTP 503", probe_until=NOW + 2 * DAY)
    assert trusted(pause, DAY, NOW) == Pause("espn", NOW, "HTTP 503")


@pytest.mark.parametrize("reason", ["first", "shut_out", "longest"])
def test_a_pause_is_no_longer_than_its_longest_reason_with_all_of_its_jitter(reason: str) -> None:
    rules = Backoff(first=SECOND, shut_out=SECOND, longest=SECOND, jitter=0.5)
    assert longest_pause(rules) == 1.5 * LONGEST_ASKED, "a site may ask for that"
    assert longest_pause(rules.model_copy(update={reason: 3 * DAY})) == 1.5 * 3 * DAY


def test_a_breaker_is_open_no_longer_than_its_rules_say() -> None:
    assert longest_open(BREAKER.model_copy(update={"open_for": DAY, "longest": HOUR})) == DAY
    assert longest_open(BREAKER.model_copy(update={"open_for": HOUR, "longest": DAY})) == DAY


def test_each_hold_is_believed_for_as_long_as_its_kind_may_last() -> None:
    names = ("espn", "espn@new_host", "espn_summary", "espn_summary@new_host")
    paused = {name: Pause(name, NOW + 12 * HOUR, "HTTP 503") for name in names}
    until = {name: pause.until for name, pause in all_trusted(paused, a_config(), NOW).items()}
    assert until == dict(zip(names, [NOW + 12 * HOUR] * 2 + [NOW] * 2, strict=True))


def test_a_hold_that_is_over_tells_how_long_a_probe_may_take() -> None:
    pause = Pause("espn", NOW, "HTTP 503", probe_until=NOW + HOUR)
    moments = (NOW - SECOND, NOW, NOW + HOUR)
    assert [pause.free_at(now) for now in moments] == [NOW, NOW + HOUR, None]
    assert FRESH.free_at(NOW) is None


def test_the_rate_grows_slowly_after_a_pause() -> None:
    pause = succeeded(_refused(FRESH, 0), NOW + 10 * SECOND, NOW + 10 * SECOND)
    ramp = timedelta(seconds=30)
    slower = [pause.slower(NOW + at * SECOND, ramp) for at in (10, 25, 40, 100)]
    assert slower == [8, 2, 1, 1]
    assert FRESH.slower(NOW, ramp) == 1


def test_a_pause_tells_since_when_the_source_has_given_no_good_answer() -> None:
    first = _refused(FRESH, 0)
    again = _refused(_refused(first, 1), 20)
    assert (again.step, again.since) == (1, NOW), "the refusal of a probe prolongs the pause"
    over = succeeded(again, NOW + 60 * SECOND, NOW + 60 * SECOND)
    assert (over.since, _refused(over, 90).since) == (None, NOW + 90 * SECOND)
    older = replace(first, since=None)  # its beginning was not recorded
    assert _refused(older, 20).since is None
    ahead = replace(first, since=NOW + HOUR)
    assert trusted(ahead, DAY, NOW).since is None
    opened = Pause("espn_summary", NOW, "3 failures", since=NOW - HOUR)
    assert failed(opened, BREAKER, NOW, NOW, "again").since == NOW - HOUR


def test_a_breaker_opens_after_failures_within_its_window() -> None:
    pause = Pause("espn_summary")
    for at in (0, 1):
        pause = failed(pause, BREAKER, NOW, NOW + at * SECOND, "HTTP 404")
    assert pause.phase(NOW) is Phase.CLOSED
    opened = failed(pause, BREAKER, NOW, NOW + 2 * SECOND, "HTTP 404")
    reason = "3 failures within 10m; the last: HTTP 404"
    at = NOW + 2 * SECOND
    assert opened == Pause("espn_summary", at + timedelta(minutes=5), reason, since=at, openings=(at,))
    assert pause.reason == "HTTP 404", "also while it is closed, the last failure is told"


@pytest.mark.parametrize(
    ("answers", "opens"),
    [("FFS", True), ("SFFSF", True), ("FFSS", False), ("FSFS" + 20 * "S", False)],
    ids=["two of three fail", "three of five fail", "every second fails", "now and then one fails"],
)
def test_a_success_forgives_one_failure(answers: str, opens: bool) -> None:
    pause, at = Pause("espn_summary"), NOW
    for answer in answers * 100:
        at += SECOND
        pause = failed(pause, BREAKER, at, at, "HTTP 404") if answer == "F" else succeeded(pause, at, at)
        if pause.until:
            break
    assert (pause.until is not None) is opens


def test_failures_outside_the_window_do_not_count() -> None:
    pause = Pause("espn_summary")
    for minutes in range(0, 60, 5):  # the window is 10 minutes long, and its beginning does not belong to it
        pause = failed(pause, BREAKER, NOW, NOW + timedelta(minutes=minutes), "HTTP 404")
        assert pause.until is None


def test_a_failed_probe_opens_the_breaker_for_twice_as_long_and_a_good_one_closes_it() -> None:
    pause = Pause("espn_summary", NOW, "3 failures")
    probe = NOW + SECOND
    assert failed(pause, BREAKER, probe, probe, "again").until == probe + timedelta(minutes=10)
    assert failed(pause, BREAKER, NOW - SECOND, probe, "late") == pause
    assert failed(pause, BREAKER, NOW, probe, "the probe").until == probe + timedelta(minutes=10)
    assert succeeded(pause, probe, probe).phase(probe) is Phase.CLOSED


def test_a_breaker_is_open_for_ever_longer_up_to_the_longest_and_a_success_keeps_the_step() -> None:
    rules = BREAKER.model_copy(update={"longest": timedelta(hours=1)})
    pause, lasted, openings = Pause("espn_summary", NOW, "3 failures"), [], []
    for step in range(1, 6):
        probe = pause.until
        assert probe
        pause = failed(pause, rules, probe, probe, "HTTP 500")
        assert pause.until
        openings.append(probe)
        assert pause == Pause("espn_summary", pause.until, "HTTP 500", step, openings=tuple(openings))
        lasted.append((pause.until - probe) / timedelta(minutes=1))
    assert lasted == [10, 20, 40, 60, 60]
    after = succeeded(pause, pause.until, pause.until)
    assert after == Pause("espn_summary", step=5, resumed_at=pause.until, openings=tuple(openings))


def test_a_breaker_remembers_for_a_day_when_it_has_opened() -> None:
    pause = Pause("espn_summary")
    for hours in (0, 12, 24):
        pause = replace(pause, until=None)
        for _ in range(3):
            pause = failed(pause, BREAKER, NOW + hours * HOUR, NOW + hours * HOUR, "HTTP 500")
    assert pause.openings == (NOW + 12 * HOUR, NOW + 24 * HOUR)
    assert trusted(pause, DAY, NOW + 13 * HOUR).openings == (NOW + 12 * HOUR,), "a clock was wrong then"
    assert trusted(pause, DAY, NOW + 24 * HOUR) == pause


def test_one_probe_at_a_time_and_a_dead_prober_is_given_up() -> None:
    pause = Pause("espn", NOW, "HTTP 503", probe_until=NOW + 60 * SECOND)
    assert not pause.may_probe(NOW + 59 * SECOND)
    assert pause.may_probe(NOW + 60 * SECOND)
    assert not Pause("espn").may_probe(NOW)


@given(st.lists(st.tuples(st.sampled_from(["refused", "ok"]), st.floats(0, 900), st.floats(0, 30)), max_size=40))
def test_a_pause_is_never_shortened_but_by_a_success_after_it(events: list[tuple[str, float, float]]) -> None:
    pause, now = FRESH, 0.0
    for what, passes, took in events:
        now += passes
        before, asked = pause, now - took
        if what == "refused":
            pause = _refused(pause, now, asked)
        else:
            pause = succeeded(pause, NOW + asked * SECOND, NOW + now * SECOND)
        if before.until and pause.until is None:
            assert NOW + asked * SECOND >= before.until
        elif before.until and pause.until:
            assert pause.until >= before.until
        assert pause.step <= before.step + 1


def test_the_names_of_the_phases_are_part_of_the_json_and_nobody_waits_long_for_a_probe() -> None:
    assert [phase.value for phase in Phase] == ["closed", "open", "half-open"]
    assert (timedelta(minutes=2), DAY) == (PROBE_TIMEOUT, LONGEST_ASKED)

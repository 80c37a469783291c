"""Do all metrics have the values that the ledger knows, and only series that the configuration has?"""

import math
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.models import Alerts
from tasks.answers.metrics import measured
from tasks.domain.arrivals import Unannounced
from tasks.domain.event_path import PathState
from tasks.domain.limits.pauses import OperatorPause, Pause, Phase
from tasks.domain.metrics import (
    ALERTS_LIMIT,
    ALERTS_MISSED,
    ALERTS_OWNER,
    BREAKERS,
    CYCLE_LASTS,
    EVENT_PATH,
    FILE_SECONDS,
    FILES,
    FIRST_RUN,
    LAST_RUN,
    PAUSED_SINCE,
    RATE,
    REQUESTS,
    RUNS_AT_WORK,
    SNAPSHOT_SECONDS,
    SNAPSHOT_TIME,
    SOURCE_PHASE,
    UNREADABLE_MESSAGES,
    UTILIZATION,
    WATCH_PROGRESS,
    Amounts,
    Distribution,
    Metric,
)
from tasks.domain.metrics import Counter as Total
from tasks.domain.outcomes import FileOutcome, Outcome, RunEnd
from tasks.ledger import Ledger
from tasks.ledger.attempts import FillRecord
from tasks.ledger.fills import FillEnd
from tasks.ledger.leases import Leases
from tasks.ledger.plans import RUN
from tasks.ledger.unread_messages import UnreadMessage
from tests.builders import NOW, a_config, a_gap


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty ledger, of which copies are made, because making one takes much longer."""
    file = tmp_path_factory.mktemp("made") / "adce.db"
    Ledger(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def ledger(made: Path, tmp_path: Path) -> Iterator[Ledger]:
    shutil.copy(made, tmp_path / "adce.db")
    with closing(Ledger(f"sqlite:///{tmp_path / 'adce.db'}")) as ledger:
        yield ledger


def _count(ledger: Ledger, amounts: Amounts) -> None:
    ledger.database.write(lambda connection: ledger.totals.add(connection, amounts))


def test_counters_are_the_running_totals_and_what_was_never_counted_is_0(ledger: Ledger) -> None:
    amounts = Amounts()
    amounts.count(REQUESTS, 3, source="espn", dataset="espn_summary")
    amounts.count(REQUESTS, 5, source="espn", dataset="no_longer_configured")
    _count(ledger, amounts)
    config = a_config()
    values = measured(config, ledger, NOW).values
    expected = {(settings.source, name): 0.0 for name, settings in config.datasets.items()}
    assert values[REQUESTS] == {**expected, ("espn", "espn_summary"): 3.0}
    assert len(values[FILES]) == 4 * len(config.datasets)
    assert values[SNAPSHOT_TIME] == {(): NOW.timestamp()}
    assert 0 < values[SNAPSHOT_SECONDS][()] < 60


def test_histograms_have_every_bucket_and_the_sum(ledger: Ledger) -> None:
    amounts = Amounts()
    for seconds in (0.2, 0.2, 1000.0):
        amounts.observe(FILE_SECONDS, seconds, dataset="espn_summary")
    _count(ledger, amounts)
    found = measured(a_config(), ledger, NOW).distributions[FILE_SECONDS]
    assert found[("espn_summary",)] == Distribution((0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1), pytest.approx(1000.4))
    assert found[("espn_scoreboard",)] == Distribution((0.0,) * 11, 0.0)


def _by_name(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip((label.name for label in metric.labels), labels, strict=True))


def test_a_series_whose_value_cannot_be_true_is_left_out_and_that_is_said_once(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    config = a_config()
    whole = measured(config, ledger, NOW)
    (asked, *_), (timed, *_) = whole.values[REQUESTS], whole.distributions[FILE_SECONDS]
    amounts = Amounts()
    amounts.count(REQUESTS, -5, **_by_name(REQUESTS, asked))
    amounts.observe(FILE_SECONDS, math.inf, **_by_name(FILE_SECONDS, timed))
    ledger.totals.record(amounts)
    for _ in range(2):
        found = measured(config, ledger, NOW)
        assert whole.values[REQUESTS].keys() - found.values[REQUESTS].keys() == {asked}
        assert whole.distributions[FILE_SECONDS].keys() - found.distributions[FILE_SECONDS].keys() == {timed}
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        f"{FILE_SECONDS.name}, {REQUESTS.name}"
    ]


def test_the_last_end_of_each_flow_and_the_runs_at_work_are_told(ledger: Ledger) -> None:
    begun, ended, dead = (Leases(ledger.database, name, timedelta(minutes=1)) for name in ("begun", "ended", "dead"))
    for leases in (begun, ended):
        leases.begin("reconcile", "everything", None, lambda why: None)
    dead.begin("fill", "something", None, lambda why: None)
    dead.record_death_reported("dead")
    for leases, end in ((ended, RunEnd.STOPPED), (dead, RunEnd.DEATH_REPORTED)):
        leases.end(end)
    values = measured(a_config(), ledger, datetime.now(UTC)).values
    begun.end(RunEnd.ENDED)
    now = datetime.now(UTC).timestamp()
    assert values[RUNS_AT_WORK] == {("reconcile",): 1, ("fill",): 0, ("scraper",): 0, ("scrape",): 0}
    assert values[LAST_RUN] == {
        ("reconcile", "stopped"): pytest.approx(now, abs=60),
        ("fill", "died"): pytest.approx(now, abs=60),
    }


def test_what_holds_up_each_source_and_how_much_of_its_rate_is_used(ledger: Ledger) -> None:
    now = datetime.now(UTC)
    soon = timedelta(minutes=5)
    ledger.pauses.change("espn", lambda _: Pause("espn", now - soon))
    ledger.pauses.change("nba_playbyplay@new", lambda _: Pause("nba_playbyplay@new", now + soon))
    ledger.pauses.change("nba_playbyplay", lambda _: Pause("nba_playbyplay", now + soon))
    ledger.pauses.change("espn_summary", lambda _: Pause("espn_summary", failures=(now,)))
    ledger.operator_pauses.begin(OperatorPause("nba_api", now + soon, "no", since=now, by="me"))
    leases = Leases(ledger.database, "run", timedelta(minutes=1))
    leases.begin("reconcile", "everything", None, lambda why: None)
    leases.sent = lambda: {"espn": 30}
    leases.end(RunEnd.ENDED)
    values = measured(a_config(), ledger, now).values
    on = {source: phase for (source, phase), value in values[SOURCE_PHASE].items() if value}
    assert on == {"espn": Phase.HALF_OPEN, "nba_api": Phase.OPEN, "basketball_reference": Phase.CLOSED}
    assert len(values[SOURCE_PHASE]) == 9
    assert values[BREAKERS] == {("espn",): 0, ("nba_api",): 2, ("basketball_reference",): 0}
    assert values[UTILIZATION][("espn",)] == pytest.approx(0.5 / values[RATE][("espn",)])
    assert values[UTILIZATION][("nba_api",)] == 0


def test_the_way_of_events_is_told_while_they_are_watched(ledger: Ledger) -> None:
    assert not measured(a_config(), ledger, NOW).values.keys() & {EVENT_PATH, WATCH_PROGRESS}
    ledger.announcements.progressed(NOW, read_to=NOW, returned=NOW)
    ledger.unread_messages.keep([UnreadMessage("1", NOW, "not JSON", "?", 1)])
    values = measured(a_config(), ledger, NOW).values
    assert values[WATCH_PROGRESS] == {(): NOW.timestamp()}
    assert values[EVENT_PATH] == {(state.value,): state is PathState.PROVED for state in PathState}
    assert values[UNREADABLE_MESSAGES] == {(): 1}


def _fill(ledger: Ledger, n: int) -> None:
    gap = a_gap(n, first_seen=NOW - timedelta(hours=1))
    ledger.gaps.record([gap])
    outcome = FileOutcome(gap.cell.key, Outcome.STORED, 2, 100, seconds=0.3, waited=2.0, stored=NOW)
    fill = FillRecord(f"f{n}", "r", "espn", "espn_summary", "missing", "HIGH", 1.0, NOW)
    ledger.fills.record(FillEnd(fill, NOW, [outcome], gaps=[gap]))


def _refuse(ledger: Ledger, n: int) -> None:
    ledger.pauses.record_refusal("espn", lambda pause: replace(pause, until=NOW, step=n))


def _run(ledger: Ledger, n: int) -> None:
    ledger.plans.keep(RUN, {"fills": [], "later": []}, NOW, "r", cycle=n)
    leases = Leases(ledger.database, uuid.uuid4().hex, timedelta(minutes=1))
    leases.begin("reconcile", "everything", None, lambda why: None)
    leases.end(RunEnd.ENDED)


def _miss_events(ledger: Ledger, n: int) -> None:
    ledger.announcements.found({f"{n}": Unannounced(None, NOW, None)})
    ledger.announcements.count_missed(NOW)


def _prune(ledger: Ledger, n: int) -> None:
    ledger.prune(datetime.now(UTC) + timedelta(days=n))
    ledger.forget_lake()


WORK = st.sampled_from([_fill, _refuse, _run, _miss_events, _prune])


def _totals(ledger: Ledger) -> Counter[tuple[str, tuple[str, ...]]]:
    """Every counter, and how many durations each histogram has."""
    found = measured(a_config(), ledger, NOW)
    counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for metric, values in found.values.items():
        if isinstance(metric, Total):
            counts.update({(metric.name, labels): value for labels, value in values.items()})
    for histogram, each in found.distributions.items():
        counts.update({(histogram.name, labels): sum(one.counts) for labels, one in each.items()})
    return counts


@settings(max_examples=10)
@given(work=st.lists(st.tuples(WORK, st.integers(0, 3), st.sampled_from([0, 1, None])), max_size=5))
def test_no_counter_and_no_histogram_ever_decreases(
    made: Path, work: list[tuple[Callable[[Ledger, int], None], int, int | None]]
) -> None:
    """Two processes write, and one of them is begun anew at times."""
    file = made.with_name(uuid.uuid4().hex)
    shutil.copy(made, file)
    ledgers = [Ledger(f"sqlite:///{file}"), Ledger(f"sqlite:///{file}")]
    before = _totals(ledgers[0])
    for do, n, which in work:
        if which is None:
            ledgers.pop().close()
            ledgers.append(Ledger(f"sqlite:///{file}"))
        do(ledgers[which or 0], n)
        now = _totals(ledgers[1])
        assert now >= before
        assert (now == before) == (do is _prune)
        before = now
    for ledger in ledgers:
        ledger.close()


def test_the_metrics_of_alerting_rules_say_what_the_settings_and_the_facts_of_conditions_say(ledger: Ledger) -> None:
    hour = timedelta(hours=1)
    before = measured(a_config(), ledger, NOW).values
    assert [before[metric] for metric in (FIRST_RUN, CYCLE_LASTS, PAUSED_SINCE)] == [{}, {}, {}]
    run = Leases(ledger.database, "run", hour)
    run.begin("reconcile", "everything", None, lambda why: None)
    ledger.plans.keep(RUN, {}, NOW, "run", cycle=77.0)
    run.end(RunEnd.ENDED)
    for name, pause in {
        "espn": Pause("espn", until=NOW + hour, since=NOW - 2 * hour),
        "espn@new": Pause("espn@new", until=NOW - hour, since=NOW - 3 * hour),  # it may be probed
        "nba_api": Pause("nba_api", until=None, since=None, resumed_at=NOW - hour),
        "espn_summary": Pause("espn_summary", until=NOW + hour, since=NOW - 9 * hour),  # a circuit breaker
    }.items():
        ledger.pauses.change(name, lambda _, now=pause: now)
    alerts = Alerts(owner="prometheus", limits={"failures": 0.5})
    config = a_config(alerts=alerts)
    values = measured(config, ledger, NOW).values
    record = ledger.runs.by_id(["run"])["run"]
    assert (values[FIRST_RUN], values[CYCLE_LASTS]) == ({(): record.began.timestamp()}, {(): 77.0})
    assert values[PAUSED_SINCE] == {("espn",): (NOW - 3 * hour).timestamp()}
    assert values[ALERTS_OWNER] == {("adce",): 0.0, ("prometheus",): 1.0, ("none",): 0.0}
    assert values[ALERTS_MISSED] == {(): 0.01}
    own = a_config(alerts=Alerts(limits={"missed_events": 1000}))
    assert measured(own, ledger, NOW).values[ALERTS_MISSED] == {}, "a limit of the settings takes its place"
    limits = values[ALERTS_LIMIT]
    assert {source for _, source in limits} == set(config.sources)
    assert (limits["failures", "espn"], limits["no_reconcile", "espn"]) == (0.5, 1800.0)
    paused = [limits["source_paused", source] for source in ("espn", "basketball_reference")]
    assert paused == [3 * 3600.0, 25 * 3600.0]

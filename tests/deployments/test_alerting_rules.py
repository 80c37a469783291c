"""Do the alerting rules fire and cease when the conditions say so, only if Prometheus tells, and not without data?"""

from __future__ import annotations

import math
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deployments.grafana.alerts import AWAY, alerting_rules, inhibitions
from deployments.grafana.made import ALERTMANAGER, ALERTS, FOLDER
from tasks.domain.incidents import BY_KIND, CATALOGUE, MOST_MISSED, Kind, Settings, ancestors
from tasks.domain.metrics import (
    ALERTS_LIMIT,
    ALERTS_MISSED,
    ALERTS_OWNER,
    CHECKS,
    CRITICAL_OLDEST,
    CYCLE_LASTS,
    EVENT_PATH,
    EVENTS,
    FAILURES,
    FILES,
    FIRST_RUN,
    INCIDENTS,
    LAST_RECONCILE,
    LOST_FILES,
    MISSED_EVENTS,
    PAUSED_SINCE,
    UNREADABLE_FILES,
    Metric,
)
from tests.servers import free_port

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian: prometheus)")
RULES = {rule.alert: rule for rule in alerting_rules()}
SOURCES = ("espn", "basketball_reference")
OF_INCIDENTS = [condition.kind for condition in CATALOGUE if not condition.promql]
_LONG = 10  # minutes of a step, where a case takes more than a day
_DAY = 24 * 60 // _LONG
Input = Mapping[str, str]  # values by series, one a step, as promtool writes them


def _series(metric: Metric, **labels: str) -> str:
    assert labels.keys() == {label.name for label in metric.labels}
    return metric.name + "{" + ", ".join(f'{name}="{value}"' for name, value in _of(**labels).items()) + "}"


def _of(**labels: str) -> dict[str, str]:
    return {"job": "adce", "instance": "i", **labels}


@dataclass(frozen=True, eq=False)
class Case:
    """Series by which a condition begins to hold in one step, and ceases in another. A step has so many minutes."""

    alert: str
    begins: int
    ends: int
    series: Input
    minutes: int = 1


def _case(kind: Kind, begins: int, ends: int, series: Input, minutes: int = 1) -> Case:
    return Case(BY_KIND[kind].name, begins, ends, series, minutes)


def _checks(check: str, name: str = "warn") -> Input:
    other = {verdict: "0x199" for verdict in ("warn", "fail") if verdict != name}
    verdicts = {"pass": "1x9 0x49 1x139", name: "0x9 1x49 0x139", **other}
    return {_series(CHECKS, check=check, verdict=verdict): values for verdict, values in verdicts.items()}


def _cases() -> Iterator[Case]:
    of_both = {"source": "espn", "dataset": "espn_summary"}
    for kind in OF_INCIDENTS:
        yield _case(kind, 10, 20, {_series(INCIDENTS, kind=kind): "0x9 1x9 0x99"})
    yield _case(Kind.DISK, 10, 60, _checks("disk of the lake"))
    yield _case(Kind.LEDGER, 10, 60, _checks("ledger"))
    yield _case(Kind.LAKE, 10, 60, _checks("lake", "fail"))
    yield _case(Kind.PREFECT, 10, 60, _checks("Prefect API"))
    first, last = _series(FIRST_RUN), _series(LAST_RECONCILE)
    yield _case(Kind.NO_RECONCILE, 31, 50, {first: "0x199", last: "0x49 3000x149"})
    yield _case(Kind.NO_RECONCILE, 31, 50, {first: "0x199", last: "_x50 3000x149"})
    yield _case(Kind.SLOW_CYCLE, 10, 20, {_series(CYCLE_LASTS): "600x9 601x9 600x99"})
    espn, other = (_series(PAUSED_SINCE, source=source) for source in SOURCES)
    paused = {espn: "0x199 stale", other: "0x299 stale"}
    yield _case(Kind.SOURCE_PAUSED, 181, 200, paused)
    yield _case(Kind.SOURCE_PAUSED, 151, 160, {other: "0x159 stale"}, _LONG)
    yield _case(Kind.FAILURES, 10, 70, _attempts())
    yield _case(Kind.CRITICAL_GAP, 241, 300, {_series(CRITICAL_OLDEST, **of_both): "0x299 18000x200"})
    for kind, gauge in ((Kind.LOST, LOST_FILES), (Kind.UNREADABLE, UNREADABLE_FILES)):
        yield _case(kind, 10, 20, {_series(gauge, **of_both): "0x9 2x9 0x99"})
    path = {"proved": "1x9 0x19 1x99", "broken": "0x9 1x19 0x99", "unproved": "0x199"}
    yield _case(Kind.EVENT_PATH, 10, 30, {_series(EVENT_PATH, state=state): values for state, values in path.items()})
    yield _case(Kind.MISSED_EVENTS, 10, _DAY + 10, _events(11, 1000), _LONG)
    yield _case(Kind.MISSED_EVENTS, 10, _DAY + 10, _events(2, 10), _LONG)
    unread = {_series(EVENTS, fate="unreadable"): f"0x9 1x{_DAY + 99}"}
    yield _case(Kind.DEAD_LETTERS, 10, _DAY + 10, unread, _LONG)
    answers = _series(CHECKS, check="answers", verdict="fail")
    yield Case(AWAY, 30, 60, {answers: "0x29 stale _x29 0x99"})
    yield Case(AWAY, 30, 60, {answers: "0x29 1x29 0x99"})


def _attempts() -> Input:
    """Half of the files of `a` fail for an hour, those of `b` are not there yet, and `c` has no failures."""

    def files(source: str, dataset: str, outcome: str) -> str:
        return _series(FILES, source=source, dataset=dataset, outcome=outcome)

    def failures(source: str, dataset: str, failure: str) -> str:
        return _series(FAILURES, source=source, dataset=dataset, failure=failure)

    return {
        files("espn", "a", "stored"): "0+1x199",
        files("espn", "a", "failed"): "0+1x60 60x199",
        files("espn", "a", "deferred"): "0+9x199",
        files("espn", "b", "failed"): "0+5x199",
        failures("espn", "a", "broken"): "0+1x60 60x199",
        failures("espn", "b", "absent"): "0+4x199",
        failures("espn", "b", "unfinished"): "0+1x199",
        files("basketball_reference", "c", "stored"): "0+5x199",
        files("basketball_reference", "c", "failed"): "0x199",
        failures("basketball_reference", "c", "absent"): "0x199",
    }


def _events(missed: int, taken: int) -> Input:
    """So many events are missed at once, while others are taken in each of ten steps."""
    length = _DAY + 199
    return {
        _series(MISSED_EVENTS): f"0x9 {missed}x{length}",
        _series(EVENTS, fate="applied"): f"0+{taken}x10 {10 * taken}x{length}",
        _series(EVENTS, fate="own"): f"0x{length}",
    }


CASES = list(_cases())


def _given(series: Input, owner: str, length: int) -> list[dict[str, str]]:
    """The series, the owner, the limits of the defaults, and that ADCE answers unless a series says otherwise."""
    settings = Settings()
    always = {
        _series(ALERTS_LIMIT, kind=kind, source=source): f"{settings.limit_of(kind, source):g}"
        for kind in Kind
        for source in SOURCES
    }
    always[_series(ALERTS_MISSED)] = f"{MOST_MISSED:g}"
    always |= {_series(ALERTS_OWNER, owner=one): f"{one == owner:d}" for one in ("adce", "prometheus", "none")}
    always[_series(CHECKS, check="answers", verdict="fail")] = "0"
    return [
        *({"series": name, "values": values} for name, values in series.items()),
        *({"series": name, "values": f"{value}x{length}"} for name, value in always.items() if name not in series),
    ]


def _test(series: Input, firing: Mapping[int, str | None], minutes: int = 1, owner: str = "prometheus") -> Any:
    """A test of promtool: which alert fires in these steps, if any."""
    return {
        "interval": f"{minutes}m",
        "input_series": _given(series, owner, max(firing) + 1),
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{step * minutes}m",
                "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else [],
            }
            for step, alert in firing.items()
        ],
    }


def _promtool(folder: Path, *tests: Any) -> None:
    """Runs tests. The rules are evaluated in each step."""
    for every in {test["interval"] for test in tests}:
        mine = [test for test in tests if test["interval"] == every]
        document = {"rule_files": [str(FOLDER / ALERTS)], "evaluation_interval": every, "tests": mine}
        (folder / "test.yml").write_text(yaml.safe_dump(document))
        command = ["promtool", "test", "rules", folder / "test.yml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _steps(case: Case) -> dict[int, str | None]:
    """Around the steps in which an alert begins and ceases to fire: does it?"""
    rule = RULES[case.alert]
    begins, ends = (
        step + math.ceil(span / timedelta(minutes=case.minutes))
        for step, span in ((case.begins, rule.holds_for), (case.ends, rule.keep_for))
    )
    return {0: None, begins - 1: None, begins: case.alert, ends - 1: case.alert, ends: None}


def test_there_is_a_case_for_each_rule() -> None:
    assert {case.alert for case in CASES} == set(RULES)


def test_each_rule_fires_as_its_condition_opens_and_ceases_as_that_closes(tmp_path: Path) -> None:
    _promtool(tmp_path, *(_test(case.series, _steps(case), case.minutes) for case in CASES))


def test_no_rule_fires_unless_prometheus_tells(tmp_path: Path) -> None:
    fires = {case: next(step for step, alert in _steps(case).items() if alert) for case in CASES}
    _promtool(
        tmp_path,
        *(
            _test(case.series, {step: None}, case.minutes, owner)
            for case, step in fires.items()
            for owner in ("adce", "nobody says")
            if owner == "adce" or step < 100
        ),
    )


def test_nothing_fires_of_what_is_not_known_or_within_the_limits(tmp_path: Path) -> None:
    of_a_day = dict.fromkeys((1, 60, _DAY))
    _promtool(tmp_path, _test({}, of_a_day, _LONG), _test(_events(10, 500), of_a_day, _LONG))


def test_a_limit_of_the_settings_for_missed_events_takes_the_place_of_their_share(tmp_path: Path) -> None:
    own = {
        _series(ALERTS_LIMIT, kind=Kind.MISSED_EVENTS, source=source): f"1000x{_DAY + 199}" for source in SOURCES
    } | {_series(ALERTS_MISSED): f"_x{_DAY + 199}"}
    _promtool(tmp_path, _test(_events(500, 500) | own, dict.fromkeys((1, 60, _DAY)), _LONG))


def test_an_alert_says_what_is_wrong_with_its_value_and_the_command_that_shows_more(tmp_path: Path) -> None:
    series = {_series(CRITICAL_OLDEST, source="espn", dataset="espn_summary"): "0x60"}
    labels = _of(source="espn", dataset="espn_summary", kind="critical_gap", severity="warning")
    said = {
        "summary": "CRITICAL files have been missing for long",
        "value": "5h 0m 0s",
        "command": "`adce plan`",
    }
    told = {"eval_time": "300m", "alertname": "AdceCriticalGap"}
    told |= {"exp_alerts": [{"exp_labels": labels, "exp_annotations": said}]}
    _promtool(tmp_path, {**_test(series, {30: "AdceCriticalGap"}, _LONG), "alert_rule_test": [told]})


def test_what_explains_a_condition_silences_its_alert_within_its_scope_and_nothing_else() -> None:
    silenced = {
        (source, target): tuple(rule["equal"])
        for rule in inhibitions()
        for source in _names(rule["source_matchers"])
        for target in _names(rule["target_matchers"])
    }
    del silenced[BY_KIND[Kind.LEDGER].name, AWAY]
    for condition in CATALOGUE:
        for parent in map(BY_KIND.get, ancestors(condition.kind)):
            assert parent
            both = RULES[parent.name].labels, RULES[condition.name].labels
            can_be_compared = parent.labels == both[0] and both[0] == both[1][: len(both[0])]
            expected = ("job", "instance", *both[0]) if can_be_compared else None
            assert silenced.pop((parent.name, condition.name), None) == expected
    assert silenced == {}


def _names(matchers: list[str]) -> list[str]:
    (matcher,) = matchers
    return matcher.partition('"')[2].rstrip('"').split("|")


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of an Alertmanager that has the example configuration."""
    if not shutil.which("prometheus-alertmanager"):
        pytest.skip("Alertmanager is not installed (Debian: prometheus-alertmanager)")
    subprocess.run(["amtool", "check-config", FOLDER / ALERTMANAGER], check=True, capture_output=True)
    address = f"127.0.0.1:{free_port()}"
    options = [f"--storage.path={tmp_path / 'data'}", f"--web.listen-address={address}", "--cluster.listen-address="]
    with (tmp_path / "log").open("w") as log:
        command = ["prometheus-alertmanager", f"--config.file={FOLDER / ALERTMANAGER}", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}/api/v2", trust_env=False, verify=False) as client:
            yield client
    finally:
        process.kill()
        process.wait(30)
        print((tmp_path / "log").read_text())


def test_alertmanager_tells_of_a_cause_and_not_of_what_it_explains(alertmanager: httpx.Client) -> None:
    told = {
        "cause": _of(alertname="AdceSourcePaused", source="espn"),
        "explained": _of(alertname="AdceCriticalGap", source="espn", dataset="espn_summary"),
        "of another source": _of(alertname="AdceCriticalGap", source="nba_api", dataset="nba_playbyplay"),
        "of another ADCE": {**_of(alertname="AdceFailures", source="espn"), "instance": "other"},
    }
    _until(lambda: alertmanager.get("/status").is_success)
    alertmanager.post("/alerts", json=[{"labels": labels} for labels in told.values()]).raise_for_status()

    def silent() -> list[dict[str, str]]:
        found = alertmanager.get("/alerts").raise_for_status().json()
        assert len(found) == len(told)
        return [alert["labels"] for alert in found if alert["status"]["inhibitedBy"]]

    _until(lambda: silent() == [told["explained"]])  # it learns of them one after another


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(httpx.TransportError):  # it starts
            if holds():
                return
        time.sleep(0.05)
    pytest.fail("Alertmanager does not do that")

"""What do `adce pause` and `adce resume` change, what do they say that follows, and what does `adce sources` show?"""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from config.load import load_config
from tasks.domain.assess.gaps import Gap
from tasks.domain.assess.states import Kind
from tasks.domain.incidents import Fact, Settings, step
from tasks.domain.incidents import Kind as IncidentKind
from tasks.domain.limits.buckets import BucketOnServer
from tasks.domain.limits.pauses import Pause, Phase
from tasks.domain.limits.rates import AllowanceTerms
from tasks.domain.wording import utc
from tasks.ledger import Ledger
from tasks.ledger.operator_pauses import OperatorPauses
from tasks.ledger.plans import RUN
from tasks.ledger.requests import report_requests
from tests.builders import NOW, a_board, a_gap

Adce = Callable[..., Result]
NOTE = ("--note", "their database moves")


@pytest.fixture(autouse=True)
def ledger(adce_home: object, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that knows of three gaps at ESPN, and whose operator is Ana."""
    monkeypatch.setenv("SUDO_USER", "ana")
    with closing(Ledger(load_config().ledger)) as ledger:
        ledger.gaps.record([a_gap(0), a_gap(1), Gap(a_board(), Kind.MISSING, "not in the lake", NOW)])
        yield ledger


def test_a_pause_says_which_files_wait_until_when_and_what_it_replaces(adce: Adce, ledger: Ledger) -> None:
    first = adce("pause", "espn", *NOTE)
    assert first.stdout.splitlines() == [
        "espn is paused with no end by ana: their database moves",
        "3 files (espn_scoreboard 1, espn_summary 2) wait until you type `adce resume espn`; runs at work begin no "
        "more requests for them",
    ]
    second = json.loads(adce("pause", "espn", "--note", "shorter", "--for", "2h", "--json").stdout)
    pause, replaced = second["pause"], second["replaces"]
    assert replaced | {"since": None} == {
        "name": "espn",
        "limit": "operator_pause",
        "reason": "paused with no end by ana: their database moves",
        "since": None,
        "until": None,
        "by": "ana",
        "waiting": {"espn_scoreboard": 1, "espn_summary": 2},
    }
    lasts = datetime.fromisoformat(pause["until"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=58) < lasts <= timedelta(hours=2)
    far = json.loads(adce("pause", "espn", "--until", "9999-12-31T23:59-05:00", *NOTE, "--json").stdout)
    assert far["pause"] | {"since": None} == replaced | {"since": None}, "no time can be added to it"
    third = adce("pause", "espn", "--until", "2099-01-01", *NOTE).stdout
    assert third.startswith("espn is paused until 2099-01-01 00:00 UTC by ana: their database moves\nthis takes the ")
    assert [found.reason for found in ledger.operator_pauses.current(datetime.now(UTC)).values()] == [NOTE[1]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["espnn"], "no source or dataset 'espnn'; did you mean espn?"),
        (["qqq"], "no source or dataset 'qqq'; the sources are espn, nba_api, basketball_reference"),
        (["espn@new_host"], "espn@new_host: name espn, which stands for all its variants"),
        (["espn", "--for", "soon"], "--for soon: not a duration; write it as 30m, 2h or 90d"),
        (["espn", "--for", "0s"], "--for 0s: that is over already; it is "),
        (["espn", "--until", "2020-01-01"], "--until 2020-01-01: that is over already; it is "),
        (["espn", "--until", "noon"], "--until noon: not a time; write it as 2024-01-31T12:00:00Z"),
        (["espn", "--note", " \x1b "], "--note: give the reason; it is shown wherever the files are shown"),
        (["espn", "--note", "x" * 1_001], "--note: 1,001 characters; at most 500, as every file's reason has it"),
        (["espn", "--for", "2h", "--until", "2099-01-01"], "--for and --until: give one of them"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_pauses_nothing(adce: Adce, ledger: Ledger, arguments: list[str], says: str) -> None:
    result = adce("pause", *NOTE, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"adce: {says}")
    assert ledger.operator_pauses.current(datetime.now(UTC)) == {}


@pytest.mark.parametrize("command", [("pause", *NOTE), ("resume",)], ids=" ".join)
def test_a_mistyped_name_is_told_before_a_ledger_that_is_not_there(
    adce: Adce, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{tmp_path}/there-is-none.db")
    assert "no source or dataset 'espnn'; did you mean espn?" in adce(*command, "espnn").stderr
    assert "there-is-none.db" in adce(*command, "espn").stderr


def test_what_resume_says_is_what_it_did_even_if_a_refusal_came_a_moment_before(
    adce: Adce, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume, until = OperatorPauses.resume, datetime.now(UTC) + timedelta(minutes=30)

    def after_a_refusal(pauses: OperatorPauses, name: str, now: datetime) -> list[Pause]:
        ledger.pauses.change(name, lambda _: Pause(name, until, "HTTP 403"))
        return resume(pauses, name, now)

    monkeypatch.setattr(OperatorPauses, "resume", after_a_refusal)
    assert adce("resume", "espn").stdout.startswith(f"ended: espn source paused until {utc(until)}: HTTP 403; the next")


def test_to_resume_a_source_names_what_is_ended_and_what_still_holds_it_up(
    adce: Adce, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=0.4)
    monkeypatch.setenv("ADCE_SOURCES__ESPN__BACKOFF", "{longest: 6h}")
    at = f"{soon + timedelta(hours=1):%Y-%m-%d %H:%M} UTC"
    for name in ("espn", "espn_summary"):
        held = Pause(name, soon + timedelta(hours=1), "HTTP 403", 1)
        ledger.pauses.change(name, lambda _, held=held: held)  # type: ignore[misc]
    assert adce("resume", "espn").stdout.splitlines() == [
        f"ended: espn source paused until {at}: HTTP 403; the next request is a probe, whose answer decides",
        f"there is still: espn_summary breaker open until {at}: HTTP 403; `adce resume espn_summary` ends that",
        "1 file of espn_scoreboard is fetched by the next run, or by one at work; one begins every 15m if "
        "`adce up` or a schedule runs",
    ]
    assert ledger.pauses.current()["espn"].phase(datetime.now(UTC)) is Phase.HALF_OPEN
    again = json.loads(adce("resume", "espn", "--json").stdout)
    assert (again["ended"], again["free"]) == ([], {"espn_scoreboard": 1})
    assert [(hold["name"], hold["limit"]) for hold in again["holds"]] == [
        ("espn", "probe"),
        ("espn_summary", "reconcile.breaker"),
    ]
    monkeypatch.setenv(
        "ADCE_MAINTENANCE", '[{of: espn, from: "00:00", to: "12:00"}, {of: espn, from: "12:00", to: "00:00"}]'
    )
    held_up = adce("resume", "espn_scoreboard").stdout
    assert "there is nothing to end: espn_scoreboard is not paused\n" in held_up
    assert "there is still: espn maintenance with no end: espn\n" in held_up


def test_a_pause_says_what_holds_files_up_for_longer_and_what_ends_that(adce: Adce, ledger: Ledger) -> None:
    until = datetime.now(UTC) + timedelta(minutes=30)
    ledger.pauses.change("espn_summary", lambda _: Pause("espn_summary", until, "8 failures"))
    longer = f"breaker open until {utc(until)}: 8 failures"
    pause, waits, breaker = adce("pause", "espn", *NOTE, "--for", "10m").stdout.splitlines()
    at = pause.removeprefix("espn is paused until ").partition(" by ana")[0]
    assert waits.startswith(f"3 files (espn_scoreboard 1, espn_summary 2) wait at least until {at}; runs at work")
    remedy = "`adce resume espn_summary` ends that"
    assert breaker == f"2 files of espn_summary wait longer: espn_summary {longer}; {remedy}"
    [held] = json.loads(adce("pause", "espn", *NOTE, "--for", "10m", "--json").stdout)["longer"]
    assert (held["name"], held["reason"], held["waiting"]) == ("espn_summary", longer, {"espn_summary": 2})
    assert json.loads(adce("pause", "espn", *NOTE, "--json").stdout)["longer"] == [], "nothing ends after it"


@pytest.mark.parametrize("kind", ["maintenance", "bucket"])
def test_to_end_a_pause_does_not_hide_what_else_holds_up_the_source(
    adce: Adce, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    now = datetime.now(UTC)
    ledger.pauses.change("espn", lambda _: Pause("espn", now + timedelta(minutes=30), "HTTP 403"))
    if kind == "maintenance":
        window = f'{{of: espn, from: "{now - timedelta(days=1):%Y-%m-%d}T00:00", to: "2099-01-01T00:00"}}'
        monkeypatch.setenv("ADCE_MAINTENANCE", f"[{window}]")
    else:
        left = {
            "limit": "bucket",
            "of": "espn",
            "reason": "no bucket",
            "until": (now + timedelta(hours=1)).isoformat(),
            "keys": [],
        }
        ledger.plans.keep(RUN, {"fills": [], "later": [left]}, NOW, "some run")
    resumed = json.loads(adce("resume", "espn", "--json").stdout)
    assert [hold["limit"] for hold in resumed["ended"]] == ["backoff"]
    assert [hold["limit"] for hold in resumed["holds"]] == [kind]
    assert resumed["free"] == {}


def test_the_sources_are_shown_with_their_incidents(adce: Adce, ledger: Ledger) -> None:
    facts = [
        Fact(IncidentKind.CRITICAL_GAP, "espn/espn_summary", 5 * 3600, 3, "the first one was detected at noon"),
        Fact(IncidentKind.CRITICAL_FAILURES, "nba_api/nba_playbyplay", 3, 1, "nba_api_playbyplay/1.json"),
        Fact(IncidentKind.LEDGER, "", 0),
    ]
    ledger.incidents.evaluate(partial(step, facts=facts, now=NOW, settings=Settings()), NOW)
    lines = adce("sources").stdout.splitlines()
    assert lines[-3] == (
        "espn/espn_summary: CRITICAL files have been missing for long (since 2026-01-15 07:00 UTC, 3 files): "
        "the first one was detected at noon; more: adce plan --dataset espn_summary"
    )
    assert lines[-2] == (
        "nba_api/nba_playbyplay: A CRITICAL file fails again and again (since 2026-01-15 12:00 UTC, 1 file): "
        "nba_api_playbyplay/1.json; more: adce why nba_api_playbyplay/1.json"
    )
    answer = {one["name"]: one["incidents"] for one in json.loads(adce("sources", "--json").stdout)["sources"]}
    assert [(one["kind"], one["scope"], one["files"]) for one in answer["espn"]] == [
        ("critical_gap", "espn/espn_summary", 3)
    ]
    assert answer["basketball_reference"] == []


def test_the_sources_are_shown_with_all_that_holds_them_up(
    adce: Adce, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From what the ledger keeps; nothing is written."""
    now = datetime.now(UTC)
    day = f"{now + timedelta(days=2):%Y-%m-%d}"
    monkeypatch.setenv(
        "ADCE_MAINTENANCE", f'[{{of: nba_api, from: "{day}T03:00", to: "{day}T05:00", note: "new racks"}}]'
    )
    later = now + timedelta(minutes=5)
    ledger.pauses.change("espn_summary", lambda _: Pause("espn_summary", later, "8 failures", since=NOW))
    missing = "rate bucket 'adce-basketball_reference' is missing; run `adce setup` to create the rate buckets"
    stopped = {"limit": "bucket", "of": "basketball_reference", "reason": missing}
    left = stopped | {"until": later.isoformat(), "keys": []}
    ledger.plans.keep(RUN, {"fills": [], "later": [left]}, NOW, "some run")
    sent = {"espn": 480}
    ledger.database.write(lambda connection: report_requests(connection, "a run", now.timestamp(), sent))
    assert adce("pause", "espn_scoreboard", *NOTE).exit_code == 0
    lines = adce("sources").stdout.splitlines()
    rows = {line.split()[0]: line.rstrip() for line in lines if " in 1s" in line or " in 60s" in line}
    assert rows["espn"].split()[1:] == ["10", "in", "1s", "480", "3", "never", "partly", "held", "up"]
    assert rows["nba_api"].endswith("asked as usual")
    assert rows["basketball_reference"].endswith("held up")
    begun = utc(ledger.operator_pauses.current(now)["espn_scoreboard"].since or now)
    assert lines[-5:] == [
        f"espn_scoreboard: paused with no end by ana: their database moves (since {begun}); 1 file of espn_scoreboard; "
        "`adce resume espn_scoreboard` ends that",
        f"espn_summary: breaker open until {later:%Y-%m-%d %H:%M} UTC: 8 failures (since 2026-01-15 12:00 UTC); "
        "2 files of espn_summary; `adce resume espn_summary` ends that",
        f"nba_api: next maintenance from {day} 03:00 UTC until {day} 05:00 UTC: new racks",
        f"basketball_reference: {missing}",
        "the files that wait are as of 2026-01-15 12:00 UTC",
    ]
    ledger.announcements.progressed(now)
    parts = {"fills": [], "later": [left], "verified_since": "2026-01-15T07:00:00+00:00"}
    ledger.plans.keep(RUN, parts, NOW, "a run that has listed parts of the lake")
    told = (
        "the files that wait are as of 2026-01-15 12:00 UTC (parts of the lake were last listed at "
        f"2026-01-15 07:00 UTC or later), and by the events until {utc(now)}"
    )
    assert adce("sources").stdout.splitlines()[-1] == told, "they have changed which files wait"
    want, by_hand = AllowanceTerms(1, 1.0), AllowanceTerms(9, 9.0)
    for have, said in ((None, 0), (by_hand, 1)):  # still missing, which the hold says, and made by hand meanwhile
        with monkeypatch.context() as changed:
            bucket = BucketOnServer("adce-basketball_reference", want, have)
            buckets = [bucket, *(BucketOnServer(f"adce-{name}", want, want) for name in ("espn", "nba_api"))]
            changed.setattr("deployments.cli.sources._buckets", lambda *_, buckets=buckets: (buckets, None))
            assert adce("sources").stdout.count(f"{bucket.trouble}\n") == said
    with monkeypatch.context() as changed:  # no run has met it so far
        inactive = [
            BucketOnServer(f"adce-{source}", want, want, is_active=source != "espn")
            for source in ("espn", "nba_api", "basketball_reference")
        ]
        changed.setattr("deployments.cli.sources._buckets", lambda *_: (inactive, None))
        files = "3 files (espn_scoreboard 1, espn_summary 2)"
        assert f"{inactive[0].trouble}; {files}\n" in adce("sources").stdout
    monkeypatch.setenv("ADCE_COLLECT__SOURCES", "[espn]")
    assert adce("sources").stdout.splitlines()[3].rstrip().endswith("not collected")
    monkeypatch.delenv("ADCE_COLLECT__SOURCES")
    document = json.loads(adce("sources", "--json").stdout)
    assert document["looked_at"] == "2026-01-15T12:00:00Z"
    assert document["verified_since"] == "2026-01-15T07:00:00Z"
    espn, nba_api, _ = document["sources"]
    assert (espn["rates"], espn["waiting"]) == (
        [{"requests": 10, "seconds": 1.0}],
        {"espn_scoreboard": 1, "espn_summary": 2},
    )
    assert [(hold["name"], hold["limit"], hold["by"]) for hold in espn["holds"]] == [
        ("espn_scoreboard", "operator_pause", "ana"),
        ("espn_summary", "reconcile.breaker", None),
    ]
    assert nba_api["next_maintenance"] == {
        "begins": f"{day}T03:00:00Z",
        "until": f"{day}T05:00:00Z",
        "note": "new racks",
    }
    monkeypatch.setenv("ADCE_LEDGER", f"sqlite:///{tmp_path}/there-is-none.db")
    assert adce("sources").stdout.splitlines()[-1] == "no run has looked at the lake so far"

"""Does a ledger of an older version keep its rows?"""

import json
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.domain.assess.overview import Place, Standing
from tasks.domain.assess.states import Content, Examination, LakeObject, Learnt, LearntBy, State, Unreadable
from tasks.domain.assess.verdicts import bad
from tasks.domain.expected.games import Game, GameStatus
from tasks.domain.limits.pauses import Pause
from tasks.domain.metrics import DEFERRALS, FILES, FILL_SECONDS, RUNS, Series
from tasks.domain.outcomes import RunEnd
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tasks.ledger.plans import RUN, KeptPlan
from tasks.ledger.settings import KeptSettings
from tests.builders import NOW
from tests.old_ledger import make_old_ledger


def test_the_changelog_names_the_schema_after_the_upgrade_and_no_other() -> None:
    root = Path(__file__).parents[3]
    newest = max(file.name[:4] for file in root.glob("tasks/ledger/migrations/versions/0*.py"))
    unreleased = (root / "CHANGELOG.md").read_text().split("\n## ")[1]
    assert re.findall(r"(?:schema(?: after the upgrade)?(?: is)?) (\d{4})", unreleased) == [newest]


class OldLedger:
    """A ledger as an older version has left it. `now` opens it as this version does."""

    def __init__(self, url: str):
        self.url = url

    def fill(self, revision: str, **tables: Sequence[Mapping[str, Any]]) -> None:
        """Makes the ledger with the schema of a revision, and inserts rows."""
        make_old_ledger(self.url, revision, lambda connection: _insert(connection, tables))

    def now(self) -> Ledger:
        return Ledger(self.url)


def _insert(connection: sa.Connection, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for name, rows in tables.items():
        table = sa.Table(name, sa.MetaData(), autoload_with=connection)
        for row in rows:
            connection.execute(table.insert().values(row))


@pytest.fixture
def old(url: str) -> OldLedger:
    return OldLedger(url)


def test_the_sentences_that_told_how_runs_ended_become_words(old: OldLedger) -> None:
    outcomes = {
        "a": "ended",
        "b": "stopped: cancelled in Prefect",
        "c": "failed",
        "d": "died",
        "e": "died, and is known to have",
        "f": None,
    }
    row = {"kind": "reconcile", "about": "everything", "holder": "here", "began": 0.0, "ended": 1.0}
    old.fill("0011", runs=[{**row, "id": run, "outcome": outcome} for run, outcome in outcomes.items()])
    with closing(old.now()) as ledger:
        records = ledger.runs.by_id(outcomes)
    assert {run: (record.outcome, record.why) for run, record in records.items()} == {
        "a": (RunEnd.ENDED, None),
        "b": (RunEnd.STOPPED, "cancelled in Prefect"),
        "c": (RunEnd.FAILED, None),
        "d": (RunEnd.DIED, None),
        "e": (RunEnd.DEATH_REPORTED, None),
        "f": (None, None),
    }


def test_a_version_that_was_one_text_becomes_columns(old: OldLedger) -> None:
    texts = {"plain": "etag:100:c1", "colons": '"W/a:b":2000000000000:c2', "none": "v", "no size": "etag:x:c"}
    examined = {"wholeness": "bad", "reason": "why", "fault": "unfit", "fetched": NOW.timestamp(), "agreed": True}
    examined |= {"was_size": 7, "changed": True}
    refused = {"reason": "it is archived", "first": NOW.timestamp(), "last": NOW.timestamp()}
    old.fill(
        "0012",
        examined=[{**examined, "key": key, "version": text} for key, text in texts.items()],
        unreadable=[{**refused, "key": "u", "content": "a:b:100"}, {**refused, "key": "v", "content": "a"}],
    )
    with closing(old.now()) as ledger:
        verdict = bad("why")
        assert ledger.objects.examined() == {
            "plain": Examination("etag", 100, "c1", verdict, NOW, True, 7, True),
            "colons": Examination('"W/a:b"', 2_000_000_000_000, "c2", verdict, NOW, True, 7, True),
        }
        assert ledger.objects.learnt({"plain": LakeObject("plain", 100, NOW, "etag")}) == {
            "plain": Learnt(LearntBy.LISTING, None)
        }
        assert ledger.objects.unreadable() == {"u": Unreadable(Content("a:b", 100), "it is archived", NOW, NOW)}


def test_the_games_of_a_schedule_that_were_json_become_rows(old: OldLedger) -> None:
    start = datetime(2026, 1, 14, 0, 30, tzinfo=UTC)
    games = [
        ["2", "2026-01-13", start.timestamp(), "final", "2025-26", "regular"],
        ["1", "2026-01-14", None, "scheduled", "2025-26", "playoffs", True],
    ]
    row = {"etag": "e", "size": 1, "body_check": "c", "learnt_by": "own", "reason": "", "agreed": False}
    row |= {"wholeness": "whole", "changed": False}
    old.fill(
        "0013",
        objects=[{**row, "key": "s", "games": json.dumps(games)}, {**row, "key": "other", "games": None}],
    )
    with closing(old.now()) as ledger:
        final = Game("2", date(2026, 1, 13), start, GameStatus.FINAL, "2025-26", "regular")
        ahead = Game("1", date(2026, 1, 14), None, GameStatus.SCHEDULED, "2025-26", "playoffs", True)
        assert {key: seen.verdict.games for key, seen in ledger.objects.examined().items()} == {
            "s": (final, ahead),
            "other": (),
        }
        assert ledger.games.schedules_that_list("1") == ["s"]


def test_pauses_and_claims_have_tables_of_that_name_and_a_fill_its_variant(old: OldLedger) -> None:
    fill = {"id": 1, "fill": "f", "run": "r", "source": "espn", "dataset": "d", "arm": "new_host", "kind": "missing"}
    fill |= {"priority": "LOW", "score": 1.0, "started": 0.0, "requests": 1, "bytes": 1, "stored": 1, "failed": 0}
    file = {"fill_id": 1, "key": "k", "at": 0.0, "outcome": "stored", "requests": 1, "bytes": 1}
    hold = {"name": "espn", "until": NOW.timestamp(), "reason": "HTTP 503", "step": 2, "failures": "[]"}
    run = {"kind": "reconcile", "about": "", "holder": "host", "began": 0.0}
    lease = {"until": time.time() + 60, "lasts": 60.0}
    old.fill(
        "0018",
        fills=[fill],
        files=[file],
        holds=[hold],
        runs=[{**run, "id": run_id} for run_id in ("r", "dead")],
        leases=[{**lease, "name": "r", "run": "r"}],
        marks=[{"work": "w", "run": "r"}, {"work": "left by a run that died", "run": "dead"}],
    )
    with closing(old.now()) as ledger:
        assert ledger.pauses.current() == {"espn": Pause("espn", NOW, "HTTP 503", 2)}
        assert ledger.attempts.variant_results("new_host", ["d"])[0].stored == 1
        leases = Leases(ledger.database, "another", timedelta(minutes=1))
        assert {work: claim.run for work, claim in leases.claims().items()} == {"w": "r"}
        assert ledger.fills.claim(leases, ["w", "left by a run that died"], [], 0)[0] == {"left by a run that died"}


def test_attempts_and_runs_of_before_know_nothing_of_what_was_not_kept(old: OldLedger) -> None:
    fill = {"id": 1, "fill": "f", "run": "r", "source": "espn", "dataset": "d", "arm": "", "kind": "missing"}
    fill |= {"priority": "LOW", "score": 1.0, "started": 0.0, "requests": 1, "bytes": 1, "stored": 1, "failed": 0}
    file = {"fill_id": 1, "key": "k", "at": NOW.timestamp(), "outcome": "stored", "requests": 1, "bytes": 1}
    run = {"id": "r", "kind": "reconcile", "about": "", "holder": "", "began": 0.0, "ended": 1.0, "outcome": "ended"}
    old.fill("0014", fills=[fill], files=[file], runs=[run])
    with closing(old.now()) as ledger:
        [attempt] = ledger.attempts.of("k")
        assert (attempt.at, attempt.outcome, attempt.run) == (NOW, "stored", "r")
        assert (attempt.due, attempt.detected, attempt.asked, attempt.stored) == (None,) * 4
        assert (attempt.refusals, attempt.waited) == (0, 0.0)
        assert ledger.runs.by_id(["r"])["r"].seconds == {}
        assert ledger.totals.current() == {}


def test_settings_that_were_among_the_plans_have_a_table_of_their_own(old: OldLedger) -> None:
    kept = [
        {"name": name, "at": NOW.timestamp(), "run": "one", "document": zlib.compress(json.dumps({"a": name}).encode())}
        for name in ("settings", RUN)
    ]
    old.fill("0022", plans=kept)
    with closing(old.now()) as ledger:
        assert ledger.settings.kept() == KeptSettings({"a": "settings"}, NOW)
        assert ledger.plans.kept(RUN) == KeptPlan({"a": RUN}, NOW, "one")
        assert ledger.check()["plans"] == 1


def test_gaps_keep_when_they_were_first_seen(old: OldLedger) -> None:
    gaps = [{"key": key, "dataset": "d", "kind": "missing", "first_seen": NOW.timestamp()} for key in ("b", "a")]
    old.fill("0027", gaps=gaps)
    with closing(old.now()) as ledger:
        assert ledger.gaps.first_seen() == {"a": NOW, "b": NOW}
        assert ledger.gaps.counts() == {"d": 2}
        assert ledger.figures.gaps_without_due() == 2


def test_a_lake_that_was_looked_at_is_known_to_have_been_though_its_judgements_are_deleted(old: OldLedger) -> None:
    run = {"id": "a", "kind": "reconcile", "about": "everything", "holder": "here", "began": 0.0}
    old.fill("0028", runs=[{**run, "ended": 1.0, "outcome": "ended"}])
    with closing(old.now()) as ledger:
        assert ledger.runs.any_has_looked()


def test_totals_are_named_after_the_metrics_that_they_are_published_as(old: OldLedger) -> None:
    def row(name: str, labels: Mapping[str, str], bucket: str, value: float) -> Mapping[str, Any]:
        return {"name": name, "labels": json.dumps(labels, separators=(",", ":")), "bucket": bucket, "value": value}

    of_two_sources = [row("fill_seconds", {"dataset": "d", "source": name}, "5", 2) for name in ("a", "b")]
    files = [
        row("files", {"dataset": "d", "limit": limit, "outcome": "deferred", "source": "a"}, "", 1)
        for limit in ("backoff", "lake")
    ]
    runs = row("runs", {"kind": "fill", "outcome": "ended"}, "", 3)
    old.fill("0029", totals=[*of_two_sources, *files, runs, row("gone", {}, "", 1)])
    with closing(old.now()) as ledger:
        assert ledger.totals.current() == {
            Series(FILL_SECONDS.name, '{"dataset":"d"}', "5"): 4,
            Series(FILES.name, '{"dataset":"d","outcome":"deferred","source":"a"}'): 2,
            Series(DEFERRALS.name, '{"limit":"backoff","source":"a"}'): 1,
            Series(DEFERRALS.name, '{"limit":"lake","source":"a"}'): 1,
            Series(RUNS.name, '{"flow":"fill","outcome":"ended"}'): 3,
        }


def test_a_look_that_was_recorded_before_is_summed_by_season(old: OldLedger) -> None:
    look = {"name": "last", "taken_at": 0.0, "verified_since": 0.0, "run": "r", "lake": "file:///lake"}
    counts = dict.fromkeys(("list_requests", "never_read", "by_former_checks", "unknown"), 0)
    tally = {"dataset": "d", "by_operator": False, "unread": False}
    of_days = [
        {"season": "2024-25", "span": "2025-01-01", "state": "present", "cells": 2},
        {"season": "2024-25", "span": "2025-01-02", "state": "present", "cells": 3},
        {"season": "2024-25", "span": "2025-01-02", "state": "gap", "cells": 1},
        {"season": "2025-26", "span": "", "state": "present", "cells": 4},
    ]
    old.fill("0042", looks=[look | counts], tallies=[tally | of_day for of_day in of_days])
    with closing(old.now()) as ledger:
        found = ledger.looks.recorded(by_season=True)
        assert found
        assert found.counts == {
            Place("d", "2024-25", ""): {Standing(State.PRESENT): 5, Standing(State.GAP): 1},
            Place("d", "2025-26", ""): {Standing(State.PRESENT): 4},
        }

"""What survives a run?"""

import random
import re
import socket
import sqlite3
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.schema import CreateIndex, CreateTable

from config.models import Unavailability
from tasks.domain.access import Access
from tasks.domain.arrivals import LastChange, Unannounced
from tasks.domain.assess.absences import Absence, Look
from tasks.domain.assess.agreement import Disagreement
from tasks.domain.assess.states import Content, Examination, Learnt, LearntBy, Unreadable, version_of
from tasks.domain.assess.verdicts import Fault, bad, partial, unfinished, whole
from tasks.domain.errors import LedgerError
from tasks.domain.lakes import FORGOTTEN, KnownLake, LakeKind
from tasks.domain.limits.pauses import Pause
from tasks.domain.metrics import REQUESTS, series_of
from tasks.domain.outcomes import FileOutcome, Outcome, RunEnd
from tasks.ledger import Ledger
from tasks.ledger import database as database_module
from tasks.ledger.announcements import WatchRecord
from tasks.ledger.attempts import FillRecord, Performance, VariantResults
from tasks.ledger.database import metadata
from tasks.ledger.events import Before, Told
from tasks.ledger.fills import FillEnd
from tasks.ledger.leases import Leases
from tasks.ledger.plans import PLAN, RUN, KeptPlan, plans_table
from tasks.ledger.settings import KeptSettings
from tasks.ledger.unread_messages import UnreadMessage
from tests.builders import NOW, a_game, a_gap, an_object
from tests.old_ledger import make_old_ledger
from tests.servers import new_database, postgresql, postgresql_programs, restart_postgresql

HOUR = timedelta(hours=1)
NO_LEDGER = r"^there is no ledger at \w+.*://.*: no run has used it so far, or it is lost; the next run makes one$"


def test_a_gap_keeps_the_time_it_was_first_seen_until_it_is_filled(url: str) -> None:
    for hours in (0, 5):
        ledger = Ledger(url)
        ledger.gaps.record([a_gap(1, first_seen=NOW + hours * HOUR)])
        ledger.close()
    ledger = Ledger(url)
    key = a_gap(1).cell.key
    assert ledger.gaps.first_seen([key, "other"]) == {key: NOW}
    seen = {key: Examination("v", 100, "c", whole(), NOW)}
    outcomes = [FileOutcome(key, Outcome.STORED, 1, 100)]
    ledger.fills.record(FillEnd(FILL, NOW, outcomes, seen))
    assert ledger.gaps.first_seen([key]) == {}
    ledger.close()


FILL = FillRecord("f", "r", "espn", "d", "missing", "HIGH", 1.0, NOW)


def test_an_attempt_tells_when_its_file_was_due_and_detected_though_it_is_no_gap_any_more(url: str) -> None:
    gap, asked, stored = a_gap(1, first_seen=NOW - HOUR), NOW + HOUR, NOW + 2 * HOUR
    key = gap.cell.key
    became = FileOutcome(key, Outcome.STORED, 3, 100, refusals=2, waited=1.5, asked=asked, stored=stored)
    with closing(Ledger(url)) as ledger:
        ledger.gaps.record([gap])
        ledger.fills.record(FillEnd(FILL, NOW, [became], {key: Examination("e", 1, "c", whole())}, gaps=[gap]))
        [attempt] = ledger.attempts.of(key)
        assert ledger.gaps.first_seen([key]) == {}
    assert (attempt.due, attempt.detected) == (gap.cell.due_at, NOW - HOUR)
    assert (attempt.asked, attempt.stored, attempt.refusals, attempt.waited) == (asked, stored, 2, 1.5)


def test_it_is_known_when_a_source_last_stored_a_file_and_found_without_reading_all_fills(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        for hours, outcome in ((0, Outcome.STORED), (1, Outcome.STORED), (2, Outcome.FAILED)):
            ledger.fills.record(FillEnd(FILL, NOW + hours * HOUR, [FileOutcome("a", outcome)]))
        assert ledger.attempts.last_stored("espn") == NOW + HOUR
        assert ledger.attempts.last_stored("nba_api") is None
        if url.startswith("sqlite"):  # PostgreSQL reads small tables as a whole
            query = "EXPLAIN QUERY PLAN SELECT max(ended) FROM fills WHERE source = 'espn' AND stored > 0"
            [plan] = ledger.database.read(lambda connection: connection.exec_driver_sql(query).scalars("detail").all())
            assert "ix_fills_stored" in plan


def test_outcomes_count_half_after_a_half_life(url: str) -> None:
    ledger = Ledger(url)
    outcomes = [FileOutcome("a", Outcome.STORED, 1, 10), FileOutcome("b", Outcome.FAILED, 4, error="HTTP 500")]
    ledger.fills.record(FillEnd(FILL, NOW, outcomes))
    assert ledger.attempts.outcomes_by_dataset(24 * HOUR, NOW) == {"d": (1.0, 1.0)}
    stored, failed = ledger.attempts.outcomes_by_dataset(24 * HOUR, NOW + 24 * HOUR)["d"]
    assert (stored, failed) == pytest.approx((0.5, 0.5))
    ledger.close()


def test_what_was_examined_comes_back_with_its_games(url: str) -> None:
    ledger = Ledger(url)
    games = (a_game(), a_game(id="2", start=None), a_game(id="3", if_necessary=True))
    found = {"k": Examination("v", 1, "c", partial("1 game not final", games), NOW)}
    found |= {"changed": Examination("v", 1, "c", whole(), NOW, changed=True)}
    ledger.objects.record(found)
    assert ledger.objects.examined() == found
    assert ledger.objects.examined(["changed", "k"]) == found
    assert ledger.games.schedules_that_list("2") == ["k"]
    found |= {"k": Examination("w", 1, "c", partial("1 game not final", games[:1]), NOW)}
    ledger.objects.record(found)
    assert ledger.objects.examined() == found
    assert ledger.games.schedules_that_list("2") == [], "the new version does not list it any more"
    ledger.close()


def test_a_lake_that_is_forgotten_leaves_what_the_sources_said_and_what_kind_it_was(url: str) -> None:
    absent = Absence("a", "404", NOW, NOW, 3, dataset="d")
    with closing(Ledger(url)) as ledger:
        ledger.identity.remember(KnownLake("id", LakeKind.SANDBOX, "file:///lake"))
        ledger.objects.record(
            {"k": Examination("v", 1, "c", whole(), NOW)}, {"u": Unreadable(Content("c", 1), "cold", NOW, NOW)}
        )
        ledger.absences.record([absent])
        assert ledger.objects.count() == 1
        assert ledger.forget_lake() == 1
        assert (ledger.objects.count(), ledger.objects.examined(), ledger.objects.unreadable()) == (0, {}, {})
        assert ledger.identity.lake() == KnownLake("id", LakeKind.SANDBOX, FORGOTTEN)
        assert ledger.absences.current() == {"a": absent}
        assert ledger.forget_lake() == 0


def test_disagreements_are_kept_by_schedule_and_day_until_they_are_mended(url: str) -> None:
    what = "0 final games on 2025-06-05, and nba_schedule has 1"
    one = Disagreement("june.html", date(2025, 6, 5), what, NOW, NOW, 0, "nba_schedule")
    other = replace(one, day=date(2025, 6, 8))
    with closing(Ledger(url)) as ledger:
        ledger.disagreements.record([one, other], [])
        looked = replace(one, taken=NOW + HOUR, looks=1)
        ledger.disagreements.record([looked], [other])
        assert ledger.disagreements.current() == [looked]


def test_a_version_is_learnt_once_by_a_listing_or_since_it_was_stored(url: str) -> None:
    listed, stored, later = an_object(key="a"), an_object(key="b"), NOW + HOUR
    objects = {"a": listed, "b": stored}
    found = {key: Examination(*version_of(have, "c"), whole()) for key, have in objects.items()}
    with closing(Ledger(url)) as ledger:
        ledger.objects.record({"a": found["a"]}, {}, {"a": listed}, NOW)
        end = FillEnd(FILL, NOW, [FileOutcome("b", Outcome.STORED)], {"b": found["b"]}, {"b": stored})
        ledger.fills.record(end)
        both = {"a": Learnt(LearntBy.LISTING, NOW), "b": Learnt(LearntBy.OWN, NOW)}
        assert ledger.objects.learnt(objects | {"x": listed}) == both
        by_another_check = {key: seen._replace(check="d") for key, seen in found.items()}
        ledger.objects.record(by_another_check, {}, objects, later)
        assert ledger.objects.examined() == by_another_check
        assert ledger.objects.learnt(objects) == both
        new = {key: have._replace(etag="another") for key, have in objects.items()}
        assert ledger.objects.learnt(new) == {}, "it knows of other versions"
        ledger.objects.record({key: seen._replace(etag="another") for key, seen in found.items()}, {}, new, later)
        assert ledger.objects.learnt(new) == dict.fromkeys("ab", Learnt(LearntBy.LISTING, later))


@pytest.mark.parametrize("fault", Fault)
def test_what_is_wrong_with_a_body_comes_back_as_it_was_found(url: str, fault: Fault) -> None:
    found = {
        "k": Examination("v", 1, "c", bad("as they say", fault)),
        "l": Examination("v", 1, "c", bad("as they say")),
        "m": Examination("v", 1, "c", unfinished("no plays")),
        "n": Examination("v", 1, "c", partial("no plays")),
    }
    with closing(Ledger(url)) as ledger:
        ledger.objects.record(found)
        assert ledger.objects.examined() == found


def test_what_could_not_be_read_is_known_until_it_is(url: str) -> None:
    refused = {key: Unreadable(Content("etag", 100), "it is archived", NOW, NOW + HOUR) for key in ("a", "b", "c")}
    read = Examination("etag", 100, "check", whole(), NOW)
    with closing(Ledger(url)) as ledger:
        ledger.objects.record({}, refused)
        assert ledger.objects.unreadable() == refused
        assert ledger.objects.unreadable(["a", "x"]) == {"a": refused["a"]}
        again = {"a": refused["a"]._replace(last=NOW + 2 * HOUR)}
        ledger.objects.record({"b": read}, again)
        assert ledger.objects.unreadable() == again | {"c": refused["c"]}
        outcomes = [FileOutcome("a", Outcome.STORED, 1, 100)]
        ledger.fills.record(FillEnd(FILL, NOW, outcomes, {"a": read}))
        assert ledger.objects.unreadable().keys() == {"c"}
        assert ledger.check()["unreadable"] == 1


def test_what_is_kept_of_an_absent_file_was_looked_into_and_is_absent_yet(url: str) -> None:
    kept = {"k": Examination("v", 1, "c", unfinished("no plays"), NOW)}
    look = Look("k", "d", "no plays", NOW, NOW, Unavailability(looks=1, over=timedelta(0)), unfinished=True)
    outcomes = [FileOutcome("k", Outcome.FAILED, absent=True, unfinished=True, kept_partial=True)]
    with closing(Ledger(url)) as ledger:
        absences = ledger.fills.record(FillEnd(FILL, NOW, outcomes, kept, looks=[look]))
        assert absences == ledger.absences.current() == {"k": look.after(None)}
        assert ledger.objects.examined() == kept


def test_looks_add_up_to_what_the_ledger_knows_when_the_fill_ends(url: str) -> None:
    rules = Unavailability(looks=2, over=HOUR)
    with closing(Ledger(url)) as ledger:
        for hours in range(2):
            at = NOW + hours * HOUR
            look = Look("k", "d", f"look {hours}", NOW, at, rules)
            outcomes = [FileOutcome("k", Outcome.FAILED, absent=True)]
            ledger.fills.record(FillEnd(FILL, at, outcomes, looks=[look]))
        found = ledger.absences.current()["k"]
    assert (found.looks, found.evidence, found.until) == (2, "look 1", NOW + HOUR + rules.expires)


def test_a_check_counts_the_rows_of_each_table(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        tables = ledger.database.read(lambda connection: sa.inspect(connection).get_table_names())
        assert set(ledger.check()) == set(tables) - {"alembic_version"}
        assert ledger.check()["identities"] == 1


def test_of_a_fill_in_test_mode_only_its_requests_are_counted_and_its_claims_end(url: str) -> None:
    gap = a_gap(1)
    key, work = gap.cell.key, gap.cell.work
    end = FillEnd(
        FILL,
        NOW,
        [FileOutcome(key, Outcome.STORED, 1, 100)],
        {key: Examination("v", 1, "c", whole())},
        looks=[Look("l", "d", "HTTP 404", NOW, NOW, Unavailability())],
        gaps=[gap],
        is_test=True,
    )
    with closing(Ledger(url)) as ledger:
        leases = Leases(ledger.database, FILL.run, HOUR)
        leases.begin("reconcile", "everything", None, lambda why: None)
        before = ledger.check()
        assert ledger.fills.claim(leases, [work], [key], 0) == ({work}, set())
        assert ledger.check() == before | {"claims": 1}
        assert ledger.fills.record(end) == {}
        assert ledger.check() == before | {"totals": 1}
        asked = series_of(REQUESTS, source=FILL.source, dataset=FILL.dataset)
        assert ledger.totals.current() == {asked: 1}
        leases.end(RunEnd.ENDED)


def test_a_ledger_from_before_faults_keeps_what_was_found(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    make_old_ledger(url, "0004")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        for key, wholeness in (("a", "whole"), ("b", "bad"), ("c", "partial")):
            row = (key, "v:1:c", wholeness, "reason")
            connection.execute("INSERT INTO examined (key, version, wholeness, reason, agreed) VALUES (?,?,?,?,0)", row)
        connection.execute("INSERT INTO absences VALUES ('k', 'd', 'HTTP 404', 0, 0, 3, NULL, 'by hand')")
        connection.commit()
    with closing(Ledger(url)) as ledger:
        verdicts = {key: seen.verdict for key, seen in ledger.objects.examined().items()}
        assert {key: (verdict.wholeness.value, verdict.fault) for key, verdict in verdicts.items()} == {
            "a": ("whole", None),
            "b": ("bad", Fault.UNFIT),
            "c": ("partial", None),
        }
        assert not ledger.absences.current()["k"].unfinished


def test_a_hold_is_kept_as_it_was_changed(url: str) -> None:
    pause = Pause("espn", NOW + HOUR, "HTTP 403", 2, (NOW,), NOW, NOW)
    ledger = Ledger(url)
    assert ledger.pauses.change("espn", lambda found: found) == Pause("espn")
    ledger.pauses.change("espn", lambda found: pause)
    ledger.close()
    with closing(Ledger(url)) as ledger:
        assert ledger.pauses.current() == {"espn": pause}


def test_changes_of_a_hold_by_many_at_once_are_all_made(url: str) -> None:
    ledgers = [Ledger(url) for _ in range(4)]

    def change_it(ledger: Ledger) -> None:
        for _ in range(20):
            ledger.pauses.change("espn", lambda pause: replace(pause, step=pause.step + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change_it, ledgers))
    assert ledgers[0].pauses.current()["espn"].step == 80
    for ledger in ledgers:
        ledger.close()


def test_runs_that_write_the_same_rows_at_once_in_any_order_all_succeed(url: str) -> None:
    def write(seed: int) -> None:
        keys = [f"espn_box_scores/{n}.json" for n in range(3000)]
        with closing(Ledger(url)) as ledger:
            for _ in range(5):
                random.Random(seed).shuffle(keys)
                ledger.objects.record({key: Examination(f"{seed}", 1, "x", whole()) for key in keys})

    Ledger(url).close()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))


def test_a_transaction_that_a_database_server_ends_in_favour_of_another_is_done_again(postgres: str) -> None:
    url = f"postgresql://{new_database(postgres, f'ledger_{uuid.uuid4().hex}')}"
    both = threading.Barrier(2)

    def write(ledger: Ledger, *names: str) -> None:
        attempts = 0

        def crosswise(connection: sa.Connection) -> None:
            nonlocal attempts
            attempts += 1
            for name in names:
                row = {"name": name, "at": NOW, "run": "", "document": {}}
                ledger.database.upsert(connection, plans_table, [row], {"at"})
                if attempts == 1 and name == names[0]:
                    both.wait(10)

        ledger.database.write(crosswise)

    with closing(Ledger(url)) as one, closing(Ledger(url)) as other, ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(write, one, "a", "b"), pool.submit(write, other, "b", "a")]
        for ended in writing:
            ended.result()


def test_what_an_event_tells_is_decided_after_another_process_has_recorded_what_it_is_recording(postgres: str) -> None:
    url = f"postgresql://{new_database(postgres, f'ledger_{uuid.uuid4().hex}')}"
    begun, seen, locks = [threading.Event(), threading.Event()], [], []

    def decide(before: Before) -> Told:
        seen.append({key: last.by for key, last in before.last.items()})
        return Told(changes={"b": LastChange(None, asked=NOW)})

    def decide_late(before: Before) -> Told:
        told = decide(before)
        begun[1].set()
        other.database.read(until_waited_for(tellings[1]))
        return told

    def tell(number: int, decide: Callable[[Before], Told]) -> None:
        begun[number].wait(10)
        other.events.take(["a", "b"], decide, NOW)

    def until_waited_for(telling: Future[None]) -> Callable[[sa.Connection], None]:
        def wait(connection: sa.Connection) -> None:
            here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
            waiting = sa.text(f"SELECT locktype FROM pg_locks WHERE NOT granted AND database = {here}")
            while not telling.done() and not (found := connection.execute(waiting).scalars().all()):
                time.sleep(0.01)
            locks.extend(found)

        return wait

    def store(connection: sa.Connection) -> None:
        one.objects.write(connection, {"a": Examination("new", 1, "check", whole())}, {}, NOW)
        begun[0].set()
        until_waited_for(tellings[0])(connection)

    with closing(Ledger(url)) as one, closing(Ledger(url)) as other, ThreadPoolExecutor(2) as pool:
        tellings = [pool.submit(tell, 0, decide_late), pool.submit(tell, 1, decide)]
        one.database.write(store)
        for telling in tellings:
            telling.result()
    listed = {"a": LearntBy.LISTING}
    assert seen == [listed, listed | {"b": LearntBy.EVENT}]
    assert locks == ["advisory", "advisory"], "a lock of the table would cancel an autovacuum"


def test_what_is_given_one_by_one_is_still_there_when_a_transaction_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        once = ledger.database.write

        def again(work: Callable[[sa.Connection], Any], **options: bool) -> Any:
            with suppress(ZeroDivisionError):
                once(lambda connection: (work(connection), 1 // 0), **options)
            return once(work, **options)

        monkeypatch.setattr(ledger.database, "write", again)
        ledger.gaps.record(a_gap(n) for n in range(2))
        keys = [a_gap(n).cell.key for n in range(2)]
        ledger.gaps.close(key for key in keys[:1])
        assert ledger.gaps.first_seen(keys).keys() == set(keys[1:])
        ledger.absences.record(Absence(key, "HTTP 404", NOW, NOW, dataset="espn_summary") for key in keys)
        ledger.absences.clear(key for key in keys[:1])
        assert ledger.absences.current().keys() == set(keys[1:])


def test_the_migrations_make_the_tables_that_a_new_ledger_has_and_the_code_uses(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        new = ledger.database.write(_tables)
        assert re.fullmatch("[0-9a-f]{32}", ledger.id)
        ledger.database.write(lambda connection: _all_tables(connection).drop_all(connection))
    make_old_ledger(url, "head")
    with closing(Ledger(url)) as ledger:
        assert ledger.database.write(_tables) == new
        difference = ledger.database.write(lambda it: compare_metadata(MigrationContext.configure(it), metadata))
        assert difference == []


def _all_tables(connection: sa.Connection) -> sa.MetaData:
    tables = sa.MetaData()
    tables.reflect(connection)
    return tables


def _lines(statement: CreateTable, connection: sa.Connection) -> list[str]:
    return str(statement.compile(connection)).splitlines()


def _tables(connection: sa.Connection) -> dict[str, tuple[object, ...]]:
    """The columns, keys and indexes of each table in any order, and how many rows it has.

    Keys have no names: PostgreSQL names them after the table, and some tables had other names in older versions.
    """
    return {
        name: (
            sorted(
                re.sub(r"CONSTRAINT \w+", "", line).strip(", \t") for line in _lines(CreateTable(table), connection)
            ),
            sorted(str(CreateIndex(index).compile(connection)) for index in table.indexes),
            connection.scalar(sa.select(sa.func.count()).select_from(table)),
        )
        for name, table in _all_tables(connection).tables.items()
    }


def test_absences_that_no_answer_has_proved_are_forgotten_when_the_ledger_is_migrated(url: str) -> None:
    proven = [
        "/summary?event=1: HTTP 404",
        "/summary?event=1: HTTP 410",
        "/summary?event=1: error body 404: no such event",
        "/playbyplayv3?GameID=1: no actions",
        "/boxscores/pbp/1.html: no rows of play-by-play",
    ]
    others = ["/summary?event=1: not JSON: We'll be right back", "/boxscores/1.html: another page: Players | HTTP 404"]
    rows = [{"key": f"{n}", "evidence": text, "note": None} for n, text in enumerate(proven + others)]
    rows.append({"key": "set", "evidence": others[0], "note": "by hand"})
    names = "key, dataset, evidence, first, last, looks, note"
    insert = sa.text(f"INSERT INTO absences ({names}) VALUES (:key, 'x', :evidence, 0, 0, 1, :note)")
    make_old_ledger(url, "0004", lambda connection: connection.execute(insert, rows))
    with closing(Ledger(url)) as ledger:
        assert [absence.evidence for absence in ledger.absences.current().values()] == [*proven, others[0]]


@pytest.mark.parametrize("url", ["sqlite:////no/such/folder/ledger.db", "sqlite:////proc/version"])
def test_a_ledger_that_cannot_be_opened_is_one_clear_line(url: str) -> None:
    with pytest.raises(LedgerError, match=r"^ledger sqlite:/.* cannot be opened: .+$"):
        Ledger(url)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        pytest.param("nonsense", "ledger nonsense: not a URL of sqlite or postgresql", id="not a URL"),
        pytest.param("me:s3cret@h/db", "ledger ***@h/db: not a URL of sqlite or", id="no scheme"),
        pytest.param("mysql://me:s3cret@h/db", "ledger mysql://***@h/db: not a URL of sqlite or", id="driver"),
        pytest.param("mysql://h/db?password=s3cret", "ledger mysql://h/db?password=***: not a", id="driver, in query"),
        pytest.param("postgresql+psycopg2://me:s3/cret@h/db", "ledger postgresql+psycopg2://***@h/db:", id="slash"),
        pytest.param("postgresql://me:s3cret@h:port/db", "ledger postgresql://***@h:port/db: not a", id="port"),
        pytest.param("postgresql://me:s@s3cret@h/db", "ledger postgresql://***@h/db: not a URL; write @", id="two @"),
        pytest.param(
            "postgresql://me:s3cret@127.0.0.1:1/db",
            "ledger postgresql+psycopg://***@127.0.0.1:1/db cannot be opened: ",
            id="nobody there",
        ),
        pytest.param(
            "postgresql://127.0.0.1:1/db?user=me&password=s3cret",
            "ledger postgresql+psycopg://127.0.0.1:1/db?password=***&user=me cannot be opened: ",
            id="nobody there, in query",
        ),
    ],
)
def test_a_wrong_address_is_one_clear_line_without_the_password(
    url: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_OPENS_WITHIN_SECONDS", 0.1)
    with pytest.raises(LedgerError) as caught:
        Ledger(url)
    said = str(caught.value)
    assert said.startswith(line)
    assert "s3cret" not in said
    assert "\n" not in said


def test_a_database_server_that_stays_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_CONNECT_SECONDS", 1)
    monkeypatch.setattr(database_module, "_OPENS_WITHIN_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(LedgerError, match=r"^ledger postgresql.* cannot be opened: .*timeout"):
            Ledger(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/db")
    assert time.monotonic() - begun < 5


def _sqlite(folder: Path) -> Path:
    """The file of a ledger that is well."""
    file = folder / "ledger.db"
    with closing(Ledger(f"sqlite:///{file}")) as ledger:
        ledger.gaps.record([a_gap(n) for n in range(200)])
    return file


def _overwrite(file: Path) -> None:
    file.write_bytes(b"this is no database" * 500)


def _damage(file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[4096:12288] = bytes(8192)
    file.write_bytes(body)


def _of_tomorrow(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9001'")
        connection.commit()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(_overwrite, "file is not a database; move the file aside: ADCE starts again", id="no database"),
        pytest.param(_damage, "malformed.*; move the file aside: ADCE starts again from the lake", id="damaged"),
        pytest.param(_of_tomorrow, "its schema 9001 is newer than this ADCE, .*; upgrade ADCE", id="newer"),
    ],
)
def test_a_ledger_that_is_spoilt_is_one_line_that_says_what_to_do(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    file = _sqlite(tmp_path)
    spoil(file)
    expected = pytest.raises(LedgerError, match=rf"^ledger sqlite:///.*ledger.db cannot be \w+: .*{message}")
    with expected as error, closing(Ledger(f"sqlite:///{file}")) as ledger:
        ledger.check()
    assert "\n" not in str(error.value)


def test_the_check_of_a_ledger_says_which_of_its_pages_is_damaged(tmp_path: Path) -> None:
    file = _sqlite(tmp_path)
    with closing(sqlite3.connect(file)) as other:
        [page] = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'gaps'").fetchone()
        [size] = other.execute("PRAGMA page_size").fetchone()
    body = bytearray(file.read_bytes())
    body[(page - 1) * size : page * size] = bytes(size)
    file.write_bytes(body)
    expected = pytest.raises(LedgerError, match=rf"malformed: .*{page}.*; move the file aside")
    with expected, closing(Ledger(f"sqlite:///{file}", Access.LOOK)) as ledger:
        ledger.check()


@pytest.mark.parametrize("junk", [b"\0", b"[1, "], ids=["zeros", "text"])
def test_whatever_part_of_a_ledger_is_damaged_is_one_line(tmp_path: Path, junk: bytes) -> None:
    """Every way to read it, over pages of every kind: the rows that the driver itself gives, and long documents."""
    file = tmp_path / "ledger.db"
    games = tuple(a_game(id=f"{n}") for n in range(100))
    found = {f"{n}": Examination("v", 1, "c", whole() if n % 9 else partial("1 game", games), NOW) for n in range(4500)}
    refused = {key: Unreadable(Content("etag", 100), "it is archived", NOW, NOW) for key in found}
    outcomes = [FileOutcome(key, Outcome.FAILED, 1, error="HTTP 500") for key in found]
    with closing(Ledger(f"sqlite:///{file}")) as ledger:
        ledger.objects.record(found)
        ledger.objects.record({}, refused)
        ledger.gaps.record([a_gap(n) for n in range(5000)])
        ledger.absences.record(Absence(key, "HTTP 404", NOW, NOW, dataset="d") for key in found)
        ledger.fills.record(FillEnd(FILL, NOW, outcomes))
        ledger.plans.keep(RUN, [random.Random(1).random() for _ in range(50_000)], NOW, "one")
    whole_body = file.read_bytes()
    reads: list[Callable[[Ledger], object]] = [
        lambda ledger: ledger.objects.examined(),
        lambda ledger: ledger.objects.examined(found),
        lambda ledger: ledger.gaps.first_seen(found),
        lambda ledger: ledger.objects.unreadable(),
        lambda ledger: ledger.absences.current(),
        lambda ledger: ledger.plans.kept(RUN),
        lambda ledger: ledger.attempts.performance(),
        lambda ledger: ledger.attempts.of("7"),
        lambda ledger: ledger.games.schedules_that_list("7"),
        lambda ledger: ledger.check(),
    ]
    said = []
    for start in range(100_000, len(whole_body) - 60_000, len(whole_body) // 6):
        body = bytearray(whole_body)
        body[start : start + 60_000] = (junk * 60_000)[:60_000]
        file.write_bytes(body)
        for read in reads:
            try:
                with closing(Ledger(f"sqlite:///{file}")) as ledger:
                    read(ledger)
            except LedgerError as error:
                said.append(str(error))
    assert len(said) > 10
    assert {("move the file aside" in line, "\n" in line) for line in said} == {(True, False)}


def test_a_value_of_another_type_is_one_line(tmp_path: Path) -> None:
    file = _sqlite(tmp_path)
    with closing(sqlite3.connect(file)) as other:
        other.execute("UPDATE gaps SET first_seen = 'soon'")
        other.commit()
    for access in (Access.LOOK, Access.RUN):
        malformed = pytest.raises(LedgerError, match=r"cannot be read: malformed: .*; move the file aside")
        with closing(Ledger(f"sqlite:///{file}", access)) as ledger, malformed:
            ledger.gaps.first_seen()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", 'database ".*" does not exist; name another, or create it: ADCE starts again from the lake'),
        ("?options=-cdefault_transaction_read_only=on", "read-only transaction; let the server's database be written"),
    ],
    ids=["missing", "read-only"],
)
def test_a_database_of_a_server_that_cannot_be_used_is_one_line_that_says_what_to_do(
    postgres: str, query: str, message: str
) -> None:
    name = f"ledger_{uuid.uuid4().hex}"
    database = new_database(postgres, name) if query else f"{postgres}/{name}"
    with pytest.raises(LedgerError, match=message):
        Ledger(f"postgresql://{database}{query}")


def test_a_ledger_that_is_to_be_there_is_not_made(tmp_path: Path, postgres: str) -> None:
    file = tmp_path / "mistyped.db"
    database = f"postgresql://{new_database(postgres, f'ledger_{uuid.uuid4().hex}')}"
    for url in (f"sqlite:///{file}", database):
        for _ in range(2):
            with pytest.raises(LedgerError, match=NO_LEDGER):
                Ledger(url, Access.CHANGE)
    assert not file.exists()
    file.touch()
    with pytest.raises(LedgerError, match=r"^there is no ledger at "):
        Ledger(f"sqlite:///{file}", Access.CHANGE)
    Ledger(f"sqlite:///{file}").close()
    Ledger(f"sqlite:///{file}", Access.CHANGE).close()


@pytest.mark.parametrize("by_another", [False, True], ids=["removed", "replaced"])
def test_a_ledger_whose_file_is_gone_records_nothing_into_the_void(tmp_path: Path, by_another: bool) -> None:
    file, other = _sqlite(tmp_path), tmp_path / "other"
    other.mkdir()
    lost = []
    with closing(Ledger(f"sqlite:///{file}")) as ledger:
        leases = Leases(ledger.database, "run", timedelta(seconds=0.3))
        leases.begin("reconcile", "everything", None, lost.append)
        for part in tmp_path.glob("ledger.db*"):
            part.unlink()
        if by_another:
            _sqlite(other).rename(file)
        for record in (
            lambda: ledger.gaps.record([a_gap(1)]),
            ledger.pauses.current,
            lambda: leases.end(RunEnd.ENDED),
        ):
            with pytest.raises(LedgerError, match=r"ledger.db cannot be \w+: its file was removed or replaced while"):
                record()
        assert file.exists() == by_another
    assert all("its file was removed or replaced" in why for why in lost)


def test_a_ledger_that_another_program_holds_is_waited_for_and_then_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "LOCKED_SECONDS", 1)
    file = _sqlite(tmp_path)
    with closing(sqlite3.connect(file)) as other, closing(Ledger(f"sqlite:///{file}")) as ledger:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=r"cannot be written: database is locked; another program"):
            ledger.gaps.record([a_gap(1)])
        other.rollback()
        ledger.gaps.record([a_gap(1)])


def test_a_ledger_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    file = _sqlite(tmp_path)
    with closing(Ledger(f"sqlite:///file:{file}?mode=ro&uri=true")) as ledger:
        assert len(ledger.gaps.first_seen([a_gap(1).cell.key])) == 1
        with pytest.raises(LedgerError, match="cannot be written: attempt to write a readonly database; make the file"):
            ledger.gaps.record([a_gap(1)])


def test_on_a_full_disk_nothing_is_half_written(tmp_path: Path) -> None:
    file = _sqlite(tmp_path)
    with closing(Ledger(f"sqlite:///{file}")) as ledger:
        before = ledger.check()
        pages = "PRAGMA max_page_count = 1"  # no more than it has
        sa.event.listen(ledger.database._engine, "connect", lambda connection, _: connection.execute(pages))
        ledger.database._engine.dispose()
        outcomes = [FileOutcome(f"key{n}" * 20, Outcome.STORED, 1, 100) for n in range(2000)]
        with pytest.raises(LedgerError, match="cannot be written: database or disk is full; make room on the disk"):
            ledger.fills.record(FillEnd(FILL, NOW, outcomes))
        assert ledger.check() == before


def test_the_copy_that_the_runbook_makes_goes_back_and_can_be_upgraded_again(postgres: str, tmp_path: Path) -> None:
    url = f"postgresql://{new_database(postgres, 'adce')}"
    make_old_ledger(url, "0001")
    _as_in_the_runbook(postgres, tmp_path, "pg_dump -h db -U adce --format=custom --file=adce.before adce")
    for _ in range(2):
        with closing(Ledger(url)) as ledger:
            assert ledger.check()["pauses"] == 0
        for command in ("dropdb -h db -U postgres adce", "createdb -h db -U postgres --owner=adce adce"):
            _as_in_the_runbook(postgres, tmp_path, command)
        _as_in_the_runbook(postgres, tmp_path, "pg_restore -h db -U adce --dbname=adce adce.before")


def _as_in_the_runbook(server: str, folder: Path, command: str) -> None:
    assert command in (Path(__file__).parents[3] / "deployments/runbook.md").read_text()
    host, _, port = server.partition("@")[2].partition(":")
    programs = postgresql_programs()
    assert programs
    here = command.replace("-h db", f"-h {host} -p {port}").replace("-U postgres", "-U adce")
    program, *arguments = here.split()
    subprocess.run([programs / program, *arguments], check=True, cwd=folder)


def test_what_is_older_than_is_kept_is_forgotten(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        for days in (0, 200):
            fill = replace(FILL, started=NOW - timedelta(days=days))
            ledger.fills.record(FillEnd(fill, NOW, [FileOutcome("a", Outcome.STORED, 1, 10)]))
        assert ledger.prune(NOW - timedelta(days=180)) == 1
        assert len(ledger.attempts.of("a")) == 1


def test_changes_that_no_event_has_told_and_files_that_are_gone_are_forgotten_and_files_that_are_there_are_not(
    url: str,
) -> None:
    content = Content("etag", 1)
    with closing(Ledger(url)) as ledger:
        ledger.objects.record({"read, then gone": Examination(*content, "check", whole())}, at=NOW)
        for days in (0, 200):
            at = NOW - timedelta(days=days)
            told = {f"gone {days}": LastChange(None), f"there {days}": LastChange(content)}
            ledger.arrivals.record({**told, "read, then gone": LastChange(None)}, at, LearntBy.EVENT)
            ledger.announcements.found({"a": Unannounced(content, at, at)})
            ledger.announcements.count_missed(NOW)
        ledger.prune(NOW - timedelta(days=180))
        assert ledger.objects.not_read() == {"gone 0", "there 0", "there 200", "read, then gone"}
        assert [day for day, _ in ledger.announcements.missed(date.min)] == [NOW.date()]


def test_a_rollout_is_compared_with_the_rest_of_its_datasets_since_it_began(url: str) -> None:
    with closing(Ledger(url)) as ledger:

        def record(hours: int, variant: str, *outcomes: FileOutcome, dataset: str = "d") -> None:
            fill = replace(FILL, started=NOW + hours * HOUR, variant=variant, run=f"run {hours}", dataset=dataset)
            ledger.fills.record(FillEnd(fill, NOW, outcomes))

        assert ledger.attempts.variant_results("x", ["d"]) == (VariantResults(), VariantResults())
        record(0, "", FileOutcome("before", Outcome.STORED, 1, seconds=9.0))
        record(
            1,
            "x",
            FileOutcome("a", Outcome.STORED, 1, seconds=1.0),
            FileOutcome("b", Outcome.FAILED, 3, error="HTTP 500"),
        )
        record(1, "", FileOutcome("c", Outcome.STORED, 1, seconds=4.0), FileOutcome("d", Outcome.DEFERRED, 0))
        record(1, "", FileOutcome("of another dataset", Outcome.STORED, 1), dataset="e")
        record(2, "x", FileOutcome("b", Outcome.STORED, 1, seconds=2.0))
        record(2, "y", FileOutcome("of another rollout", Outcome.STORED, 1))
        assert ledger.attempts.variant_results("x", ["d"]) == (
            VariantResults(2, 1, 5, 1.5),
            VariantResults(1, 0, 1, 4.0),
        )


def test_percentiles_are_of_the_last_attempts(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        outcomes = [FileOutcome(f"{n}", Outcome.STORED, 2, 10, seconds=float(n)) for n in range(1, 101)]
        ledger.fills.record(FillEnd(FILL, NOW, outcomes))
        assert ledger.attempts.performance() == {"d": Performance(50, 95, 99, 2)}


@contextmanager
def _reserved(server: str) -> Iterator[None]:
    """Keeps the port of a server that has ended from those of other tests; nobody answers there."""
    with closing(socket.socket()) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(server.rpartition(":")[2])))
        yield


def test_a_server_that_was_waited_for_in_vain_is_not_waited_for_again(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that ends has much to record; it would take as many times as long to end, and hear no signal."""
    if postgresql_programs() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    monkeypatch.setattr(database_module, "_SERVER_AWAY_SECONDS", 1.5)
    with postgresql(tmp_path_factory.mktemp("away")) as server:
        ledger = Ledger(f"postgresql://{new_database(server, 'ledger')}")
        ledger.pauses.current()
    waits = []
    with closing(ledger), _reserved(server):
        for _ in range(3):
            caplog.clear()
            with pytest.raises(LedgerError, match=r"^ledger postgresql.* cannot be read: "):
                ledger.pauses.current()
            waits.append("trying again every second, for at most 1.5s" in caplog.text)
    assert waits == [True, False, False]


def test_the_last_plan_of_each_name_is_kept_and_updated_only_by_the_run_that_has_kept_it(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        assert ledger.plans.kept(RUN) is None
        for run in ("one", "two"):
            ledger.plans.keep(RUN, {"fills": [run]}, NOW, run)
        assert ledger.plans.kept(RUN, since=NOW) == ledger.plans.kept(RUN)
        assert ledger.plans.kept(RUN, since=NOW + timedelta(seconds=1)) is None
        ledger.plans.keep(PLAN, {"fills": ["three"]}, NOW, "three")
        ledger.plans.update(RUN, {"fills": ["one, later"]}, NOW, "one")
        assert ledger.plans.kept(RUN) == KeptPlan({"fills": ["two"]}, NOW, "two")
        ledger.plans.update(RUN, {"fills": ["two, later"]}, NOW, "two")
        assert ledger.plans.kept(RUN) == KeptPlan({"fills": ["two, later"]}, NOW, "two")
        assert ledger.plans.kept(PLAN) == KeptPlan({"fills": ["three"]}, NOW, "three")


def test_the_settings_of_the_last_reconcile_are_kept(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        assert ledger.settings.kept() is None
        for hours in (1, 2):
            ledger.settings.keep({"dry_run": hours}, NOW + timedelta(hours=hours))
        assert ledger.settings.kept() == KeptSettings({"dry_run": 2}, NOW + timedelta(hours=2))


def test_what_a_part_of_a_run_has_left_is_taken_once_and_forgotten_with_what_else_is_old(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        for name, at in ((RUN, NOW), ("part", NOW), ("old", NOW), ("new", NOW + timedelta(hours=1))):
            ledger.plans.keep(name, {"fills": [], "later": []}, at, name)
        assert ledger.plans.take("part") == KeptPlan({"fills": [], "later": []}, NOW, "part")
        assert ledger.plans.take("part") is None
        ledger.prune(NOW + timedelta(minutes=1))
        assert [ledger.plans.kept(name) is None for name in (RUN, "old", "new")] == [False, True, False]


def test_a_server_that_restarts_is_waited_for(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    if postgresql_programs() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    folder = tmp_path_factory.mktemp("restart")
    with postgresql(folder) as server, closing(Ledger(f"postgresql://{new_database(server, 'ledger')}")) as ledger:
        url = ledger.database.url.render_as_string()
        long_look = Ledger(url, Access.LOOK)
        assert long_look.pauses.current() == {}
        with ThreadPoolExecutor(1) as pool:
            restarting = pool.submit(restart_postgresql, folder)
            written = 0
            while not restarting.done() or written < 20:
                with closing(Ledger(url, Access.LOOK)) as look:
                    assert look.pauses.current().keys() <= {"espn"}
                ledger.pauses.change("espn", lambda pause: replace(pause, step=pause.step + 1))
                written += 1
            restarting.result()
        step = ledger.pauses.current()["espn"].step
        assert written <= step <= written + 1, "one may have been written, and its answer lost"
        caplog.clear()
        assert long_look.pauses.current().keys() == {"espn"}
        assert "what is read from then on may be newer than what was read before" in caplog.text
        long_look.close()


def test_a_look_whose_connection_the_server_has_ended_closes_without_an_error(url: str) -> None:
    with closing(Ledger(url)) as ledger, closing(Ledger(url, Access.LOOK)) as look:
        assert look.pauses.current() == {}
        if url.startswith("postgresql"):
            end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            in_this = " AND datname = current_database()"
            ledger.database.write(lambda connection: connection.exec_driver_sql(end_others + in_this))


def test_a_watch_tells_how_far_it_has_come_and_never_goes_back(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        assert ledger.announcements.watch(NOW) is None
        ledger.announcements.progressed(NOW, NOW - HOUR)
        ledger.announcements.progressed(NOW + HOUR, NOW - 2 * HOUR)
        watch = ledger.announcements.watch(NOW + HOUR)
        assert watch == WatchRecord(NOW, NOW + HOUR, read_to=NOW - HOUR)
        later = NOW + timedelta(days=2)
        assert ledger.announcements.watch(later) is None
        ledger.announcements.progressed(later, later)
        assert ledger.announcements.watch(later) == WatchRecord(later, later, read_to=later)


def test_the_event_of_a_file_that_adce_has_stored_is_awaited_unless_it_came_before(url: str) -> None:
    """A fill records what it has stored when it ends, and events can come before that."""
    objects = {key: an_object(key=key, modified=NOW + n * HOUR) for n, key in enumerate("abc")}
    objects["former"] = an_object(key="former", modified=NOW - HOUR)
    found = {key: Examination(*version_of(have, "c"), whole()) for key, have in objects.items()}
    end = FillEnd(FILL, NOW + 3 * HOUR, [FileOutcome(key, Outcome.STORED) for key in objects], found, objects)
    with closing(Ledger(url)) as ledger:

        def awaited(since: datetime) -> list[datetime]:
            """When the last of the awaited files was stored, until each of three times."""
            return ledger.announcements.last_awaited(since, [NOW - HOUR, NOW + HOUR, NOW + 30 * HOUR])

        ledger.fills.record(end)
        assert awaited(NOW) == [], "events are not watched"
        ledger.announcements.progressed(NOW)
        ledger.arrivals.record({"b": LastChange.of(objects["b"], NOW)}, NOW, LearntBy.EVENT)
        ledger.arrivals.record({"c": LastChange.of(objects["c"], NOW)}, NOW, LearntBy.LISTING)
        ledger.fills.record(end)
        assert awaited(NOW - 2 * HOUR) == [NOW, NOW + 2 * HOUR]
        watch = ledger.announcements.watch(NOW)
        assert watch
        assert (watch.progress, watch.returned) == (NOW, NOW + HOUR)
        assert ledger.announcements.count_missed(NOW + 9 * HOUR) == {}, "others' changes are counted"
        ledger.events.take(["a"], lambda _: Told(announced=["a"]), NOW)
        assert awaited(NOW) == [NOW + 2 * HOUR]
        ledger.fills.record(replace(end, ended=NOW + 27 * HOUR, outcomes=[], examinations={}, objects={}))
        ledger.announcements.progressed(NOW + 27 * HOUR)
        new = {"c": an_object(key="c", modified=NOW + 27 * HOUR)}
        last = replace(end, ended=NOW + 27 * HOUR, outcomes=[FileOutcome("c", Outcome.STORED)], objects=new)
        ledger.fills.record(last)
        assert awaited(NOW) == [NOW + 27 * HOUR], "one of more than a day ago says nothing"


def test_a_message_that_could_not_be_read_is_kept_once_until_it_is_old(url: str) -> None:
    with closing(Ledger(url)) as ledger:
        first = UnreadMessage("a", NOW, "not JSON", "no…", 1)
        again, other = first._replace(at=NOW + HOUR, receives=2), first._replace(id="b")
        ledger.unread_messages.keep([first, other])
        ledger.unread_messages.keep([again])
        assert ledger.unread_messages.count() == 2
        assert ledger.unread_messages.newest(1) == [again]
        ledger.prune(NOW + HOUR)
        assert ledger.unread_messages.newest(9) == [again]

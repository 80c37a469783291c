"""What do `adce alerts list`, `test` and `silence` say and do, and what of a mistake?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from click.testing import Result

from config.load import load_config
from deployments.cli import completion
from tasks.domain.incidents import Fact, Kind, QuietTime, Settings, step
from tasks.domain.wording import utc
from tasks.ledger import Ledger
from tasks.publish.notifier import Notifier
from tests.receivers import receiver

Adce = Callable[..., Result]
MINUTE = timedelta(minutes=1)
PAUSED = Fact(Kind.SOURCE_PAUSED, "espn", 4 * 3600, 12, "HTTP 403")
BREAKER = Fact(Kind.BREAKER, "espn/espn_summary", 3)
LOST = Fact(Kind.LOST, "nba_api/nba_playbyplay", 1, 1)
FOR = ("--for", "2h", "--note", "they know")


@pytest.fixture(autouse=True)
def ledger(adce_home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """An empty ledger, whose operator is Ana."""
    monkeypatch.setenv("SUDO_USER", "ana")
    with closing(Ledger(load_config().ledger)) as ledger:
        yield ledger


def targets(monkeypatch: pytest.MonkeyPatch, **urls: str) -> None:
    """Sets the targets: a webhook for each URL."""
    settings = {name: {"type": "webhook", "url": url} for name, url in urls.items()}
    monkeypatch.setenv("ADCE_ALERTS__TARGETS", json.dumps(settings))


def happen(ledger: Ledger, *facts: Fact, ago: timedelta = 10 * MINUTE) -> None:
    """Has facts hold for three minutes, and evaluates them."""
    for minute in range(4):
        now = datetime.now(UTC) - ago + minute * MINUTE
        ledger.incidents.evaluate(partial(step, facts=facts, now=now, settings=Settings()), now)


def test_the_list_shows_causes_what_closed_silences_and_what_waits_for_whom(
    adce: Adce, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets(monkeypatch, ops="https://example.org/hook-of-mine-that-is-long", pager="https://example.org/x")
    ledger.alert_targets.take_turn("one", ["ops"], datetime.now(UTC) - 30 * MINUTE, 60)
    happen(ledger, LOST, ago=20 * MINUTE)
    happen(ledger, PAUSED, BREAKER, LOST._replace(value=0))
    adce("alerts", "silence", "lake", *FOR)
    shown = adce("alerts", "list").stdout
    lines = [line.partition(", since ")[0] for line in shown.splitlines()]
    assert lines[0] == "source_paused: A source is paused after refusals: espn"
    assert lines[1].startswith("  it is 4h, the limit is 3h; more: adce sources; waiting to be told since 2")
    assert lines[2] == "  explains: breaker: A circuit breaker opens again and again: espn/espn_summary"
    assert shown.splitlines()[0].endswith(", 12 files: HTTP 403")
    assert shown.splitlines()[1].endswith(": ops")
    assert lines[4:6] == [
        "closed within a day:",
        "  lost_files: Files have vanished from the lake or have shrunk: nba_api/nba_playbyplay",
    ]
    assert lines[6].startswith("lake: silenced until ")
    assert lines[6].endswith(" by ana: they know")
    assert lines[7].startswith("ops (webhook): 3 messages wait")
    assert lines[8] == "pager (webhook): no running service has this target yet"
    document = json.loads(adce("alerts", "list", "--json").stdout)
    [root] = document["open"]
    assert root["deliveries"] == {"ops": None}
    assert (root["kind"], [one["kind"] for one in root["explains"]]) == ("source_paused", ["breaker"])
    assert [one["kind"] for one in document["closed"]] == ["lost_files"]
    assert [(one["name"], one["undelivered"]) for one in document["targets"]] == [("ops", 3), ("pager", 0)]
    assert document["silences"][0]["by"] == "ana"
    assert document["owner"] == "adce"
    assert "hook-of-mine" not in json.dumps(document)


def test_who_was_told_and_why_another_was_not_is_listed(
    adce: Adce, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = partial(receiver, lambda handler: handler.answer(403, b"invalid_token"))

    async def tell() -> None:
        notifier = Notifier(load_config(), lambda: [PAUSED])
        for _ in range(2):
            await notifier.round()
            await notifier.delivered()
        await notifier.end(1)

    with receiver() as (url, _), refuse() as (bad, _):
        targets(monkeypatch, ops=url, pager=bad)
        monkeypatch.setenv("ADCE_ALERTS__SETTLE", "0s")
        asyncio.run(tell())
    lines = adce("alerts", "list").stdout.splitlines()
    told, waiting = lines[1].split("; more: adce sources; ")[1].split("; ")
    assert told.startswith("told 2")
    assert told.endswith(" UTC: ops")
    assert waiting.startswith("waiting to be told since ")
    assert waiting.endswith(": HTTP 403: invalid_token)")
    of_pager = lines[-1]
    assert of_pager.startswith("pager (webhook): 1 message waits since ")
    assert "; it has failed since " in of_pager
    document = json.loads(adce("alerts", "list", "--json").stdout)
    deliveries = document["open"][0]["deliveries"]
    assert (deliveries["pager"], bool(deliveries["ops"])) == (None, True)
    troubles = {one["name"]: one["trouble"] for one in document["targets"]}
    assert troubles == {"ops": None, "pager": "HTTP 403: invalid_token"}


def test_what_is_over_and_not_closed_yet_says_so(adce: Adce, ledger: Ledger) -> None:
    happen(ledger, PAUSED)
    happen(ledger, PAUSED._replace(value=0), ago=5 * MINUTE)
    [over] = ledger.incidents.open()
    assert over.cleared
    end = f"; over since {utc(over.cleared)}, and closed at {utc(over.cleared + 15 * MINUTE)} if it stays so"
    assert adce("alerts", "list").stdout.splitlines()[0].endswith(end)
    assert end in adce("sources").stdout


def test_an_empty_list_says_what_is_not_known(adce: Adce, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert adce("alerts", "list").stdout.splitlines() == [
        "the conditions were never evaluated: adce serve, adce watch and reconciles do that",
        "nobody is told by the settings of this command: alerts.targets is empty",
    ]
    happen(ledger)
    monkeypatch.setenv("ADCE_ALERTS__OWNER", "prometheus")
    first, second = adce("alerts", "list").stdout.splitlines()
    assert first.startswith("no incident is open as of ")
    assert second == "alerts.owner is prometheus, so ADCE tells no target"


def test_a_test_says_of_each_target_whether_it_has_taken_a_message(adce: Adce, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = partial(receiver, lambda handler: handler.answer(404, b"no_service"))
    with receiver() as (url, received), refuse() as (bad, _):
        targets(monkeypatch, ops=url, pager=bad)
        both = adce("alerts", "test")
        assert (both.exit_code, both.stdout.splitlines()) == (1, ["ops: ok", "pager: HTTP 404: no_service"])
        one = adce("alerts", "test", "ops")
        assert (one.exit_code, one.stdout) == (0, "ops: ok\n")
    assert [document["what"] for document in received.documents] == ["test", "test"]
    assert len(set(received.told)) == 2


def test_a_silence_holds_until_it_ends_or_is_ended(adce: Adce, ledger: Ledger) -> None:
    happen(ledger, PAUSED)
    said = adce("alerts", "silence", "source_paused", "--scope", "espn", *FOR).stdout.splitlines()
    assert said[0].startswith("source_paused of espn: silenced until ")
    assert said[1] == "1 incident of these is open"
    adce("alerts", "silence", "all", "--scope", "espn_summary", *FOR)
    holds = [silence.hold for silence in ledger.incidents.silences(datetime.now(UTC))]
    assert {(hold.kind, hold.scope) for hold in holds} == {
        (Kind.SOURCE_PAUSED, "espn"),
        (None, "espn/espn_summary"),
    }
    assert all(hold.until - hold.since == timedelta(hours=2) for hold in holds)
    ended = adce("alerts", "silence", "source_paused", "--scope", "espn", "--end").stdout
    assert ended == "source_paused of espn: silence ended\n"
    again = adce("alerts", "silence", "source_paused", "--scope", "espn", "--end").stdout
    assert again == ("source_paused of espn: there is no such silence to end; silenced is: all of espn/espn_summary\n")
    adce("alerts", "silence", "all", "--scope", "espn_summary", "--end")
    assert adce("alerts", "silence", "all", "--end").stdout.endswith("; nothing is silenced\n")
    adce("alerts", "silence", "all", "--scope", "espn_summary", *FOR)
    [left] = ledger.incidents.silences(datetime.now(UTC))
    assert left.hold == QuietTime(left.hold.since, left.hold.until, None, "espn/espn_summary")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["silence", "source_pause", *FOR], "no kind 'source_pause'; did you mean source_paused?"),
        (["silence", "qqq", *FOR], "no kind 'qqq'; the kinds are configuration, disk, "),
        (["silence", "lake", "--scope", "espnn", *FOR], "--scope: no source or dataset 'espnn'; did you mean espn?"),
        (
            ["silence", "dead_letters", "--scope", "espn", *FOR],
            "--scope: incidents dead_letters are of no source or dataset; leave it out",
        ),
        (
            ["silence", "source_paused", "--scope", "espn_summary", *FOR],
            "--scope: incidents source_paused are of a source; name that: --scope espn",
        ),
        (["silence", "lake"], "give --for and --note, as in --for 2h --note 'they know', or --end"),
        (["silence", "lake", "--for", "2h"], "give --note, as in "),
        (["silence", "lake", "--note", "x"], "give --for, as in "),
        (["silence", "foo"], "no kind 'foo'; the kinds are "),
        (["silence", "lake", "--for", "", "--note", "x"], "--for : not a duration"),
        (["silence", "lake", "--for", "99999d", "--note", "x"], "--for 99999d: that is too long; give at most 3660d"),
        (
            ["silence", "lake", "--scope", "nope", *FOR],
            "--scope: no source or dataset 'nope'; they are espn, nba_api, basketball_reference, espn_scoreboard, ",
        ),
        (["silence", "lake", "--end", "--for", "2h"], "--end: give neither --for nor --note with it"),
        (["silence", "lake", "--for", "soon", "--note", "x"], "--for soon: not a duration"),
        (["silence", "lake", "--for", "0s", "--note", "x"], "--for 0s: that is over already"),
        (["silence", "lake", "--for", "2h", "--note", " "], "--note: give the reason"),
        (["test"], "nobody is told of incidents: set alerts.targets"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_changes_nothing(adce: Adce, ledger: Ledger, arguments: list[str], says: str) -> None:
    result = adce("alerts", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"adce: {says}")
    assert ledger.incidents.silences(datetime.now(UTC)) == []


def test_a_mistyped_target_is_told(adce: Adce, monkeypatch: pytest.MonkeyPatch) -> None:
    targets(monkeypatch, on_call="https://example.org/x")
    assert adce("alerts", "test", "on_cal").stderr == "adce: no target 'on_cal'; did you mean on_call?\n"


def test_the_shell_completes_kinds_scopes_and_targets(adce_home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    targets(monkeypatch, on_call="https://example.org/x")
    assert completion.kinds("crit") == ["critical_failures", "critical_gap"]
    assert completion.scopes("espn") == ["espn", "espn/espn_scoreboard", "espn/espn_summary"]
    assert completion.targets("") == ["on_call"]
    monkeypatch.setenv("ADCE_RECONCILE__MAX_FILS", "3")
    assert [completion.scopes(""), completion.targets("")] == [[], []]

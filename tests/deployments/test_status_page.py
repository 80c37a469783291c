"""What does the status page show, and what can a text in it not do? The application, without a server or a browser."""

from __future__ import annotations

import asyncio
import gzip
import html
import re
import shutil
from base64 import b64encode
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from config.models import Config
from deployments.serve import refresh
from tasks.domain.assess.overview import Place, Standing
from tasks.domain.assess.states import State
from tasks.domain.assess.unknown import UnknownSchedule
from tasks.domain.incidents import BY_KIND, Incident, Incidents, Kind
from tasks.domain.limits.servers import Server
from tasks.domain.metrics import COMPLETE_UNTIL, OLDEST, QUEUE, series_of
from tasks.domain.outcomes import RunEnd
from tasks.domain.wording import utc
from tasks.ledger import Ledger
from tasks.ledger.database import Database
from tasks.ledger.leases import Leases
from tasks.show.status import ASSETS, SECTIONS, STYLE
from tasks.show.status.wrong import ENDS_WITH, Trouble, parents_first
from tests.builders import NOW, a_config
from tests.deployments.test_serve import SECRET, TOKEN, Client, a_look, made, no_server

__all__ = ["made", "no_server"]
SERVER = Server("http://prefect.test/api", {})
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def config(made: Path, tmp_path: Path) -> Config:
    """A configuration with a lake, and with a ledger that has a plan and a pause."""
    (tmp_path / "lake").mkdir()
    shutil.copy(made, tmp_path / "ledger.db")
    return a_config(lake=(tmp_path / "lake").as_uri(), ledger=f"sqlite:///{tmp_path / 'ledger.db'}")


def text_of(body: bytes) -> str:
    """What a person reads of a page, with single spaces."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", body.decode().replace("<wbr>", ""))).split())


def looked(config: Config, **change: object) -> Client:
    """A client of a service whose ledger has a look."""
    with closing(Ledger(config.ledger)) as ledger:
        ledger.looks.record(a_look(lake=config.lake, **change))
    return Client(config).read()


def opened(config: Config, incidents: Iterable[Incident]) -> None:
    """Records incidents in the ledger."""
    after = Incidents(9, tuple(incidents))
    with closing(Ledger(config.ledger)) as ledger:
        ledger.incidents.evaluate(lambda _: (after, ()), datetime.now(UTC))


def test_it_answers_in_the_order_in_which_an_operator_asks(config: Config) -> None:
    page = looked(config).ask("/").body.decode()
    assert re.findall(r'<section id="(\w+)"', page) == list(SECTIONS)
    assert [page.index(f">{heading}</h2>") for heading in SECTIONS.values()] == sorted(
        page.index(f">{heading}</h2>") for heading in SECTIONS.values()
    )


def test_it_says_whether_the_lake_is_whole_and_which_dataset_is_not(config: Config) -> None:
    text = text_of(looked(config).ask("/fragments/whole").body)
    assert "50.0 % No: 1 hole" in text
    assert "1 of 2 files complete; 1 gap" in text
    assert "Last night, 2026-01-14 espn_summary lacks files of that day or before" in text
    assert "espn_summary 50.0 % 1 2026-01-12" in text
    assert "2026-01-15 12:00 UTC" in text
    whole = {Place("espn_summary", "2025-26", "2026-01-12"): {Standing(State.PRESENT): 2}}
    end = datetime(2026, 1, 15, 5, tzinfo=UTC).timestamp()
    gauges = {series: end for series in a_look().gauges if "complete" in series.name}
    text = text_of(looked(config, counts=whole, gauges=gauges, run="r2").ask("/fragments/whole").body)
    assert "100 % Yes, it is whole" in text
    assert "Last night, 2026-01-14 complete, and so are all days before" in text


def test_what_is_not_known_is_named_and_is_no_100_per_cent(config: Config) -> None:
    unknown = (UnknownSchedule("espn_summary", "2024-25", "2025-01-05", f"espn_schedules/{MARKUP}.json"),)
    whole = {Place("espn_summary", "2025-26", "2026-01-12"): {Standing(State.PRESENT): 2000}}
    got = looked(config, counts=whole, unknown=unknown).ask("/")
    assert "99.9 %? Not all is known" in text_of(got.body)
    assert f"espn_summary 2024-25 needs 1 schedule: espn_schedules/{MARKUP}.json" in text_of(got.body)
    several = (*unknown, UnknownSchedule("espn_summary", "2025-26", "2026-01-05", "b.json"))
    got = looked(config, counts={}, unknown=several, run="r2").ask("/")
    assert "? Not all is known" in text_of(got.body)
    assert "unknown what 2 schedules would list" in text_of(got.body).lower()
    assert f"espn_summary needs 2 schedules of 2 seasons: espn_schedules/{MARKUP}.json, b.json" in text_of(got.body)


def test_no_look_no_files_and_another_lake_are_told_as_such(config: Config) -> None:
    assert "Not known No reconcile has recorded a look" in text_of(Client(config).read().ask("/").body)
    text = text_of(looked(config, counts={}).ask("/").body)
    assert "Nothing is expected so far" in text
    with closing(Ledger(config.ledger)) as ledger:
        ledger.looks.record(a_look(lake="file:///another"))
    assert "The recorded look is one at another lake, file:///another" in text_of(Client(config).read().ask("/").body)


def test_incidents_say_what_since_when_how_many_files_and_what_happens_next(config: Config) -> None:
    begun = datetime(2026, 1, 14, 3, tzinfo=UTC)
    now = datetime.now(UTC)
    paused = Incident("1", Kind.SOURCE_PAUSED, "espn", begun, opened=begun, files=36, reason=f"HTTP 403 {MARKUP}")
    explained = Incident("2", Kind.BREAKER, "espn/espn_summary", begun, opened=begun, cause="1")
    over = Incident("3", Kind.DISK, "", begun, opened=begun, closed=now - timedelta(hours=1))
    opened(config, [explained, paused, over])
    body = looked(config).ask("/fragments/wrong").body
    assert "<title>! 50.0 % · ADCE</title>" in Client(config).read().ask("/").body.decode()
    text = text_of(body)
    assert "Something is wrong" in text
    assert f"Cause HTTP 403 {MARKUP} Since 2026-01-14 03:00 UTC Files 36 Next it ends" in text
    cards = re.findall(r'id="incident-(\d)"|href="#incident-(\d)">([^<]*)<', body.decode())
    assert cards[:3] == [("1", "", ""), ("2", "", ""), ("", "1", f"{BY_KIND[Kind.SOURCE_PAUSED].title}: espn")]
    assert "adce sources" in text
    assert "1 incident ended in the last day" in text


def test_an_incident_that_is_over_and_not_closed_yet_is_no_present_one(config: Config) -> None:
    begun, now = NOW, datetime.now(UTC)
    over = Incident("1", Kind.SOURCE_PAUSED, "espn", begun, opened=begun, cleared=now)
    opened(config, [over])
    text = text_of(Client(config).read().ask("/fragments/wrong").body)
    assert f"Until {utc(now)}" in text
    assert f"Next it is over since {utc(now)}, and closed at {utc(now + timedelta(minutes=15))} if it stays so" in text
    opened(config, [over, over._replace(id="2", kind=Kind.BUCKET, cleared=None)])
    assert "Something is wrong" in text_of(Client(config).read().ask("/fragments/wrong").body)


def test_incidents_follow_those_that_explain_them() -> None:
    def trouble(id: str, part_of: str = "") -> Trouble:
        return Trouble(id, part_of, "", "", "", None, None, True, 0, "", "", "")

    told = [trouble("a", "c"), trouble("b"), trouble("c", "d"), trouble("d"), trouble("e", "gone"), trouble("f", "d")]
    assert [one.id for one in parents_first(told)] == ["b", "d", "c", "a", "f", "e"]
    assert [one.id for one in parents_first([trouble("a", "b"), trouble("b", "a")])] in (["a", "b"], ["b", "a"])


def test_the_command_of_an_incident_names_the_file_of_which_it_tells_more(config: Config) -> None:
    key, begun = "espn_box_scores/401810001.json", datetime(2026, 1, 14, 3, tzinfo=UTC)
    failing = Incident("1", Kind.CRITICAL_FAILURES, "espn/espn_summary", begun, opened=begun, reason=key)
    opened(config, [failing])
    client = Client(config).read()
    assert f"More adce why {key}" in text_of(client.ask("/fragments/wrong").body)
    assert client.ask("/incidents").json["open"][0]["command"] == f"adce why {key}"


def test_an_incident_that_ends_at_once_says_what_ends_it(config: Config) -> None:
    lost = Incident("1", Kind.LOST, "espn/espn_summary", NOW, opened=NOW, files=36)
    opened(config, [lost, lost._replace(id="2", kind=Kind.UNREADABLE), lost._replace(id="3", kind=Kind.BUCKET)])
    text = text_of(Client(config).read().ask("/fragments/wrong").body)
    assert "each run tries to fetch them again; it ends when all are back" in text
    assert "each run tries to read them again; it ends when the lake delivers them" in text
    assert "it ends 5m after that is over" in text


def test_every_incident_without_time_to_keep_says_what_ends_it() -> None:
    assert {kind for kind, of in BY_KIND.items() if not of.keep_for} == set(ENDS_WITH)


def test_the_day_to_which_all_is_complete_names_the_dataset_that_holds_it_back(config: Config) -> None:
    counts = {
        Place(name, "2025-26", "2026-01-12"): {Standing(State.PRESENT): 1} for name in ("espn_summary", "br_boxscore")
    }
    ends = {
        series_of(COMPLETE_UNTIL, dataset=name): datetime(2026, 1, day, 5, tzinfo=UTC).timestamp()
        for name, day in (("espn_summary", 13), ("br_boxscore", 15))
    }
    text = text_of(looked(config, counts=counts, gauges=ends).ask("/fragments/whole").body)
    assert "Every dataset complete to 2026-01-12, held back by espn_summary Last night" in text
    ends = dict.fromkeys(ends, datetime(2026, 1, 13, 5, tzinfo=UTC).timestamp())
    text = text_of(looked(config, counts=counts, gauges=ends, run="r2").ask("/fragments/whole").body)
    assert "Every dataset complete to 2026-01-12 Last night" in text


def test_checks_of_the_health_that_do_not_pass_are_among_what_is_wrong(config: Config) -> None:
    shutil.rmtree(Path(config.lake.removeprefix("file://")))
    client = Client(config).read()
    assert "lake warns: cannot be used" in text_of(client.read().ask("/fragments/wrong").body)
    assert "No answer from: lake" in text_of(client.ask("/").body)


def test_how_things_went_stays_while_the_ledger_is_gone(config: Config) -> None:
    ended(config, "everything", RunEnd.ENDED, "all files")
    client = looked(config)
    before = client.refresh.past
    assert before
    file = Path(config.ledger.removeprefix("sqlite:///"))
    file.rename(file.with_name("gone"))
    client.read()
    assert client.refresh.past is before


def test_the_verdicts_are_those_of_the_health_also_while_the_ledger_is_away(config: Config) -> None:
    """The reason of each check, and so how long ago it was, is that of the same moment as in /health."""
    client = Client(config)
    now = datetime.now(UTC)
    client.refresh = client.service._refresh = refresh.Refresh(client.config, lambda: now)
    client.service._now = lambda: now
    client.read()
    file = Path(config.ledger.removeprefix("sqlite:///"))
    file.rename(file.with_name("gone"))
    for minutes, verdict in ((1, "warns"), (6, "fails"), (60, "fails")):
        now = datetime.now(UTC) + timedelta(minutes=minutes)
        client.read()
        text = text_of(client.ask("/fragments/wrong").body)
        assert f"ledger {verdict}: cannot be used" in text
        checks = client.ask("/health").json["checks"]
        said = [(name, f"{one['status']}s: {one['output']}") for name, (one,) in checks.items()]
        hidden = ("answers", "incidents")
        assert [f"{name} {line}" in text for name, line in said if name not in hidden] == [
            not line.startswith("pass") for name, line in said if name not in hidden
        ]
    assert "Something is wrong" in text


def test_without_a_look_it_is_not_known_what_waits(config: Config) -> None:
    assert "Not known: no look has counted what waits" in text_of(Client(config).read().ask("/fragments/work").body)
    assert "It waits for nothing" in text_of(looked(config).ask("/fragments/work").body)


def test_the_queue_has_the_oldest_of_each_priority_and_budgets_have_their_pauses(config: Config) -> None:
    queue = {series_of(QUEUE, priority="HIGH"): 7, series_of(OLDEST, priority="HIGH"): NOW.timestamp()}
    text = text_of(looked(config, gauges=queue).ask("/fragments/work").body)
    assert "7 files wait, and no run is at work" in text
    assert "HIGH 7 2026-01-15 12:00 UTC not planned yet" in text
    assert "The times are those of the plan of 2026-01-15 12:00 UTC" in text
    assert "whose run has ended; the next run plans anew" in text
    assert "0 of 583 requests in the last minute" in text
    assert "password=***" in text, "the pause of an operator, without its secret"
    assert "Left for later: 2 files 2 files: the cap" in text


def test_no_text_becomes_markup_and_no_secret_is_shown(config: Config) -> None:
    held = Incident("1", Kind.LAKE, MARKUP, NOW, opened=NOW, reason=f"{MARKUP} password={SECRET}")
    opened(config, [held])
    client = looked(config)
    for path in ("/", *(f"/fragments/{section}" for section in SECTIONS)):
        body = client.ask(path).body.decode()
        assert "<img" not in body
        assert SECRET not in body
    assert "&lt;img" in client.ask("/").body.decode()


def test_nothing_is_asked_elsewhere_and_nothing_runs_but_the_own_script(config: Config) -> None:
    got = looked(config).ask("/")
    policy = dict(part.strip().split(" ", 1) for part in got.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "connect", "img")} == {"'self'"}
    page = got.body.decode()
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy["style-src"] == f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"
    loaded = re.findall(r'<(?:script|img|iframe)[^>]*src="([^"]*)"|<link[^>]*href="([^"]*)"', page)
    assert {"".join(both) for both in loaded} == {f"/assets/{asset.name}" for asset in ASSETS}
    assert re.findall(r"\s(?:style|on\w+)=", page) == []
    assert "<script>" not in page
    bodies = (style.encode(), *(asset.body for asset in ASSETS))
    assert not [body for body in bodies if re.search(rb"(?<!xmlns=\")https?://|@import|url\(", body)]


def test_the_assets_take_20_kilobytes_and_are_sent_once(config: Config) -> None:
    client = Client(config).read()
    bodies = [client.ask(f"/assets/{asset.name}") for asset in ASSETS]
    assert sum(map(len, map(gzip.compress, (STYLE.encode(), *(got.body for got in bodies))))) <= 20_000
    again = client.ask(f"/assets/{ASSETS[0].name}", if_none_match=bodies[0].headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_a_section_that_is_the_same_is_not_sent_again_and_says_as_of_when_it_is(config: Config) -> None:
    client = looked(config)
    first = client.ask("/fragments/holes")
    again = client.read().ask("/fragments/holes", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert {"last-modified", "age"} <= again.headers.keys()


def test_the_page_has_the_etag_of_each_section_so_that_nothing_is_sent_twice(config: Config) -> None:
    client = looked(config)
    tags = re.findall(r'data-fragment="([^"]+)" data-etag="&#34;(\w+)&#34;"', client.ask("/").body.decode())
    assert [path for path, _ in tags] == [f"/fragments/{section}" for section in SECTIONS]
    assert {client.ask(path, if_none_match=f'"{tag}"').status for path, tag in tags} == {304}


def test_an_old_look_is_told_as_old_also_without_the_script(config: Config) -> None:
    now = datetime.now(UTC)
    fresh = looked(config, taken_at=now).ask("/").body.decode()
    assert fresh.count('class="note old"') == fresh.count(" hidden>This is old") == 2, "for the script"
    old = looked(config, taken_at=now - timedelta(hours=1), run="r2").ask("/").body.decode()
    assert (old.count("This is old"), old.count(" hidden>This is old")) == (2, 0)


def test_before_the_first_reading_the_page_says_so(config: Config) -> None:
    got = Client(config).ask("/")
    assert (got.status, got.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "The ledger has not been read yet. The first run makes it" in text_of(got.body)


def test_with_a_token_the_page_needs_it_and_a_public_page_has_its_sections_and_assets(config: Config) -> None:
    client = Client(config, token=TOKEN).read()
    assert [client.ask(path).status for path in ("/", "/fragments/whole", "/assets/page.js")] == [401, 401, 200]
    client = Client(config, token=TOKEN, public=["/"]).read()
    assert [client.ask(path).status for path in ("/", "/fragments/whole", "/status")] == [200, 200, 401]


def test_the_look_at_many_seasons_fits_the_page(config: Config) -> None:
    counts = {
        Place("espn_summary", f"{year}-{(year + 1) % 100:02}", ""): {Standing(State.PRESENT): 1}
        for year in range(1996, 2026)
    }
    page = looked(config, counts=counts).ask("/").body.decode()
    assert page.count('href="/coverage/espn_summary/') == 30 + 1, "one for each season, and one of the dataset"


def ended(config: Config, kind: str, end: RunEnd, why: str) -> None:
    """Records a run that has ended."""
    with closing(Ledger(config.ledger)) as ledger:
        leases = Leases(ledger.database, f"run of {kind}", timedelta(minutes=1))
        leases.begin(kind, "everything", "0d3c7d4e-0000-4000-8000-000000000000", lambda _: None, SERVER)
        leases.end(end, why)


def test_a_run_at_work_is_named_with_the_requests_that_it_has_claimed(config: Config) -> None:
    with closing(Ledger(config.ledger)) as ledger:
        leases = Leases(ledger.database, "run", timedelta(minutes=1))
        leases.begin("reconcile", "everything", "0d3c7d4e-0000-4000-8000-000000000000", lambda _: None, SERVER)
        assert ledger.database.write(lambda connection: leases.claim(connection, ["espn_summary 1", "espn_summary 2"]))
        text = text_of(Client(config).read().ask("/fragments/work").body)
        assert "1 run at work" in text
        assert "reconcile everything, since 20" in text
        assert "2 requests are being sent, one or more for each file" in text
        leases.end(RunEnd.ENDED)
    assert "Being fetched" not in text_of(Client(config).read().ask("/fragments/work").body)


def test_the_last_runs_have_their_ends_and_links_into_prefect(config: Config) -> None:
    ended(config, "reconcile", RunEnd.FAILED, f"HTTP 500 {MARKUP}")
    with closing(Ledger(config.ledger)) as ledger:
        ledger.looks.record(a_look(lake=config.lake))
    body = Client(config).read().ask("/fragments/happened").body
    text = text_of(body)
    assert "The last run: Failed" in text
    assert f"reconcile everything Failed {datetime.now(UTC):%Y-%m-%d}" in text
    assert f"HTTP 500 {MARKUP}" in text
    assert 'href="http://prefect.test/flow-runs/flow-run/0d3c7d4e' in body.decode()
    assert "A reconcile takes Last day, by hour:" in text
    assert "Complete Last day, by hour: at least 50 %" in text
    assert "How well it was kept in the last week The figures of adce report Figure Value" in text
    assert "Without ADCE" in text
    assert "Answers HTTP 429 a day" in text


def test_the_heading_is_of_the_run_that_ended_last_and_was_not_skipped(config: Config) -> None:
    with closing(Ledger(config.ledger)) as ledger:
        first, second = (Leases(ledger.database, name, timedelta(minutes=1)) for name in ("first", "second"))
        first.begin("reconcile", "everything", None, lambda _: None, SERVER)
        second.begin("fill", "espn", None, lambda _: None, SERVER)
        second.end(RunEnd.ENDED, "another reconcile is at work", state="Skipped")
        first.end(RunEnd.ENDED, "74 files fetched", state="Incomplete")
    assert "The last run: Incomplete" in text_of(looked(config).ask("/fragments/happened").body)


def test_the_longest_reconcile_and_the_lowest_completeness_are_those_of_all_and_not_the_last_of_an_hour(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = datetime.now(UTC).timestamp() - 600
    monkeypatch.setattr(Database, "now", lambda *_: clock)
    for seconds in (24, 13, 9):
        with closing(Ledger(config.ledger)) as ledger:
            leases = Leases(ledger.database, f"run of {seconds} s", timedelta(minutes=1))
            leases.begin("reconcile", "everything", None, lambda _: None, SERVER)
            clock += seconds
            leases.end(RunEnd.ENDED, "Complete")
    for present, lacking in ((73, 27), (100, 0)):
        counts = {
            Place("espn_summary", "2025-26", ""): {Standing(State.PRESENT): present, Standing(State.GAP): lacking}
        }
        with closing(Ledger(config.ledger)) as ledger:
            ledger.looks.record(a_look(lake=config.lake, counts=counts))
    text = text_of(Client(config).read().ask("/fragments/happened").body)
    assert "A reconcile takes Last day, by hour: 13s in the median, at most 24s" in text
    assert "Complete Last day, by hour: at least 73 %" in text


def test_how_things_went_is_read_again_soon_after_a_run_has_ended_and_says_as_of_when_it_is(config: Config) -> None:
    looked(config)
    client = Client(config, refresh="1s")

    async def shown(text: str) -> str:
        while True:
            answer = client.refresh.answers.get("/fragments/happened")
            if answer and text in (shown := text_of(answer.body)):
                return shown
            await asyncio.sleep(0.1)

    async def run() -> str:
        refreshing = asyncio.create_task(client.refresh.run())
        await shown("A reconcile takes Last day, by hour: none has ended")
        await asyncio.to_thread(ended, config, "reconcile", RunEnd.ENDED, "Complete")
        after = await shown("in the median")
        refreshing.cancel()
        return after

    after = asyncio.run(asyncio.wait_for(run(), 60))
    assert f"This and what follows is as of {datetime.now(UTC):%Y-%m-%d}" in after


def test_how_things_went_is_read_rarely_and_without_it_the_rest_is_there(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("too much")

    monkeypatch.setattr(refresh, "history", fail)
    got = looked(config).ask("/")
    assert got.status == 200
    assert "How well it was kept" not in text_of(got.body)
    assert "No run has ended in the last days" in text_of(got.body)

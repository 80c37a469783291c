"""What does the service answer, to whom, and what if something is away? The application, without a server."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics_in
from prometheus_client.parser import text_string_to_metric_families as metrics_in

from config.models import Collect, Config, Serve
from deployments import serve
from deployments.serve import refresh
from deployments.serve.app import Service
from deployments.serve.needs import LEDGER
from deployments.serve.once import write_once
from deployments.serve.refresh import Refresh
from tasks.answers.health import Reached
from tasks.domain.assess.completeness import end_of
from tasks.domain.assess.overview import Place, Standing
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.assess.states import State
from tasks.domain.errors import AdceError
from tasks.domain.expected.collected import collected
from tasks.domain.incidents import Fact, Kind, QuietTime, Settings, step
from tasks.domain.limits.pauses import FOR_EVER, OperatorPause
from tasks.domain.metrics import CELLS, CHECK, CHECKS, COMPLETE_UNTIL, FILLS, VERDICT, series_of
from tasks.domain.outcomes import RunEnd
from tasks.domain.wording import utc
from tasks.ledger import Ledger
from tasks.ledger.incidents import Silence
from tasks.ledger.leases import Leases
from tasks.ledger.plans import RUN
from tasks.log_lines import JsonLines
from tasks.show.documents.plan import PlannedFill
from tasks.show.documents.service import Tasks
from tests.builders import NOW, a_config, a_fill

TOKEN = "0123456789abcdef"
DOCUMENTS = ["/status", "/tasks", "/rate-limits", "/incidents", "/metrics", "/health", "/openapi.json"]
SECRET = "s3cret-in-a-reason"
COMPLETE = end_of(date(2026, 1, 12)).timestamp()


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "profiles.toml"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a ledger that has a plan, and a pause."""
    file = tmp_path_factory.mktemp("serve") / "ledger.db"
    with closing(Ledger(f"sqlite:///{file}")) as ledger:
        fills = [PlannedFill.of(a_fill(n)).as_json() for n in range(150)]
        later = {"limit": "reconcile.max_fills", "of": "", "reason": "the cap", "until": None, "keys": ["a", "b"]}
        ledger.plans.keep(RUN, {"fills": fills, "later": [later]}, NOW, "r1")
        now = datetime.now(UTC)
        ledger.operator_pauses.begin(
            OperatorPause("espn", until=FOR_EVER, reason=f"password={SECRET}", since=now, by="me")
        )
    return file


def a_look(**change: Any) -> RecordedLook:
    """A look that has found two files of a season, of which one is lacking."""
    of = {"source": "espn", "dataset": "espn_summary"}
    look = RecordedLook(
        taken_at=NOW,
        verified_since=NOW,
        run="r1",
        lake="file:///lake",
        list_requests=1,
        never_read=0,
        by_former_checks=0,
        inventory=None,
        counts={
            Place("espn_summary", "2025-26", "2026-01-12"): {Standing(State.PRESENT): 1},
            Place("espn_summary", "2025-26", "2026-01-13"): {Standing(State.GAP): 1},
        },
        stored={},
        unknown=(),
        queue={},
        gauges={series_of(CELLS, state="gap", **of): 1, series_of(COMPLETE_UNTIL, dataset="espn_summary"): COMPLETE},
    )
    return replace(look, **change)


@pytest.fixture
def config(made: Path, tmp_path: Path) -> Config:
    """A configuration with a lake, and with a copy of that ledger."""
    (tmp_path / "lake").mkdir()
    shutil.copy(made, tmp_path / "ledger.db")
    return a_config(lake=(tmp_path / "lake").as_uri(), ledger=f"sqlite:///{tmp_path / 'ledger.db'}")


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks an application as a server would do."""

    def __init__(self, config: Config, **settings: Any):
        self.config = config.model_copy(update={"serve": Serve(**settings)})
        self.refresh = Refresh(self.config)
        self.service = Service(self.config, self.refresh)

    def read(self) -> Client:
        asyncio.run(self.refresh.once())
        return self

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Got:
        sent: list[Any] = []
        given = {"host": "localhost:8710", **{name.replace("_", "-"): value for name, value in headers.items()}}
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.service(scope, receive, send))
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Got(sent[0]["status"], headers, sent[1]["body"])


@pytest.fixture
def client(config: Config) -> Client:
    return Client(config).read()


def test_each_document_says_as_of_when_it_is_and_shows_no_secret(client: Client) -> None:
    for path in DOCUMENTS:
        got = client.ask(path)
        assert got.status == 200, path
        assert SECRET.encode() not in got.body
        assert b"ledger.db" not in got.body
    for path in ("/status", "/tasks", "/rate-limits", "/incidents"):
        asked = datetime.now(UTC)
        got = client.ask(path)
        assert got.json["away"] == []
        as_of = datetime.fromisoformat(got.json["as_of"])
        age = timedelta(seconds=int(got.headers["age"]))
        assert asked - as_of - timedelta(seconds=1) < age <= datetime.now(UTC) - as_of
    assert client.ask("/status").json["sources"][0]["holds"][0]["reason"].endswith("password=***")


def test_incidents_are_told_by_their_cause_with_what_was_closed_and_silences(config: Config) -> None:
    began = datetime.now(UTC) - timedelta(hours=1)
    paused = Fact(Kind.SOURCE_PAUSED, "espn", 4 * 3600, 120, f"HTTP 403 password={SECRET}")
    old = Fact(Kind.CRITICAL_GAP, "espn/espn_summary", 5 * 3600, 3, "it is missing")
    lost = Fact(Kind.LOST, "nba_api/nba_playbyplay", 2, 2)
    silence = Silence(QuietTime(began, began + timedelta(hours=2), Kind.LOST), "we move it", "ana")
    with closing(Ledger(config.ledger)) as ledger:
        for minutes, facts in ((0, [paused, old, lost]), (5, [paused, old, lost]), (10, [lost._replace(value=0)])):
            at = began + timedelta(minutes=minutes)
            settings = Settings()
            ledger.incidents.evaluate(partial(step, facts=facts, now=at, settings=settings), at)
        ledger.incidents.silence(silence)
    client = Client(config).read()
    answer = client.ask("/incidents").json
    [root] = answer["open"]
    [follows] = root.pop("explains")
    assert datetime.fromisoformat(root.pop("opened")) == began
    assert datetime.fromisoformat(root.pop("since")) == began - timedelta(hours=4)
    assert root.pop("told")
    assert root == {
        "id": str(int(began.timestamp())),
        "kind": "source_paused",
        "scope": "espn",
        "title": "A source is paused after refusals",
        "cleared": None,
        "closes_at": None,
        "closed": None,
        "value": 4 * 3600,
        "limit": 3 * 3600,
        "measure": "seconds",
        "files": 120,
        "reason": "HTTP 403 password=***",
        "command": "adce sources",
    }
    assert (follows["kind"], follows["told"]) == ("critical_gap", None)
    assert datetime.fromisoformat(follows["since"]) == began - timedelta(hours=5)
    [closed] = answer["closed"]
    assert (closed["kind"], closed["scope"], closed["files"]) == ("lost_files", lost.scope, 2)
    assert [(one["kind"], one["note"], one["by"]) for one in answer["silences"]] == [
        ("lost_files", "we move it", "ana")
    ]
    [check] = client.ask("/health").json["checks"]["incidents"]
    assert check["status"] == "warn"
    assert check["output"].startswith("A source is paused after refusals (espn); 1 more that follow from that")
    [espn] = (source for source in client.ask("/status").json["sources"] if source["name"] == "espn")
    assert [(one["kind"], one["explained"]) for one in espn["incidents"]] == [
        ("source_paused", False),
        ("critical_gap", True),
    ]
    assert b'adce_incidents{kind="critical_gap"} 1.0' in client.ask("/metrics").body


def test_an_incident_that_is_over_says_since_when_and_when_it_is_closed(config: Config) -> None:
    now = datetime.now(UTC)
    paused = Fact(Kind.SOURCE_PAUSED, "espn", 4 * 3600)
    with closing(Ledger(config.ledger)) as ledger:
        for ago, fact in ((5, paused), (1, paused._replace(value=0))):
            at = now - timedelta(minutes=ago)
            ledger.incidents.evaluate(partial(step, facts=[fact], now=at, settings=Settings()), at)
    client = Client(config).read()
    ended, closes = now - timedelta(minutes=1), now + timedelta(minutes=14)
    over = f"over since {utc(ended)}, and closed at {utc(closes)} if it stays so"
    [root] = client.ask("/incidents").json["open"]
    [of_source] = client.ask("/status").json["sources"][0]["incidents"]
    for document in (root, of_source):
        times = [datetime.fromisoformat(document[name]) for name in ("cleared", "closes_at")]
        assert times == [ended, closes]
    [check] = client.ask("/health").json["checks"]["incidents"]
    assert check["output"] == f"A source is paused after refusals (espn), {over}"


def test_the_plan_is_told_in_part_and_counted_as_a_whole(client: Client) -> None:
    plan = client.ask("/tasks").json
    assert (plan["fills"], len(plan["first"]), plan["run"]) == (150, 100, "r1")
    assert plan["files"] == sum(queue["files"] for queue in plan["queue"]) == 150
    assert plan["deferred"] == [
        {"limit": "reconcile.max_fills", "of": "", "reason": "the cap", "until": None, "files": 2}
    ]


def test_what_another_version_has_kept_of_a_plan_is_told_as_far_as_it_can_be_read(config: Config) -> None:
    fill = PlannedFill.of(a_fill()).as_json()
    later = {"limit": "of tomorrow", "of": "", "reason": "new", "keys": ["a"], "more": 1}
    document = {
        "fills": [fill | {"more": 1}, {"id": "another shape"}, fill | {"score": math.nan}],
        "later": [later, {"reason": "no keys"}],
    }
    with closing(Ledger(config.ledger)) as ledger:
        ledger.plans.keep(RUN, document, NOW, "r2")
    plan = Client(config).read().ask("/tasks").json
    assert (plan["fills"], plan["files"], plan["unreadable"], len(plan["first"])) == (1, 1, 3, 1)
    assert plan["deferred"] == [{"limit": None, "of": "", "reason": "new", "until": None, "files": 1}]


def test_a_plan_is_read_once_and_no_longer_one_than_memory_bears(config: Config) -> None:
    with closing(Ledger(config.ledger)) as ledger:
        former = ledger.plans.unless_former(RUN, None, 1_000_000)
        assert former
        assert former.document == ledger.plans.kept(RUN).document  # type: ignore[union-attr]
        assert ledger.plans.unless_former(RUN, former, 1_000_000) is former
        ledger.plans.keep(RUN, former.document | {"fills": []}, former.at, former.run)
        changed = ledger.plans.unless_former(RUN, former, 1_000_000)
        assert changed
        assert changed.document["fills"] == []
        assert ledger.plans.unless_former(RUN, former, 10).document == {"fills": [None], "later": []}  # type: ignore[union-attr]


def test_an_answer_that_cannot_be_written_keeps_its_last_form_and_no_other_does(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before, status = client.ask("/tasks"), client.ask("/status")
    monkeypatch.setattr(Tasks, "of", lambda *_: 1 / 0)
    client.read().read()
    assert client.ask("/tasks").body == before.body
    assert client.ask("/status").json["as_of"] > status.json["as_of"]
    check = client.ask("/health").json["checks"]["answers"][0]
    assert (check["status"], "/tasks" in check["output"]) == ("warn", True)
    assert [record.getMessage() for record in caplog.records if "/tasks" in record.getMessage()] == [
        "/tasks cannot be written, and its last answer stays: ZeroDivisionError: division by zero"
    ]
    monkeypatch.undo()
    assert client.read().ask("/health").json["checks"]["answers"][0]["status"] == "pass"


@pytest.mark.parametrize(
    ("state", "why", "needs_mending", "verdict"),
    [
        pytest.param("Completed", "Complete: 10 files", False, "pass", id="complete"),
        pytest.param("Incomplete", "6 of 10 files wait: run cap", False, "pass", id="left for later"),
        pytest.param("Incomplete", "4 of 10 files failed", True, "warn", id="failed"),
        pytest.param("Incomplete", "4 of 10 files failed", None, "pass", id="a run of an earlier version"),
    ],
)
def test_the_health_warns_of_a_last_reconcile_that_has_left_what_needs_mending(
    config: Config, client: Client, state: str, why: str, needs_mending: bool | None, verdict: str
) -> None:
    with closing(Ledger(config.ledger)) as ledger:
        whole, later = (Leases(ledger.database, run, timedelta(minutes=1)) for run in ("r1", "r2"))
        whole.begin("reconcile", "everything", None, lambda why: None)
        ledger.looks.record(a_look(lake=config.lake), is_done=True)
        whole.end(RunEnd.ENDED, why, state=state, needs_mending=needs_mending)
        later.begin("reconcile", "espn", None, lambda why: None)  # its look is not one at the whole lake
        later.end(RunEnd.ENDED, "1 of 1 file failed", state="Incomplete", needs_mending=True)
    (check,) = client.read().ask("/health").json["checks"]["reconcile"]
    said = f"; it was not complete: {why}" if verdict == "warn" else ""
    assert (check["status"], check["output"].partition("ago")[2]) == (verdict, said)


def test_the_coverage_is_that_of_the_last_recorded_look(config: Config, client: Client) -> None:
    got = client.ask("/coverage.json")
    assert got.status == 404, "none is recorded yet"
    assert b"not known yet" in client.ask("/badge/espn_summary.svg").body
    with closing(Ledger(config.ledger)) as ledger:
        ledger.looks.record(a_look(lake=config.lake))
    client.read()
    coverage, status = client.ask("/coverage.json").json, client.ask("/status").json
    assert (coverage["as_of"], coverage["run"], coverage["by"]) == (NOW.isoformat(), "r1", "season")
    assert [(row["season"], row["expected"], row["gap"]) for row in coverage["rows"]] == [("2025-26", 2, 1)]
    assert (status["cells"]["total"], status["cells"]["gap"]) == (2, 1)
    badge = client.ask("/badge/espn_summary.svg")
    assert badge.headers["content-type"] == "image/svg+xml"
    assert b"complete to 2026-01-12, 1 hole<" in badge.body
    before = client.refresh.snapshot
    client.read()
    assert before
    assert client.refresh.snapshot
    assert client.refresh.snapshot.recorded is before.recorded, "it is not read again"
    with closing(Ledger(config.ledger)) as ledger:
        ledger.looks.record(a_look(lake=config.lake, run="r2"))
    assert client.read().ask("/coverage.json").json["run"] == "r2"


def test_a_look_at_another_lake_is_told_as_such_and_its_numbers_are_not_given(config: Config, client: Client) -> None:
    with closing(Ledger(config.ledger)) as ledger:
        ledger.looks.record(a_look(lake="file:///another"))
    client.read()
    assert (client.ask("/coverage.json").status, client.ask("/status").json["cells"]) == (404, None)
    assert b"not known yet" in client.ask("/badge/espn_summary.svg").body
    assert f"{CELLS.name}{{".encode() not in client.ask("/metrics").body
    assert "its look was at file:///another" in client.ask("/health").json["output"]


def test_metrics_are_text_or_open_metrics_as_the_client_prefers(client: Client) -> None:
    plain, asked = client.ask("/metrics"), client.ask("/metrics", accept="text/plain;q=0.5,*/*;q=0.1")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert plain.body == asked.body
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    opened = client.ask("/metrics", accept=prometheus)
    assert opened.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    name = FILLS.name.removesuffix("_total")
    assert name in {family.name for family in metrics_in(plain.body.decode())}
    assert name in {family.name for family in open_metrics_in(opened.body.decode())}
    assert client.ask("/metrics", accept="application/openmetrics-text;q=x").body == plain.body
    kind = "application/openmetrics-text"
    twice = f"{kind};version=1.0.0;q=0.9,text/plain;q=0.5,{kind};version=0.0.1;q=0.1"
    assert client.ask("/metrics", accept=twice).body == opened.body, "the greatest weight of a type counts"


def test_metrics_have_the_verdict_of_each_check_as_health_has_it(client: Client) -> None:
    for _ in range(2):
        checks = json.loads(client.ask("/health").body)["checks"]
        expected = {(name, found["status"]) for name, (found,) in checks.items()}
        plain = metrics_in(client.ask("/metrics").body.decode())
        opened = open_metrics_in(client.ask("/metrics", accept="application/openmetrics-text;q=1").body.decode())
        for families in (plain, opened):
            (family,) = [family for family in families if family.name == CHECKS.name]
            series = {(s.labels["check"], s.labels["verdict"]): s.value for s in family.samples}
            assert {labels for labels, value in series.items() if value} == expected
            assert set(series) <= set(product(CHECK.values, VERDICT.values))
        client.refresh._reached["lake"] = Reached(NOW, trouble="answers HTTP 503")
    assert ("lake", "fail") in expected


def test_head_is_get_without_a_body_and_what_has_not_changed_is_not_sent(client: Client) -> None:
    got, head = client.ask("/tasks"), client.ask("/tasks", "HEAD")
    assert head.body == b""
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.body))
    again = client.ask("/tasks", if_none_match=f'W/"x", {got.headers["etag"]}')
    assert (again.status, again.body) == (304, b"")
    assert client.ask("/tasks", if_none_match='"x"').status == 200


def test_what_is_not_there_is_a_problem_that_does_not_repeat_what_was_asked(client: Client) -> None:
    for path in ("/nothing", "/../etc/passwd", "/status/", "//status", "/badge/../status", "/badge/x.svg"):
        got = client.ask(path)
        assert (got.status, got.headers["content-type"]) == (404, "application/problem+json"), path
        assert got.json == {"type": "about:blank", "title": "Not Found", "status": 404, "detail": got.json["detail"]}
        assert path not in got.json["detail"]
    template = client.ask("/badge/{dataset}.svg")
    assert (template.status, template.json["detail"]) == (404, got.json["detail"])


def test_other_methods_than_get_and_head_are_refused(client: Client) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        got = client.ask("/status", method, body=b"x" * 100)
        assert (got.status, got.headers["allow"]) == (405, "GET, HEAD"), method


def test_a_foreign_host_is_refused_except_by_probes(client: Client) -> None:
    assert client.ask("/status", host="evil.example.org").status == 421
    assert client.ask("/livez", host="10.0.0.7:8710").status == 200
    assert client.ask("http://localhost/status", host="evil.example.org").status == 200, "the target names the host"
    assert client.ask("http://evil.example.org/status").status == 421


def test_with_a_token_only_probes_answer_without_it(config: Config) -> None:
    client = Client(config, token=TOKEN, public=["/health"]).read()
    for path in ("/livez", "/readyz", "/health"):
        assert client.ask(path).status in (200, 503), path
    for path in ("/", "/status", "/metrics", "/openapi.json", "/nothing"):
        got = client.ask(path)
        assert (got.status, got.headers["www-authenticate"]) == (401, "Bearer"), path
        assert "***" not in got.json["detail"], "what to do is no secret"
    assert client.ask("/status", authorization=f"Bearer {TOKEN}x").status == 401
    assert client.ask("/status", authorization=f"Bearer {TOKEN}").status == 200
    assert client.ask(f"/status?token={TOKEN}&access_token={TOKEN}&adce={TOKEN}").status == 401, "not in an address"
    assert client.ask("/nothing", authorization=f"Bearer {TOKEN}").status == 404


def test_a_person_gets_a_form_that_sets_a_cookie_which_scripts_and_other_sites_cannot_use(config: Config) -> None:
    client = Client(config, token=TOKEN).read()
    assert b"<form" in client.ask("/", accept="text/html").body
    refused = client.ask("/login", "POST", body=b"token=wrong")
    assert (refused.status, "set-cookie" in refused.headers) == (401, False)
    assert client.ask("/login", "POST", body=b"other=1").status == 400
    assert client.ask("/login", "POST", body=b"token=" + b"x" * 5000).status == 413
    done = client.ask("/login", "POST", body=f"token={TOKEN}".encode())
    cookie, *attributes = done.headers["set-cookie"].split("; ")
    assert (done.status, done.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict"} <= set(attributes)
    assert TOKEN not in cookie
    assert client.ask("/", cookie=cookie).status == 200
    assert Client(config).ask("/login").status == 404, "without a token there is nothing to send"


def test_one_address_gets_its_rate_and_then_when_to_come_again(config: Config) -> None:
    client = Client(config, rate={"requests": 3, "seconds": 60}).read()
    assert [client.ask("/status").status for _ in range(4)] == [200, 200, 200, 429]
    got = client.ask("/status")
    assert (got.json["status"], 1 <= int(got.headers["retry-after"]) <= 60) == (429, True)
    assert client.ask("/livez").status == client.ask("/metrics").status == 200


def test_wrong_tokens_are_limited_and_the_right_one_is_always_taken(config: Config) -> None:
    client = Client(config, token=TOKEN).read()
    by_form = [client.ask("/login", "POST", body=b"token=wrong").status for _ in range(6)]
    by_header = [client.ask("/status", authorization="Bearer wrong").status for _ in range(6)]
    assert [*by_form, *by_header] == [401] * 10 + [429] * 2
    assert client.ask("/login", "POST", body=b"token=wrong").headers["retry-after"]
    assert client.ask("/status").status == 401, "to show none is no guess"
    by_cookie = [client.ask("/status", cookie="other=1; adce=0").status for _ in range(12)]
    assert by_cookie == [401] * 10 + [429] * 2, "a cookie is made from the token, so it can be guessed, too"
    assert client.ask("/status", cookie="other=1").status == 401, "one of another service is none"
    assert client.ask("/status", authorization=f"Bearer {TOKEN}").status == 200
    assert client.ask("/login", "POST", body=f"token={TOKEN}".encode()).status == 303


def test_before_the_first_snapshot_it_lives_but_is_not_ready(config: Config) -> None:
    client = Client(config)
    assert client.ask("/livez").status == 200
    assert (client.ask("/readyz").status, client.ask("/status").status) == (503, 503)
    assert client.ask("/health").json["checks"]["ledger"][0]["output"] == "has not been asked yet"
    client.read()
    assert client.ask("/readyz").json["status"] == "pass"


def test_while_the_ledger_is_gone_the_last_answers_stay_and_say_so(
    config: Config, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    file = Path(config.ledger.removeprefix("sqlite:///"))
    before = client.ask("/status").json
    file.rename(file.with_name("gone"))
    for _ in range(2):
        asyncio.run(client.refresh.once())
    got = client.ask("/status")
    assert (got.status, got.headers["adce-away"]) == (200, "ledger")
    assert got.json == before | {"away": ["ledger"]}
    (line,) = [json.loads(JsonLines().format(record)) for record in caplog.records if "away" in record.getMessage()]
    assert line["reason"].startswith("there is no ledger at")
    health = client.ask("/health").json
    assert health["checks"]["ledger"][0]["status"] == "warn"
    assert "ledger.db" not in json.dumps(health)
    assert [record.getMessage() for record in caplog.records if "away" in record.getMessage()] == [
        f"the ledger is away: there is no ledger at sqlite:///{file}: no run has used it so far, or it is lost; the "
        "next run makes one"
    ]
    file.with_name("gone").rename(file)
    asyncio.run(client.refresh.once())
    assert "adce-away" not in client.ask("/status").headers


def test_what_hangs_is_asked_anew_and_holds_up_nothing_else(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "_ANSWERS_WITHIN", 0.01)
    monkeypatch.setattr(refresh, "_HANGS_AFTER", 0.01)
    goes_on = threading.Event()
    found: list[int] = []

    async def ask() -> None:
        for _ in range(3):
            await client.refresh._ask(LEDGER, goes_on.wait)
        assert len(client.refresh._hanging[LEDGER]) == 3
        assert client.refresh.away == [LEDGER]
        monkeypatch.setattr(refresh, "_ANSWERS_WITHIN", 10.0)
        await client.refresh._ask(LEDGER, lambda: 7, found.append)
        goes_on.set()

    asyncio.run(ask())
    assert (found, client.refresh.away) == ([7], [])


def test_a_need_that_fails_is_told_by_its_name(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(Path(config.lake.removeprefix("file://")))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    got = Client(config).read().ask("/health").json
    assert got["checks"]["lake"][0]["output"].startswith("cannot be used; the log")
    assert got["checks"]["Prefect API"][0]["status"] == "warn"
    assert got["status"] == "warn"
    assert "127.0.0.1:1" not in json.dumps(got)


def test_everything_is_written_to_a_folder_for_a_static_host(config: Config, tmp_path: Path) -> None:
    said = write_once(config.model_copy(update={"serve": Serve(token=TOKEN)}), tmp_path / "static")
    names = {file.relative_to(tmp_path / "static").as_posix() for file in (tmp_path / "static").rglob("*.*")}
    assert {"index.html", "status.json", "tasks.json", "rate-limits.json", "health.json", "metrics.txt"} <= names
    assert said.endswith(f"written to {tmp_path / 'static'}")
    told = Path(serve.__file__).with_name("README.md").read_text().partition("## As files")[2]
    assert [name for name in names if "/" not in name and f"`{name}`" not in told and name[0] != "."] == []
    assert json.loads((tmp_path / "static/status.json").read_text())["away"] == []
    assert TOKEN not in "".join(file.read_text() for file in (tmp_path / "static").rglob("*.*"))
    assert 'href="status.json"' in (tmp_path / "static/index.html").read_text()
    badges = {file.stem for file in (tmp_path / "static/badge").iterdir()}
    assert badges == collected(config).first_seasons.keys()
    less = config.model_copy(update={"collect": Collect(datasets=["espn_scoreboard"])})
    write_once(less, tmp_path / "static")
    assert [file.stem for file in (tmp_path / "static/badge").iterdir()] == ["espn_scoreboard"], (
        "others are not collected"
    )
    (tmp_path / "static/own.json").touch()
    os.remove(config.ledger.removeprefix("sqlite:///"))
    with pytest.raises(AdceError, match="ledger cannot be read"):
        write_once(config, tmp_path / "static")
    left = {file.relative_to(tmp_path / "static").as_posix() for file in (tmp_path / "static").rglob("[!.]*.*")}
    written = {"health.json", "index.html", "openapi.json", "assets/icon.svg"}
    assert left == written | {"own.json"}, "nothing that is not true any longer"
    assert json.loads((tmp_path / "static/health.json").read_text())["status"] == "fail"


def test_an_error_names_what_cannot_be_written(config: Config, tmp_path: Path) -> None:
    (tmp_path / "static").touch()
    with pytest.raises(AdceError, match=f"^{tmp_path / 'static'}: this is a file, and has to be a folder$"):
        write_once(config, tmp_path / "static")
    (tmp_path / "other/status.json").mkdir(parents=True)
    with pytest.raises(AdceError, match=f"^{tmp_path / 'other/status.json'}: cannot be written: Is a directory$"):
        write_once(config, tmp_path / "other")
    assert not list((tmp_path / "other").rglob("*.part"))


def test_an_answer_that_fails_is_a_problem_document_and_one_line_in_the_log(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    def no_clock() -> datetime:
        raise ArithmeticError("no clock")

    client = Client(config)
    client.service = Service(client.config, client.refresh, no_clock)
    for got in (client.ask("/health"), client.ask("/health", "HEAD")):
        assert (got.status, got.headers["content-type"]) == (500, "application/problem+json")
    assert client.ask("/health").json["detail"] == "this answer has failed; the log of adce serve says why"
    assert caplog.messages == ["the answer at '/health' has failed: ArithmeticError: no clock"]
    assert client.ask("/livez").status == 200


def test_the_description_has_each_status_with_which_a_request_can_be_refused(client: Client) -> None:
    paths = client.ask("/openapi.json").json["paths"]
    for operations in paths.values():
        for method in ("get", "head"):
            assert {"400", "405", "411", "413", "429", "431", "500", "503"} <= operations[method]["responses"].keys()
    assert "421" in paths["/status"]["get"]["responses"]

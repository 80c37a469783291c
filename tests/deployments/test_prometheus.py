"""Does a real Prometheus take ADCE's metrics, rules and queries?"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from config.models import Priority
from deployments.grafana.for_prometheus import expressions
from deployments.grafana.made import ALERTS, FOLDER, RULES
from deployments.grafana.rules import ALL_COMPLETE, COMPLETE, REFUSED, SUCCESS, quantiles_of, rules
from tasks.domain.assess.recorded import RecordedLook
from tasks.domain.assess.states import Kind as GapKind
from tasks.domain.assess.states import State
from tasks.domain.incidents import Fact, Kind
from tasks.domain.metrics import (
    CATALOGUE,
    CELLS,
    COMPLETE_UNTIL,
    CRITICAL_FILES,
    CRITICAL_OLDEST,
    DEFERRED,
    FAILURES,
    FILE_SECONDS,
    FILES,
    GAPS,
    LAKE_BYTES,
    LAKE_FILES,
    LOST_FILES,
    OLDEST,
    QUEUE,
    REFUSALS,
    REQUESTS,
    UNKNOWN,
    UNREAD,
    UNREADABLE_FILES,
    Amounts,
    Counter,
    Histogram,
    series_of,
)
from tasks.domain.outcomes import RunEnd
from tasks.domain.reasons import Limit
from tasks.ledger import Ledger
from tasks.ledger.leases import Leases
from tasks.ledger.plans import RUN
from tasks.publish.evaluation import evaluate
from tasks.show.exposition import text
from tests.builders import a_config, every_series
from tests.servers import free_port

pytestmark = [
    pytest.mark.xdist_group("prometheus"),  # one start for all
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("promtool")),
        reason="Prometheus is not installed (Debian: prometheus)",
    ),
]
TOKEN = "0123456789abcdef"
_PATIENCE = 60.0


class TextOnly(BaseHTTPRequestHandler):
    """The service's metrics in the text format, also for a Prometheus that asks for OpenMetrics."""

    service: str

    def do_GET(self) -> None:
        response = httpx.get(
            f"http://{self.service}{self.path}",
            headers={"Authorization": self.headers["Authorization"], "Accept": "text/plain"},
            trust_env=False,
            verify=False,
        )
        self.send_response(response.status_code)
        self.send_header("Content-Type", response.headers["Content-Type"])
        self.end_headers()
        self.wfile.write(response.content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """The ledger of a system at work: a look is recorded, a reconcile has ended, and events are watched."""
    folder = tmp_path_factory.mktemp("ledger")
    with closing(Ledger(f"sqlite:///{folder / 'adce.db'}")) as ledger:
        now = datetime.now(UTC)
        ledger.looks.record(_a_look(now, folder.as_uri()), is_done=True)
        run = Leases(ledger.database, "run", timedelta(minutes=1))
        run.begin("reconcile", "everything", None, lambda why: None)
        ledger.plans.keep(RUN, {}, now, "run", cycle=1.0)
        run.end(RunEnd.ENDED)
        ledger.announcements.progressed(now, read_to=now, returned=now)
        evaluate(a_config(), ledger, now, [Fact(Kind.SERVERS, "", 1)])  # opens an incident
        yield ledger


def _a_look(now: datetime, lake: str) -> RecordedLook:
    """Of each dataset, a file is there and one is missing."""
    gauges, config = {}, a_config()
    for name, dataset in config.datasets.items():
        both = {"source": dataset.source, "dataset": name}
        gauges |= {series_of(CELLS, **both, state=state): 1.0 for state in (State.PRESENT, State.GAP)}
        gauges |= {series_of(GAPS, **both, kind=GapKind.MISSING): 1.0, series_of(LAKE_FILES, **both): 1.0}
        gauges |= {series_of(LOST_FILES, **both): 1.0, series_of(UNREADABLE_FILES, **both): 1.0}
        gauges |= {series_of(LAKE_BYTES, **both): 9.0, series_of(UNKNOWN, dataset=name): 1.0}
        gauges |= {series_of(COMPLETE_UNTIL, dataset=name): now.timestamp()}
        gauges |= {series_of(CRITICAL_FILES, **both): 1.0, series_of(CRITICAL_OLDEST, **both): now.timestamp()}
    for priority in Priority:
        gauges |= {series_of(QUEUE, priority=priority): 1.0, series_of(OLDEST, priority=priority): now.timestamp()}
    gauges |= {series_of(DEFERRED, source="espn", limit=Limit.BACKOFF): 1.0, series_of(UNREAD): 1.0}
    return RecordedLook(now, now, None, "run", lake, 1, 1, 1, {}, {}, (), {}, gauges)


def _work(ledger: Ledger) -> None:
    """Adds to every counter and every histogram. Of three files more, the source has two."""
    config, amounts = a_config(), Amounts()
    for metric in CATALOGUE:
        labels = {label.name: label.values_in(config)[0] for label in metric.labels}
        match metric:
            case Counter():
                amounts.count(metric, 3 if metric is FILES else 1, **labels)
            case Histogram():
                amounts.observe(metric, 1.0, **labels)
    ledger.database.write(lambda connection: ledger.totals.add(connection, amounts))


@pytest.fixture(scope="module")
def service(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `adce serve`: host:port."""
    folder = tmp_path_factory.mktemp("service")
    address = f"127.0.0.1:{free_port()}"
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ADCE_", "PREFECT_"))}
    look = ledger.looks.last()
    assert look
    places = {"ADCE_CONFIG": "", "ADCE_LAKE": look.lake, "ADCE_LEDGER": str(ledger.database.url)}
    given = {"ADCE_SERVE__TOKEN": TOKEN, "ADCE_SERVE__REFRESH": "1s", "PREFECT_PROFILES_PATH": str(folder / "none")}
    command = [Path(sys.executable).with_name("adce"), "serve", "--port", address.rpartition(":")[2]]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=own | places | given, stdout=log, stderr=log)
    try:
        yield address
    finally:
        process.kill()
        process.wait(30)
        print((folder / "log").read_text())


@pytest.fixture(scope="module")
def text_only(service: str) -> Iterator[str]:
    """The address of a server that has the metrics in the text format only: host:port."""
    handler = type("Handler", (TextOnly,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def prometheus(
    ledger: Ledger, service: str, text_only: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a Prometheus that has the example configuration and the rules, and scrapes each second."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((FOLDER / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [service]}]
    config["scrape_configs"].append({**job, "job_name": "text", "static_configs": [{"targets": [text_only]}]})
    del config["alerting"]  # there is no Alertmanager
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "adce-token").write_text(TOKEN)
    for path in (RULES, ALERTS):
        rules_file = yaml.safe_load((FOLDER / path).read_text())
        for group in rules_file["groups"]:
            group["interval"] = "1s"
        (folder / Path(path).name).write_text(yaml.safe_dump(rules_file))
    address = f"127.0.0.1:{free_port()}"
    options = [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}", "--log.level=warn"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}", *options], stdout=log, stderr=log
        )
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False, verify=False) as client:
            _work_until_recorded(ledger, client, process, folder / "log")
            yield client
    finally:
        process.kill()
        process.wait(30)


def _work_until_recorded(ledger: Ledger, client: httpx.Client, process: subprocess.Popen, log: Path) -> None:
    """Works until every rule has a value, for which most need two scrapes, of both ways of scraping."""
    end = time.monotonic() + _PATIENCE
    records = {rule.record for rule in rules()}
    recorded = 'count by (__name__) (count by (__name__, job) ({__name__=~".+:.+"})) == 2'
    while time.monotonic() < end and process.poll() is None:
        _work(ledger)
        try:
            if len(ask(client, recorded)) == len(records):
                return
        except httpx.HTTPError:  # it is not ready
            pass
        time.sleep(0.2)
    raise RuntimeError(f"Prometheus has no answers: {log.read_text()}")


def ask(client: httpx.Client, query: str) -> list[dict[str, Any]]:
    """The series that Prometheus answers."""
    response = client.post("/api/v1/query", data={"query": query})
    if response.status_code == httpx.codes.BAD_REQUEST:
        pytest.fail(response.text)
    return response.raise_for_status().json()["data"]["result"]


def promtool(*arguments: str | Path, given: bytes = b"") -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], input=given, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert not done.stderr, done.stderr.decode()


def test_the_metrics_are_as_prometheus_recommends() -> None:
    promtool("check", "metrics", given=text(every_series(a_config())))


def test_the_example_configuration_and_the_rules_are_valid(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER / "prometheus", tmp_path / "prometheus")
    (folder / "adce-token").write_text(TOKEN)
    promtool("check", "config", folder / "prometheus.yml")


def test_every_query_of_the_dashboard_has_an_answer(prometheus: httpx.Client) -> None:
    document = json.loads((FOLDER / "dashboards/adce-prometheus.json").read_text())
    queries = [_filled_in(query) for query in expressions(document)]
    assert len(queries) > 50
    assert [query for query in queries if not ask(prometheus, query)] == []


def _filled_in(query: str) -> str:
    """The query with all instances, sources and datasets chosen."""
    for name, value in {
        "instance": ".+",
        "source": ".+",
        "dataset": ".+",
        "__rate_interval": "1m",
        "__range": "1h",
    }.items():
        query = query.replace(f"${name}", value)
    assert "$" not in query
    return query


def test_both_formats_say_the_same(prometheus: httpx.Client) -> None:
    metrics = '{__name__=~"adce_.+"}'
    counts = {row["metric"]["job"]: row["value"][1] for row in ask(prometheus, f"count by (job) ({metrics})")}
    assert counts["adce"] == counts["text"]
    assert int(counts["adce"]) > 1700


def test_the_rules_compute_what_they_say(tmp_path: Path) -> None:
    """A sample a minute. The dataset `a` succeeds three times of four and lacks one more at its source,
    `b` never succeeds, and `c` is not tried."""
    same = '{job="adce", instance="i"'
    a, b, c = (f'{same}, source="espn", dataset="{name}"' for name in "abc")
    bucket = f"{FILE_SECONDS.name}_bucket{same}"
    series = {
        f'{FILES.name}{a}, outcome="stored"}}': "0+2x20",
        f'{FILES.name}{a}, outcome="kept"}}': "0+1x20",
        f'{FILES.name}{a}, outcome="failed"}}': "0+2x20",
        f'{FILES.name}{a}, outcome="deferred"}}': "0+9x20",
        f'{FILES.name}{b}, outcome="failed"}}': "0+1x20",
        f'{FAILURES.name}{a}, failure="broken"}}': "0+1x20",
        f'{FAILURES.name}{a}, failure="absent"}}': "0+1x20",
        f'{FAILURES.name}{b}, failure="refused"}}': "0+1x20",
        f'{FAILURES.name}{b}, failure="unfinished"}}': "0x20",
        f'{FAILURES.name}{c}, failure="absent"}}': "0x20",
        f'{FILES.name}{c}, outcome="stored"}}': "5x20",
        f'{CELLS.name}{a}, state="present"}}': "90x20",
        f'{CELLS.name}{a}, state="unavailable"}}': "5x20",
        f'{CELLS.name}{a}, state="gap"}}': "5x20",
        f'{CELLS.name}{a}, state="not_due"}}': "100x20",
        f'{CELLS.name}{b}, state="gap"}}': "25x20",
        f'{CELLS.name}{c}, state="not_due"}}': "7x20",
        f"{REQUESTS.name}{a}}}": "0+30x20",
        f"{REQUESTS.name}{b}}}": "0+10x20",
        f'{REFUSALS.name}{same}, source="espn"}}': "0+2x20",
        # For `a`, all durations are between 0.5 and 1 s; for `b`, as many are between 1 and 2.5 s.
        f'{bucket}, dataset="a", le="0.5"}}': "0x20",
        f'{bucket}, dataset="a", le="1.0"}}': "0+10x20",
        f'{bucket}, dataset="a", le="2.5"}}': "0+10x20",
        f'{bucket}, dataset="a", le="+Inf"}}': "0+10x20",
        f'{bucket}, dataset="b", le="0.5"}}': "0x20",
        f'{bucket}, dataset="b", le="1.0"}}': "0x20",
        f'{bucket}, dataset="b", le="2.5"}}': "0+10x20",
        f'{bucket}, dataset="b", le="+Inf"}}': "0+10x20",
        f'{bucket}, dataset="c", le="+Inf"}}': "0x20",
    }
    by_dataset = quantiles_of(FILE_SECONDS, by_labels=True)
    overall = quantiles_of(FILE_SECONDS, by_labels=False)
    expected = {
        SUCCESS: {a: 0.75, b: 0.0},
        COMPLETE: {a: 0.95, b: 0.0},
        ALL_COMPLETE: {same: 95 / 125},
        REFUSED: {f'{same}, source="espn"': 0.05},
        f'{by_dataset}{{quantile="0.95"}}': {f'{same}, dataset="a"': 0.975, f'{same}, dataset="b"': 2.425},
        f'{overall}{{quantile="0.5"}}': {same: 1.0},
        f'{overall}{{quantile="0.99"}}': {same: 2.47},
    }
    test = {
        "rule_files": [str(FOLDER / RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"round({query}, 0.0001)",
                        "eval_time": "20m",
                        "exp_samples": [
                            {"labels": f"{labels}{_quantile(query)}}}", "value": value} for labels, value in of.items()
                        ],
                    }
                    for query, of in expected.items()
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    promtool("test", "rules", tmp_path / "test.yml")


def _quantile(query: str) -> str:
    """The label that a series of quantiles has besides the others."""
    _, _, matcher = query.rstrip("}").partition("{")
    return f", {matcher}" if matcher else ""

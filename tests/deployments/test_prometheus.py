"""Does a real Prometheus take ADCE's metrics, rules and queries?"""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deployments.grafana.for_prometheus import expressions
from deployments.grafana.made import FOLDER, RULES
from deployments.grafana.rules import ALL_COMPLETE, COMPLETE, REFUSED, SUCCESS, quantiles_of, rules
from tasks.domain.metrics import CELLS, FAILURES, FILE_SECONDS, FILES, REFUSALS, REQUESTS, Counter, Measured
from tasks.show.exposition import OPEN_METRICS, TEXT, open_metrics, text
from tests.builders import a_config, every_series
from tests.servers import free_port

pytestmark = [
    pytest.mark.xdist_group("prometheus"),  # one start for all
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("promtool")),
        reason="Prometheus is not installed (Debian: prometheus)",
    ),
]
TOKEN = "secret of a test"
_PATIENCE = 60.0


class Metrics(BaseHTTPRequestHandler):
    """ADCE's metrics; under /text in the text format only. From one scrape to the next all but gauges grow."""

    scrapes = 0

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.send_error(401)
            return
        Metrics.scrapes += 1
        is_open = self.path != "/text" and "application/openmetrics-text" in self.headers["Accept"]
        self.send_response(200)
        self.send_header("Content-Type", OPEN_METRICS if is_open else TEXT)
        self.end_headers()
        self.wfile.write((open_metrics if is_open else text)(_grown(Metrics.scrapes)))

    def log_message(self, *_: Any) -> None:
        pass


def _grown(times: int) -> Measured:
    measured = every_series(a_config())
    return Measured(
        measured.at,
        {
            metric: dict.fromkeys(of, float(times) if isinstance(metric, Counter) else 1.0)
            for metric, of in measured.values.items()
        },
        {
            histogram: {
                labels: found._replace(counts=tuple(value * times for value in found.counts), sum=found.sum * times)
                for labels, found in of.items()
            }
            for histogram, of in measured.distributions.items()
        },
    )


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """The address of a server of metrics: host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def prometheus(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a Prometheus with the example configuration and the rules, which works without the long pauses."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((FOLDER / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    config["scrape_configs"].append({**job, "job_name": "text", "metrics_path": "/text"})
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "adce-token").write_text(TOKEN)
    rules_file = yaml.safe_load((FOLDER / RULES).read_text())
    for group in rules_file["groups"]:
        group["interval"] = "1s"
    (folder / Path(RULES).name).write_text(yaml.safe_dump(rules_file))
    address = f"127.0.0.1:{free_port()}"
    options = [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}", "--log.level=warn"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}", *options], stdout=log, stderr=log
        )
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False, verify=False) as client:
            _wait_until_recorded(client, process, folder / "log")
            yield client
    finally:
        process.kill()
        process.wait(30)


def _wait_until_recorded(client: httpx.Client, process: subprocess.Popen, log: Path) -> None:
    """Waits until every rule has a value, for which most need two scrapes, of both ways of scraping."""
    end = time.monotonic() + _PATIENCE
    records = {rule.record for rule in rules()}
    recorded = 'count by (__name__) (count by (__name__, job) ({__name__=~".+:.+"})) == 2'
    while time.monotonic() < end and process.poll() is None:
        try:
            if len(ask(client, recorded)) == len(records):
                return
        except httpx.HTTPError:  # it is not ready
            pass
        time.sleep(0.1)
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

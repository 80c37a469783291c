"""Which fields does a line of the log have where it is written as JSON?"""

import json
import logging
from typing import Any

from flows.log_format import RunLines
from tasks.domain.reasons import Limit
from tasks.log_lines import JsonLines, about

ABOUT = about(
    source="espn", dataset="espn_summary", key="a.json", limit=Limit.BACKOFF, reason="http://me:hunter2-Zq8x@h: 403"
)


def a_record(**attributes: Any) -> logging.LogRecord:
    record = {"name": "tasks.run.fill", "levelno": logging.WARNING, "levelname": "WARNING", "msg": "%s\nis paused"}
    return logging.makeLogRecord(record | {"args": ("espn",), "created": 1.5} | attributes)


def test_a_line_has_what_it_is_about_as_fields_and_no_secrets() -> None:
    assert json.loads(JsonLines().format(a_record(**ABOUT))) == {
        "at": "1970-01-01T00:00:01.500+00:00",
        "level": "warning",
        "event": "log",
        "message": "espn is paused",
        "logger": "tasks.run.fill",
        "source": "espn",
        "dataset": "espn_summary",
        "key": "a.json",
        "limit": "backoff",
        "reason": "http://***@h: 403",
    }


def test_what_is_not_known_is_no_field() -> None:
    assert about(key="a.json", source=None, reason=None) == {"about": {"key": "a.json"}}
    assert "key" not in json.loads(JsonLines().format(a_record()))


def test_a_line_of_a_run_names_its_flow_run_if_there_is_one() -> None:
    within = json.loads(RunLines("default", None, "%").format(a_record(flow_run_id="0a1b", flow_run_name="reconcile")))
    assert (within["run_name"], within["flow_run"]) == ("reconcile", "0a1b")
    assert not {"run", "run_name", "flow_run"} & json.loads(RunLines().format(a_record())).keys()

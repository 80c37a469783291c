"""Which runs of ADCE does a Prefect server know, and what did their logs warn of?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from deployments.setup.adhoc import api_of
from tasks.answers.runs import PastRun
from tasks.domain.errors import AdceError
from tasks.domain.wording import one_line

_OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_AT_WORK = {"RUNNING", "CANCELLING"}
_PAGE = 200  # the most that Prefect returns
_WARNING = 30  # level of log records


async def runs_of(server: str, flows: Collection[str], since: datetime, until: datetime, most: int) -> list[PastRun]:
    """The last runs of these flows that were due in a span of time. Raises AdceError if the server does not answer."""
    due = {"after_": since.isoformat(), "before_": until.isoformat()}
    wanted = {
        "flows": {"name": {"any_": list(flows)}},
        "flow_runs": {"expected_start_time": due},
        "sort": "EXPECTED_START_TIME_DESC",
        "limit": min(most, _PAGE),
    }
    found = await _asked(server, "/flow_runs/filter", wanted)
    named = await _asked(server, "/flows/filter", {"flows": {"name": {"any_": list(flows)}}})
    names = {flow["id"]: flow["name"] for flow in named}
    return [_run(one, names.get(one["flow_id"], "?")) for one in found]


async def warnings_of(server: str, flow_run: str) -> list[str]:
    """The warnings and errors in the log of a run. Raises AdceError if the server does not answer."""
    wanted = {"logs": {"flow_run_id": {"any_": [flow_run]}, "level": {"ge_": _WARNING}}, "sort": "TIMESTAMP_ASC"}
    return [one_line(record["message"]) for record in await _asked(server, "/logs/filter", wanted)]


async def _asked(server: str, path: str, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        async with api_of(server) as api:
            found: list[dict[str, Any]] = (await api.post(path, json=wanted)).raise_for_status().json()
            return found
    except (httpx.HTTPError, ValueError) as error:
        raise AdceError(f"no proper answer ({type(error).__name__}) from the Prefect server {server}") from None


def _run(found: Mapping[str, Any], flow: str) -> PastRun:
    state = found["state"] or {"type": "PENDING", "name": "Pending", "message": ""}
    return PastRun(
        None,
        found["id"],
        f"{flow} {found['name']}",
        state["name"],
        _time(found["start_time"]) or _time(found["expected_start_time"]) or datetime.now(UTC),
        _time(found["end_time"]) if state["type"] in _OVER else None,
        one_line(state["message"] or ""),
        None,
        state["type"] in _AT_WORK,
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None

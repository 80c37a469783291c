"""What does Prefect know that `adce up` may have to tell? Asks the Prefect API, with queries of a bounded size.

SQLite and PostgreSQL sort empty times differently, so every query sorts by a time that its filter requires.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deployments.prefect_api.client import PrefectApi
from deployments.prefect_api.pauses import PrefectPause, known, pauses
from deployments.prefect_api.workers import online_workers
from deployments.setup.prefect_yaml import Deployment
from deployments.up.announcer import FILL, FINAL, RECONCILE, Record, Run, Snapshot
from deployments.up.lines import without_traceback

_WATCHED = [RECONCILE, FILL]  # flows whose runs are told of
_LOGGED = [RECONCILE, FILL, "scraper", "scrape"]  # flows whose warnings are told of
_OPEN = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED"]
_MARGIN = timedelta(minutes=5)  # for clocks that differ, and log lines that arrive late
_PAGE = 200  # the most that Prefect returns
_MOST_PAGES = 50
_WARNING = 30  # level of log records
_OF_THE_STATE = (  # how records begin that say what a state says, too: of the flows, and of Prefect
    "Incomplete: ",
    "Failed: ",
    "Cancelled: ",
    "Finished in state",
    "Validation of flow parameters failed",
    "Encountered exception during execution",
    "Flow could not be retrieved",
    "Crash detected!",
)
_POOL_EVERY = timedelta(seconds=10)

Json = Mapping[str, Any]


@dataclass(frozen=True)
class _Pool:
    """What is asked for less often, as of a time."""

    at: datetime
    pauses: Sequence[PrefectPause]
    next_due: datetime | None
    workers: int


class PrefectPoller:
    """Asks again and again for the runs of a work pool, their logs and what they depend on."""

    def __init__(self, api: httpx.AsyncClient, pool: str, deployments: Sequence[Deployment], since: datetime):
        self._api = api
        self._pool_name = pool
        self._deployments = deployments
        self._since = since  # the last poll
        self._open: set[str] = set()  # runs that had not ended then
        self._runs: dict[str, Run] = {}  # by the ids that log records name
        self._flows: dict[str, str] = {}
        self._pool: _Pool | None = None

    async def poll(self, at: datetime) -> Snapshot:
        """What Prefect knows now. Raises httpx.HTTPError and PrefectApiError."""
        since = self._since - _MARGIN
        found = {run.id: run for run in await self._runs_of(_WATCHED, _open_before(at))}
        ended = await self._runs_of(
            _WATCHED, {"state": {"type": {"any_": FINAL}}, "expected_start_time": {"after_": since.isoformat()}}
        )
        ended += await self._by_id(_WATCHED, self._open - found.keys())
        is_open = set(found)
        found |= {run.id: run for run in ended}
        records = await self._records(since)
        if self._pool is None or at - self._pool.at >= _POOL_EVERY:
            self._pool = await self._poll_pool(at)
        self._since, self._open = at, is_open
        runs = sorted(found.values(), key=lambda run: run.since)
        return Snapshot(at, runs, records, self._pool.pauses, self._pool.next_due, self._pool.workers)

    async def _poll_pool(self, at: datetime) -> _Pool:
        due = await self._runs_of([RECONCILE], _scheduled_after(at), most=1)
        have = await known(PrefectApi(self._api), [self._pool_name])
        # there is no pool if somebody has deleted it
        workers = sum([await online_workers(PrefectApi(self._api), pool.name) for pool in have.pools])
        return _Pool(at, pauses(have, self._deployments), due[0].due if due else None, workers)

    async def _records(self, since: datetime) -> list[Record]:
        wanted = {"logs": {"level": {"ge_": _WARNING}, "timestamp": {"after_": since.isoformat()}}}
        found = [
            one for one in await self._filtered("/logs/filter", wanted, sort="TIMESTAMP_ASC") if one["flow_run_id"]
        ]
        of = {one["flow_run_id"] for one in found}
        self._runs = {id: run for id, run in self._runs.items() if id in of}
        self._runs |= {run.id: run for run in await self._by_id(_LOGGED, of - self._runs.keys())}
        return [
            Record(one["id"], run, one["level"], without_traceback(one["message"]), one["name"])
            for one in found
            if (run := self._runs.get(one["flow_run_id"])) and not _repeats_the_state(one, run)
        ]

    async def _by_id(self, flows: Sequence[str], ids: Iterable[str]) -> list[Run]:
        chosen = sorted(ids)
        parts = [chosen[start : start + _PAGE] for start in range(0, len(chosen), _PAGE)]
        return [run for part in parts for run in await self._runs_of(flows, {"id": {"any_": part}})]

    async def _runs_of(self, flows: Sequence[str], flow_runs: Json, most: int | None = None) -> list[Run]:
        wanted = {"flows": {"name": {"any_": flows}}, "flow_runs": flow_runs}
        found = await self._filtered("/flow_runs/filter", wanted, sort="EXPECTED_START_TIME_ASC", most=most)
        if unknown := {one["flow_id"] for one in found} - self._flows.keys():
            named = await self._filtered("/flows/filter", {"flows": {"id": {"any_": sorted(unknown)}}})
            self._flows |= {flow["id"]: flow["name"] for flow in named}
        return [_run(one, self._flows[one["flow_id"]]) for one in found]

    async def _filtered(
        self, path: str, wanted: Json, *, sort: str | None = None, most: int | None = None
    ) -> list[dict[str, Any]]:
        """All objects that a filter of the API finds, page by page."""
        found: list[dict[str, Any]] = []
        for page in range(_MOST_PAGES):
            body = {**wanted, "limit": most or _PAGE, "offset": page * _PAGE} | ({"sort": sort} if sort else {})
            some = (await self._api.post(path, json=body)).raise_for_status().json()
            found += some
            if most or len(some) < _PAGE:
                break
        return found


def _open_before(at: datetime) -> Json:
    return {"state": {"type": {"any_": _OPEN}}, "expected_start_time": {"before_": at.isoformat()}}


def _scheduled_after(at: datetime) -> Json:
    return {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": {"after_": at.isoformat()}}


def _run(found: Json, flow: str) -> Run:
    state = found["state"]
    return Run(
        id=found["id"],
        flow=flow,
        name=found["name"],
        type=state["type"],
        state=state["name"],
        message=without_traceback(state["message"] or ""),
        since=datetime.fromisoformat(state["timestamp"]),
        due=_time(found["expected_start_time"]),
        began=_time(found["start_time"]),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def _repeats_the_state(record: Json, run: Run) -> bool:
    """Does a log record only say how a run or a task has ended? The state of the run says that, too.

    The run's own logger repeats the state of a run that is told of, and Prefect those of its tasks.
    """
    if record["name"] == "prefect.flow_runs" and run.flow in _WATCHED:
        return True
    return record["name"] in ("prefect.flow_runs", "prefect.task_runs") and record["message"].startswith(_OF_THE_STATE)

"""What does Prefect know that `adce up` may have to tell? Asks the Prefect API, with queries of a bounded size.

SQLite and PostgreSQL sort empty times differently, so every query sorts by a time that its filter requires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deployments.prefect_api.client import PrefectApi
from deployments.prefect_api.flow_runs import FlowRun, FlowRuns, LogRecord, due, in_states
from deployments.prefect_api.pauses import PrefectPause, known, pauses
from deployments.prefect_api.workers import online_workers
from deployments.prefect_yaml import Deployment
from deployments.up.announcer import Snapshot
from tasks.domain.flow_names import DEPLOYED, FLOWS, RECONCILE
from tasks.domain.flow_states import FINAL, OPEN

_MARGIN = timedelta(minutes=5)  # for clocks that differ, and log lines that arrive late
_OF_THE_STATE = (  # beginnings of log records that only repeat a run's state
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


@dataclass(frozen=True)
class _Pool:
    """What is asked for less often, as of a time."""

    at: datetime
    pauses: Sequence[PrefectPause]
    next_due: datetime | None
    workers: int


class PrefectPoller:
    """Asks again and again for the runs of a work pool, their logs and what they depend on."""

    def __init__(self, api: PrefectApi, pool: str, deployments: Sequence[Deployment], since: datetime):
        self._api = api
        self._flow_runs = FlowRuns(api)
        self._pool_name = pool
        self._deployments = deployments
        self._since = since  # the last poll
        self._open: set[str] = set()  # runs that had not ended then
        self._logged: dict[str, FlowRun] = {}  # by the ids that log records name
        self._pool: _Pool | None = None

    async def poll(self, at: datetime) -> Snapshot:
        """What Prefect knows now. Raises PrefectApiError."""
        since = self._since - _MARGIN
        found = {run.id: run for run in await self._flow_runs.find(DEPLOYED, in_states(*OPEN) | due(before=at))}
        ended = await self._flow_runs.find(DEPLOYED, in_states(*FINAL) | due(after=since))
        ended += await self._flow_runs.by_ids(DEPLOYED, self._open - found.keys())
        is_open = set(found)
        found |= {run.id: run for run in ended}
        records = await self._records(since)
        if self._pool is None or at - self._pool.at >= _POOL_EVERY:
            self._pool = await self._poll_pool(at)
        self._since, self._open = at, is_open
        runs = sorted(found.values(), key=lambda run: run.since)
        return Snapshot(at, runs, records, self._pool.pauses, self._pool.next_due, self._pool.workers)

    async def _poll_pool(self, at: datetime) -> _Pool:
        scheduled = await self._flow_runs.find([RECONCILE], in_states("SCHEDULED") | due(after=at), most=1)
        have = await known(self._api, [self._pool_name])
        # there is no pool if somebody has deleted it
        workers = sum([await online_workers(self._api, pool.name) for pool in have.pools])
        return _Pool(at, pauses(have, self._deployments), scheduled[0].due if scheduled else None, workers)

    async def _records(self, since: datetime) -> list[tuple[FlowRun, LogRecord]]:
        found = await self._flow_runs.warnings({"timestamp": {"after_": since.isoformat()}})
        of = {record.flow_run for record in found}
        self._logged = {id: run for id, run in self._logged.items() if id in of}
        self._logged |= {run.id: run for run in await self._flow_runs.by_ids(FLOWS, of - self._logged.keys())}
        return [
            (run, record)
            for record in found
            if (run := self._logged.get(record.flow_run)) and not _repeats_the_state(record, run)
        ]


def _repeats_the_state(record: LogRecord, run: FlowRun) -> bool:
    """Does a log record only say how a run or a task has ended? The state of the run says that, too.

    The run's own logger repeats the state of a run that is told of, and Prefect those of its tasks.
    """
    if record.logger == "prefect.flow_runs" and run.flow in DEPLOYED:
        return True
    return record.logger in ("prefect.flow_runs", "prefect.task_runs") and record.message.startswith(_OF_THE_STATE)

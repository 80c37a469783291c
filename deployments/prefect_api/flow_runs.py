"""Which flow runs does a Prefect server know, in which states, and what do their logs warn of?"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel

from deployments.prefect_api.client import MOST, PAGE, Json, PrefectApi
from tasks.domain.flow_names import DEPLOYED, name_of_run
from tasks.domain.flow_states import AT_WORK, FINAL
from tasks.domain.wording import without_traceback

WARNING = 30  # a level of log records
_MADE_UP = re.compile("[a-z]+-[a-z]+")  # the names that Prefect gives, such as "quick-cat"


@dataclass(frozen=True, slots=True)
class FlowRun:
    """A flow run as Prefect knows it."""

    id: str
    flow: str
    name: str
    type: str  # of its state
    state: str  # the name of its state
    message: str
    since: datetime  # when it entered the state
    due: datetime | None
    began: datetime | None
    ended: datetime | None = None

    @property
    def is_final(self) -> bool:
        return self.type in FINAL

    @property
    def is_at_work(self) -> bool:
        return self.type in AT_WORK

    @property
    def full_name(self) -> str:
        return f"{self.flow} {self.name}"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A line in the log of a flow run."""

    id: str
    flow_run: str
    level: int
    message: str  # in one line; of a traceback only the error
    logger: str


class FlowRuns:
    """The flow runs of one server. Each method raises PrefectApiError."""

    def __init__(self, api: PrefectApi):
        self._api = api
        self._flows: dict[str, str] = {}  # names by ids

    async def find(
        self, flows: Collection[str], wanted: Json, *, last_first: bool = False, most: int = MOST
    ) -> list[FlowRun]:
        """The runs of some flows that a filter of flow runs finds, in the order of the times at which they were due.

        SQLite and PostgreSQL sort empty times differently, so the filter should require that time.
        """
        sort = f"EXPECTED_START_TIME_{'DESC' if last_first else 'ASC'}"
        body = {"flows": {"name": {"any_": list(flows)}}, "flow_runs": wanted, "sort": sort}
        return await self._named(await self._api.all("/flow_runs/filter", body, _FlowRun, most))

    async def by_ids(self, flows: Collection[str], ids: Iterable[str]) -> list[FlowRun]:
        """The runs with these ids, without those of other flows."""
        chosen = sorted(ids)
        parts = [chosen[start : start + PAGE] for start in range(0, len(chosen), PAGE)]
        return [run for part in parts for run in await self.find(flows, {"id": {"any_": part}})]

    async def get(self, id: str) -> FlowRun:
        """The run with this id."""
        return await self._one(await self._api.get(f"/flow_runs/{id}", _FlowRun))

    async def create(
        self, deployment: str, name: str | None = None, parameters: Json | None = None, *, key: str
    ) -> FlowRun:
        """Starts a run of the deployment with this id, or finds the run that was started with the same `key`.

        Without a `name`, Prefect makes one.
        """
        body = {"parameters": parameters or {}, "tags": ["adce"], "idempotency_key": key}
        body |= {"name": name} if name else {}
        path = f"/deployments/{deployment}/create_flow_run"
        return await self._one(await self._api.post(path, body | {"state": {"type": "SCHEDULED"}}, _FlowRun))

    async def warnings(self, wanted: Json, most: int = MOST) -> list[LogRecord]:
        """The last warnings and errors that a filter of log records finds, in the order of their times."""
        body = {"logs": {**wanted, "level": {"ge_": WARNING}}, "sort": "TIMESTAMP_DESC"}
        found = await self._api.all("/logs/filter", body, _LogRecord, most)
        return [
            LogRecord(one.id, one.flow_run_id, one.level, without_traceback(one.message), one.name)
            for one in reversed(found)
            if one.flow_run_id
        ]

    async def _one(self, found: _FlowRun) -> FlowRun:
        [run] = await self._named([found])
        return run

    async def _named(self, found: Collection[_FlowRun]) -> list[FlowRun]:
        """The runs with the names of their flows. A flow that is deleted meanwhile has the name "?"."""
        if unknown := {one.flow_id for one in found} - self._flows.keys():
            wanted = {"flows": {"id": {"any_": sorted(unknown)}}}
            self._flows |= {flow.id: flow.name for flow in await self._api.all("/flows/filter", wanted, _Flow)}
        return [one.named(self._flows.get(one.flow_id, "?")) for one in found]


def due(*, after: datetime | None = None, before: datetime | None = None) -> dict[str, Any]:
    """The filter of flow runs that were due in a span of time."""
    span = {"after_": after and after.isoformat(), "before_": before and before.isoformat()}
    return {"expected_start_time": {name: moment for name, moment in span.items() if moment}}


def in_states(*types: str) -> dict[str, Any]:
    """The filter of flow runs whose state has one of these types."""
    return {"state": {"type": {"any_": list(types)}}}


_Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class _State(BaseModel):
    type: str
    name: str
    timestamp: _Moment
    message: str | None = None


class _FlowRun(BaseModel):
    id: str
    flow_id: str
    name: str
    parameters: dict[str, Any] = {}
    created: _Moment
    state: _State | None
    expected_start_time: _Moment | None
    start_time: _Moment | None
    end_time: _Moment | None

    def named(self, flow: str) -> FlowRun:
        """The flow run. One without a state was created and nothing more."""
        state = self.state or _State(type="PENDING", name="Pending", timestamp=self.created)
        return FlowRun(
            id=self.id,
            flow=flow,
            name=self.name if state.type in FINAL else self._name(flow),
            type=state.type,
            state=state.name,
            message=without_traceback(state.message or ""),
            since=state.timestamp,
            due=self.expected_start_time,
            began=self.start_time,
            ended=self.end_time if state.type in FINAL else None,
        )

    def _name(self, flow: str) -> str:
        """Its name, or the one that it gets when it begins, if it has not begun and Prefect has made one up."""
        is_made_up = flow in DEPLOYED and self.start_time is None and _MADE_UP.fullmatch(self.name)
        return name_of_run(flow, self.parameters) if is_made_up else self.name


class _Flow(BaseModel):
    id: str
    name: str


class _LogRecord(BaseModel):
    id: str
    flow_run_id: str | None
    level: int
    message: str
    name: str

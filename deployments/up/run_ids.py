"""Which runs in the ledger are the flow runs in Prefect that lines are about? For programs that read the lines."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from deployments.up.lines import Line
from tasks.daemon_threads import in_daemon_thread
from tasks.domain.access import Access
from tasks.domain.errors import AdceError
from tasks.ledger import Ledger

_WITHIN = 5.0  # seconds after which lines are written without the ids


class RunIds:
    """Adds the field `run`, the id of a run in the ledger, to lines about flow runs. No line waits for long."""

    def __init__(self, ledger: str):
        self._ledger = ledger
        self._asking: asyncio.Future[Mapping[str, str]] | None = None

    async def added(self, lines: Sequence[Line]) -> list[Line]:
        """The lines with the ids that the ledger has. A run that never began has none."""
        asked = {str(line.fields["flow_run"]) for line in lines if _lacks_it(line)}
        ids = await self._ids_of(asked) if asked else {}
        return [_with_id(line, ids) if _lacks_it(line) else line for line in lines]

    async def _ids_of(self, flow_runs: Collection[str]) -> Mapping[str, str]:
        if self._asking and not self._asking.done():
            return {}  # it hangs
        self._asking = in_daemon_thread(lambda: self._read(flow_runs), "ids of runs")
        await asyncio.wait({self._asking}, timeout=_WITHIN)
        return self._asking.result() if self._asking.done() else {}

    def _read(self, flow_runs: Collection[str]) -> Mapping[str, str]:
        try:
            with closing(Ledger(self._ledger, Access.LOOK)) as ledger:
                return ledger.runs.ids_of(flow_runs)
        except AdceError:  # another line tells of it
            return {}


def _lacks_it(line: Line) -> bool:
    return "flow_run" in line.fields and "run" not in line.fields


def _with_id(line: Line, ids: Mapping[str, str]) -> Line:
    id = ids.get(str(line.fields["flow_run"]))
    return replace(line, fields={**line.fields, "run": id}) if id else line

"""How does a flow run end? In a final state; the last log line repeats it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from prefect import get_run_logger
from prefect.states import Failed, State

from config.load import ConfigError
from config.secrets import no_secret_in_errors
from flows.control import cancel_came_late
from flows.prefect_run import state_of
from tasks.answers.ending import Ending, ending
from tasks.answers.report import Report
from tasks.domain.errors import AdceError
from tasks.domain.flow_states import CANCELLED
from tasks.log_lines import IN_REPORT
from tasks.progress import PROGRESS, no_progress, told

log = logging.getLogger(__name__)

_LOG_EVERY = 30.0  # seconds between two log lines about progress


async def conclude(work: Awaitable[Report]) -> State[Any]:
    """The final state of a flow run, whose data is the report that `work` returns, or the error that it raises.

    If the run could not begin, it has failed. See `ending` for the states of the others. The last line of the log is
    the state's name and message.
    """
    if PROGRESS.get() is no_progress:
        PROGRESS.set(_LoggedProgress())
    try:
        with no_secret_in_errors():
            report = await work
    except (AdceError, ConfigError) as error:
        get_run_logger().error("Failed: %s", error)
        return Failed(message=str(error), data=error)
    for refusal in report.refusals:
        log.error("%s", refusal, extra=IN_REPORT)
    end = ending(report)
    if end.type != CANCELLED and await cancel_came_late():
        end = Ending("Cancelled", CANCELLED, f"cancelled in Prefect, after its work; {end.message}")
    get_run_logger().log(end.severity, "%s", end)
    return state_of(end, report)


class _LoggedProgress:
    """Writes the progress of a run to its log, a line every half minute."""

    def __init__(self) -> None:
        self._logged = time.monotonic()
        self._log = get_run_logger()

    def __call__(self, activity: str, done: int, total: int, *, failed: int = 0, left: timedelta | None = None) -> None:
        if time.monotonic() - self._logged >= _LOG_EVERY:
            self._logged = time.monotonic()
            self._log.info("%s: %s", activity, told(done, total, failed, left))

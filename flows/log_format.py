"""How does a run write its log as JSON? Prefect loads this formatter before it can be imported itself."""

from __future__ import annotations

import logging
import sys
from typing import Any

from tasks.log_lines import JsonLines

# Variables of a process whose flow runs are to write their log, and that of ADCE's own modules, as JSON
AS_JSON = {
    "PREFECT_LOGGING_FORMATTERS_JSON_CLASS": f"{__name__}.RunLines",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json",
    "PREFECT_LOGGING_LOGGERS_PREFECT_EXTRA_PROPAGATE": "true",
}


class RunLines(JsonLines):
    """Lines that also name the flow run in which they were logged."""

    def fields_of(self, record: logging.LogRecord) -> dict[str, Any]:
        """The fields of a record, with the ids of its run: `run` in the ledger, `flow_run` in Prefect; and its name."""
        name, id = getattr(record, "flow_run_name", None), getattr(record, "flow_run_id", None)
        if id is None:  # a module's own logger does not know its run
            from prefect.context import FlowRunContext

            context = FlowRunContext.get()
            run = context.flow_run if context else None
            name, id = (run.name, run.id) if run else (None, None)
        of_run = {"run": _id_in_ledger(), "flow_run": str(id), "run_name": name} if id else {}
        return super().fields_of(record) | {field: value for field, value in of_run.items() if value}


def _id_in_ledger() -> str | None:
    """The id of the run that logs; None before it has opened the ledger."""
    opened = sys.modules.get("flows.prefect_run")  # it cannot be imported yet when Prefect loads the formatter
    here = opened.CURRENT.get(None) if opened else None
    return here.run.session.id if here else None

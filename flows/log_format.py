"""How does a run write its log as JSON? Prefect loads this formatter before it can be imported itself."""

from __future__ import annotations

import logging
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
        """The fields of a record, with `run`, the name of the flow run, and `flow_run`, its id."""
        name, id = getattr(record, "flow_run_name", None), getattr(record, "flow_run_id", None)
        if id is None:  # a module's own logger does not know its run
            from prefect.context import FlowRunContext

            context = FlowRunContext.get()
            run = context.flow_run if context else None
            name, id = (run.name, run.id) if run else (None, None)
        of_run = {"run": name, "flow_run": str(id)} if id else {}
        return super().fields_of(record) | of_run

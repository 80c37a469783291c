"""What are lines in the logs of runs about? The runs of this machine tell; Prefect's API keeps only the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.domain.wording import without_traceback

_MOST = 1000  # lines that are remembered
_ABOUT = ("source", "dataset", "key", "limit", "reason")


class RunFields:
    """The fields of the last warnings and errors that runs have written, by their flow run and text."""

    def __init__(self) -> None:
        self._fields: dict[tuple[str, str], Mapping[str, Any]] = {}

    def note(self, document: Mapping[str, Any]) -> None:
        """Remembers a line that a run has written as JSON."""
        fields = {name: document[name] for name in (*_ABOUT, "run") if name in document}
        if any(name in fields for name in _ABOUT) and "flow_run" in document:
            self._fields[document["flow_run"], document["message"]] = fields
            if len(self._fields) > _MOST:
                del self._fields[next(iter(self._fields))]

    def of(self, flow_run: str, message: str) -> Mapping[str, Any]:
        """The fields of a line in the log of a flow run; none if it was not written on this machine."""
        return self._fields.get((flow_run, without_traceback(message)), {})

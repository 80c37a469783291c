"""What are ADCE's flows called in Prefect, and their runs? The ledger has the names of flows as the kinds of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.domain.wording import plural

RECONCILE, FILL = "reconcile", "fill"
DEPLOYED = (RECONCILE, FILL)  # the flows that schedules and people run
FLOWS = (*DEPLOYED, "scraper", "scrape")  # and those that these run


def name_of_run(flow: str, parameters: Mapping[str, Any]) -> str:
    """The name of a run, by what its parameters select: "everything", or "espn 2023-24 from 2024-01-05"."""
    parts = [text for name in ("source", "dataset", "season") for text in _listed(parameters, name)]
    parts += [
        f"{word} {parameters[name]}" for word, name in (("from", "since"), ("to", "until")) if parameters.get(name)
    ]
    parts += [plural(len(parameters["keys"]), "file")] if parameters.get("keys") else []
    if not parts and flow == FILL and not parameters.get("everything"):
        return "nothing given"
    return " ".join(["dry run:"] * bool(parameters.get("dry_run")) + (parts or ["everything"]))


def _listed(parameters: Mapping[str, Any], name: str) -> list[str]:
    """The values of a parameter, which is a list if it is given under the plural of its name."""
    return [*(parameters.get(f"{name}s") or []), *filter(None, [parameters.get(name)])]

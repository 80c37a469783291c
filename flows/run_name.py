"""What is a flow run called? By what its parameters select."""

from __future__ import annotations

from typing import Any

from prefect.runtime import flow_run

from tasks.domain.wording import plural


def run_name() -> str:
    """The name of a flow run, from its parameters: "everything", or "espn 2023-24 from 2024-01-05"."""
    given = flow_run.parameters
    parts = [*_listed(given, "source"), *_listed(given, "dataset"), *_listed(given, "season")]
    parts += [f"{word} {given[name]}" for word, name in (("from", "since"), ("to", "until")) if given.get(name)]
    parts += [plural(len(given["keys"]), "file")] if given.get("keys") else []
    return " ".join(["dry run:"] * bool(given.get("dry_run")) + (parts or ["everything"]))


def _listed(given: dict[str, Any], name: str) -> list[str]:
    """The values of a parameter, which is a list if it is given under the plural of its name."""
    return [*(given.get(f"{name}s") or []), *filter(None, [given.get(name)])]

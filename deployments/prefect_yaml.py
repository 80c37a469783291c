"""Which deployments do the files prefect.yaml have, and for which work pool?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.domain.errors import AdceError

ROOT = Path(__file__).resolve().parents[1]
FILES = ("prefect.yaml", "deployments/ecs/prefect.yaml")  # for this machine, and for ECS


@dataclass(frozen=True)
class Deployment:
    """A deployment as a file describes it."""

    entry: dict[str, Any]
    file: str = FILES[0]

    @property
    def name(self) -> str:
        return str(self.entry["name"])

    @property
    def entrypoint(self) -> str:
        return str(self.entry["entrypoint"])

    @property
    def pool(self) -> str:
        return str(self.entry["work_pool"]["name"])

    @property
    def flow(self) -> str:
        """Name of the flow. In ADCE it is the name of the flow's function."""
        return re.split("[:.]", self.entrypoint)[-1]

    @property
    def full_name(self) -> str:
        """Name for `prefect deployment run`, such as "reconcile/schedule"."""
        return f"{self.flow}/{self.name}"

    @property
    def command(self) -> str:
        """The command that sends it to the Prefect server, with all others of its file."""
        file = f" --prefect-file {self.file}" if self.file != FILES[0] else ""
        return f"prefect --no-prompt deploy --all{file}"

    @property
    def interval(self) -> Any:
        """Interval of the schedule in seconds; None unless the deployment has exactly one schedule with an interval."""
        schedules = self.entry.get("schedules") or []
        return schedules[0].get("interval") if len(schedules) == 1 else None

    @property
    def is_scheduled(self) -> bool:
        """Has the deployment a schedule that is to be active?"""
        return any(schedule.get("active", True) for schedule in self.entry.get("schedules") or [])


def deployments_for(pools: list[str], folder: Path = ROOT) -> list[Deployment]:
    """The deployments that run in one of the pools, from the files in `folder`. Raises AdceError if one is missing."""
    found = [Deployment(entry, file) for file in FILES for entry in _entries(folder / file)]
    return [deployment for deployment in found if deployment.pool in pools]


def _entries(file: Path) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = yaml.safe_load(file.read_text())["deployments"]
    except FileNotFoundError:
        raise AdceError(f"{file} is missing; run this from a checkout of ADCE") from None
    return entries

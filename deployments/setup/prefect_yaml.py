"""Which deployments does prefect.yaml have, and for which work pool?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.domain.errors import AdceError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Deployment:
    """A deployment as prefect.yaml describes it."""

    entry: dict[str, Any]

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
        """Name for `prefect deployment run`, such as "reconcile/adce"."""
        return f"{self.flow}/{self.name}"

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
    """The deployments of prefect.yaml in `folder` that run in one of the pools. Raises AdceError without that file."""
    try:
        text = (folder / "prefect.yaml").read_text()
    except FileNotFoundError:
        raise AdceError(f"{folder / 'prefect.yaml'} is missing; run this from a checkout of ADCE") from None
    found = [Deployment(entry) for entry in yaml.safe_load(text)["deployments"]]
    return [deployment for deployment in found if deployment.pool in pools]

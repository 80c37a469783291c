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
    entry: dict[str, Any]  # as in prefect.yaml

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
        """Our flows are called as their functions are."""
        return re.split("[:.]", self.entrypoint)[-1]

    @property
    def full_name(self) -> str:
        """As `prefect deployment run` wants it."""
        return f"{self.flow}/{self.name}"

    @property
    def interval(self) -> Any:
        """Seconds from one scheduled run to the next, or None without exactly one such schedule."""
        schedules = self.entry.get("schedules") or []
        return schedules[0].get("interval") if len(schedules) == 1 else None


def deployments_for(pools: list[str], folder: Path = ROOT) -> list[Deployment]:
    """Those that run in one of the pools. Raises AdceError when there is no prefect.yaml."""
    try:
        text = (folder / "prefect.yaml").read_text()
    except FileNotFoundError:
        raise AdceError(f"{folder / 'prefect.yaml'} is missing; run this from a checkout of ADCE") from None
    found = [Deployment(entry) for entry in yaml.safe_load(text)["deployments"]]
    return [deployment for deployment in found if deployment.pool in pools]

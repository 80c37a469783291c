"""Which deployments are there, in prefect.yaml and in that of ECS, and for which work pool?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.domain.errors import AdceError

ROOT = Path(__file__).resolve().parents[1]
_FILES = ("prefect.yaml", "deployments/ecs/prefect.yaml")


@dataclass(frozen=True)
class Deployment:
    entry: dict[str, Any]  # as in its file
    file: str

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
    def command(self) -> str:
        """What deploys it."""
        file = "" if self.file == _FILES[0] else f" --prefect-file {self.file}"
        return f"prefect --no-prompt deploy --all{file}"

    @property
    def interval(self) -> Any:
        """Seconds from one scheduled run to the next, or None without exactly one such schedule."""
        schedules = self.entry.get("schedules") or []
        return schedules[0].get("interval") if len(schedules) == 1 else None


def deployments_for(pools: list[str], folder: Path = ROOT) -> list[Deployment]:
    """Those that run in one of the pools. Raises AdceError when there is no prefect.yaml."""
    if not (folder / _FILES[0]).exists():
        raise AdceError(f"{folder / _FILES[0]} is missing; run this from a checkout of ADCE")
    found = [
        Deployment(entry, file)
        for file in _FILES
        if (folder / file).exists()
        for entry in yaml.safe_load((folder / file).read_text())["deployments"]
    ]
    return [deployment for deployment in found if deployment.pool in pools]

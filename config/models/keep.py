"""How long are old runs and attempts kept?"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from config.models.base import Duration, Model


class Keep(Model):
    """How long old runs and attempts are kept. After each reconcile, a part of what is older is deleted."""

    runs: Duration = Field(
        default=timedelta(days=90),
        ge=timedelta(hours=1),
        description="age up to which Prefect knows a run, with its logs and artifacts",
    )
    attempts: Duration = Field(default=timedelta(days=180), description="age up to which the ledger knows attempts")

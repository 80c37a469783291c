"""What is told when something goes wrong: by whom, with which limits, how often, and to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from config.models.base import Duration, Model, Number

IncidentKind = Literal[
    "configuration",
    "disk",
    "ledger",
    "lake",
    "prefect",
    "schedule_paused",
    "two_servers",
    "bucket",
    "no_reconcile",
    "slow_cycle",
    "source_paused",
    "failures",
    "failed_checks",
    "breaker",
    "critical_failures",
    "critical_gap",
    "lost_files",
    "unreadable_files",
    "event_path",
    "missed_events",
    "dead_letters",
]


class Alerts(Model):
    """Messages about incidents."""

    owner: Literal["adce", "prometheus", "none"] = Field(
        default="adce",
        description="who tells of incidents; with prometheus, the alerting rules of deployments/grafana do",
    )
    settle: Duration = Field(
        default=timedelta(minutes=2),
        le=timedelta(hours=1),
        description="time for which an incident that another one may explain stands alone before it is told",
    )
    remind_every: Duration | None = Field(
        default=None, ge=timedelta(minutes=15), description="time between two reminders of an incident; null: none"
    )
    limits: dict[IncidentKind, Number] = Field(
        default={}, description="limits of conditions in place of the usual ones, in seconds, shares of 1 or counts"
    )

"""The whole configuration: its sections, and the settings outside of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.models.alerts import Alerts
from config.models.base import Model, WholeNumber, matching
from config.models.cloudwatch import CloudWatch
from config.models.collect import Collect
from config.models.commands import Scripts
from config.models.datasets import Dataset
from config.models.events import Events
from config.models.inventory import Inventory
from config.models.keep import Keep
from config.models.maintenance import Maintenance
from config.models.reconcile import Reconcile
from config.models.rollouts import Rollout
from config.models.scoring import Scoring
from config.models.serve import Serve
from config.models.sources import Rate, Source
from config.models.storage import LakeAddress, LedgerAddress


class Config(Model):
    """The whole configuration."""

    enabled: bool = True
    dry_run: bool = False
    dispatch: Literal["inline", "deployment"] = "inline"
    scraper: Annotated[
        str,
        matching(
            r"[\w-]+/[\w-]*\{source\}[\w-]*",
            "not the name of a deployment for each source; write it as scraper/{source}",
        ),
    ] = Field(
        default="scraper/{source}",
        description="deployment that runs the fills of a source, with dispatch: deployment",
    )
    test_mode: bool = Field(default=False, description="fetch a few files, and store them in the lake's folder _test")
    test_fills: WholeNumber = Field(
        default=3, ge=1, le=1000, description="largest number of fills of a run in test mode"
    )
    sandbox: bool = Field(
        default=False, description="the sites are stand-ins with invented games, and the lake holds nothing else"
    )
    lake: LakeAddress = "file:lake"
    history: Annotated[
        str, matching(r"[A-Za-z0-9_.-]*", "not a folder's name; use letters, digits, _ - and . only, as in _history")
    ] = Field(
        default="_history",
        description="folder of the lake for the former versions of corrected files; empty where S3 keeps versions",
    )
    aws_credentials: str | None = Field(default=None, description="name of an AwsCredentials block in Prefect")
    ledger: LedgerAddress = "sqlite:///adce.db"
    collect: Collect = Collect()
    events: Events = Events()
    inventory: Inventory = Inventory()
    cloudwatch: CloudWatch = CloudWatch()
    alerts: Alerts = Alerts()
    reconcile: Reconcile = Reconcile()
    keep: Keep = Keep()
    serve: Serve = Serve()
    scoring: Scoring = Scoring()
    rates: list[Rate] = Field(default=[], description="rate limits for all sources together, besides their own")
    work_pools: list[Literal["adce", "adce-ecs"]] = Field(
        default=["adce"], description="work pools that `adce setup` makes: adce for this machine, adce-ecs for ECS"
    )
    scripts: Scripts = Scripts()
    maintenance: list[Maintenance] = []
    rollout: dict[
        Annotated[
            str, matching(r"[a-z0-9_]+", "not a variant's name; use small letters, digits and _ only, as in new_host")
        ],
        Rollout,
    ] = {}
    sources: dict[str, Source]
    datasets: dict[str, Dataset]

    def batch_of(self, dataset: str) -> int:
        """Largest number of requests in one fill of the dataset."""
        return self.datasets[dataset].batch or self.reconcile.batch

"""The reconcile flow, ready to run."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from config.load import load_config
from deployments.setup.prefect_server import set_up_buckets
from flows.reconcile import reconcile
from tasks.answers.report import Report
from tasks.domain.limits.buckets import buckets_of

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
Reconcile = Callable[..., Report]


@pytest.fixture
def run_reconcile(prefect_api: None, adce_home: Any) -> Reconcile:
    """Runs the reconcile flow at a fixed clock, for a few days unless told otherwise."""

    made: list[str] = []

    def run(**parameters: Any) -> Report:
        config = load_config()
        if (wanted := [name for name, _ in buckets_of(config)]) != made:
            asyncio.run(set_up_buckets(config))
            made[:] = wanted
        parameters = {"as_of": NOW, "since": date(2026, 1, 13), "until": date(2026, 1, 14)} | parameters

        async def flow() -> Any:
            return await reconcile(**parameters, return_state=True)

        result = asyncio.run(flow()).result(raise_on_failure=False)
        if isinstance(result, Exception):
            raise result
        assert isinstance(result, Report)
        return result

    return run


@pytest.fixture(autouse=True)
def collectable() -> Iterator[None]:
    """What a look has taken from the garbage collector is given back: one process runs many tests, and one flow."""
    yield
    gc.unfreeze()

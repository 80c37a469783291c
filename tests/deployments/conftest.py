"""The `adce` command, within this process."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deployments.cli import app
from tests.flows.conftest import run_reconcile  # noqa: F401  (a fixture)


@pytest.fixture
def adce(adce_home: Path) -> Callable[..., Result]:
    """Runs the command on the lake in `adce_home`; what its options set in the environment is gone afterwards."""

    def run(*arguments: str) -> Result:
        before = dict(os.environ)
        try:
            return CliRunner().invoke(app, arguments)
        finally:
            os.environ.clear()
            os.environ.update(before)

    return run

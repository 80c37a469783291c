"""A new database for each test of the ledger: one of SQLite, and one of PostgreSQL."""

import uuid
from pathlib import Path

import pytest

from tests.servers import new_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return f"postgresql://{new_database(request.getfixturevalue('postgres'), f'ledger_{uuid.uuid4().hex}')}"

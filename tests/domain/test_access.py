"""Who only looks at the ledger writes nothing, and who does not run ADCE changes no schema."""

from __future__ import annotations

import pytest

from tasks.domain.access import Access


@pytest.mark.parametrize("access", Access)
def test_whoever_only_reads_updates_no_schema(access: Access) -> None:
    assert not (access.only_reads and access.migrates)


def test_looking_and_reading_write_nothing_and_only_migrations_and_runs_update_a_schema() -> None:
    assert {access for access in Access if access.only_reads} == {Access.LOOK, Access.READ}
    assert {access for access in Access if access.migrates} == {Access.MIGRATE, Access.RUN}

"""What does each way of opening the ledger allow?"""

from tasks.domain.access import Access


def test_only_commands_that_show_something_leave_the_ledger_as_it_is_and_only_runs_and_migrate_update_its_schema() -> (
    None
):
    assert {access for access in Access if access.only_reads} == {Access.LOOK, Access.READ}
    assert {access for access in Access if access.migrates} == {Access.MIGRATE, Access.RUN}

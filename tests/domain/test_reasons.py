"""Which words do programs read for a reason?"""

import pickle

from tasks.domain.reasons import Limit, Reason


def test_the_names_of_the_limits_are_part_of_every_json_document() -> None:
    """Whoever filters by one of them finds nothing any more when it is renamed."""
    assert {limit.value for limit in Limit} == {
        "not_published",
        "reconcile.unavailable",
        "sources_disagree",
        "obstacle",
        "reconcile.examine_at_most",
        "operator",
        "enabled",
        "command.parameters",
        "rollout",
        "maintenance",
        "operator_pause",
        "backoff",
        "reconcile.breaker",
        "bucket",
        "reconcile.max_fills",
        "test_fills",
        "other_reconcile",
        "reconcile.time_budget",
        "reconcile.fill_time_limit",
        "reconcile.start_within",
        "scraper_run",
        "probe",
        "other_run",
        "stopped",
        "reconcile.lease",
        "lake",
        "ledger",
    }


def test_a_reason_without_a_time_holds_until_somebody_changes_it() -> None:
    assert Reason(Limit.ENABLED, "disabled").until is None
    assert Reason(Limit.ENABLED, "disabled").of == ""


def test_what_is_only_looked_for_again_is_no_failure_and_what_an_operator_resumes_is_waited_for() -> None:
    """What follows from a limit elsewhere, and so has to agree with what ends it."""
    for limit in Limit:
        if limit.until_name == "next look":
            assert not limit.is_failure, limit
            assert not limit.is_waited_for, limit
        if limit.is_resumable:
            assert limit.is_waited_for, limit


def test_a_limit_is_its_value_wherever_it_is_read_back() -> None:
    assert (Limit("backoff"), f"{Limit.BACKOFF}", pickle.loads(pickle.dumps(Limit.BACKOFF))) == (
        Limit.BACKOFF,
        "backoff",
        Limit.BACKOFF,
    )

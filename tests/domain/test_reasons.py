"""Which words do programs read for a reason?"""

import pickle

from tasks.domain.reasons import Limit, Reason, Remedy


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


def test_what_ends_a_limit_decides_what_follows_from_it() -> None:
    """Whoever adds a limit says what ends it, and thereby whether runs fail for it and what is read before its time."""
    assert {limit for limit in Limit if limit.remedy is Remedy.WORKER} == {Limit.START_WITHIN, Limit.SCRAPER_RUN}
    assert {limit for limit in Limit if limit.is_failure} == {
        *(Limit.BACKOFF, Limit.PROBE, Limit.BREAKER, Limit.BUCKET, Limit.LAKE, Limit.LEDGER, Limit.OBSTACLE)
    }
    looks = {Limit.LOOKS, Limit.NOT_PUBLISHED, Limit.DISAGREEMENT, Limit.EXAMINE_AT_MOST}
    assert {limit for limit in Limit if limit.until_name == "next look"} == looks
    assert {limit.until_name for limit in Limit} == {"next look", "until"}
    decided = {Limit.OPERATOR, Limit.ENABLED, Limit.PARAMETERS, Limit.ROLLOUT}
    assert {limit for limit in Limit if not limit.is_waited_for} == looks | decided
    assert {limit for limit in Limit if limit.is_resumable} == {Limit.OPERATOR_PAUSE, Limit.BACKOFF, Limit.BREAKER}


def test_a_limit_is_its_value_wherever_it_is_read_back() -> None:
    assert (Limit("backoff"), f"{Limit.BACKOFF}", pickle.loads(pickle.dumps(Limit.BACKOFF))) == (
        Limit.BACKOFF,
        "backoff",
        Limit.BACKOFF,
    )

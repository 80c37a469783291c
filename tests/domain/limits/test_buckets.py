"""How is a bucket in Prefect called, and what is said of one that is not as configured?"""

import pytest

from config.models import Rate
from tasks.domain.limits.buckets import BucketOnServer, bucket_for, buckets_of, setting_of
from tasks.domain.limits.rates import AllowanceTerms
from tests.builders import a_config

WANT = AllowanceTerms(1000, 100.0)


def test_every_source_has_a_bucket_that_names_the_setting_of_its_rate_and_all_together_have_one_if_configured() -> None:
    config = a_config(rates=[Rate(requests=5, seconds=1)])
    named = {setting_of(name): rates for name, rates in buckets_of(config)}
    of_sources = {f"sources.{name}.rates": source.rates for name, source in config.sources.items()}
    assert named == of_sources | {"rates": config.rates}
    assert "rates" not in {setting_of(name) for name, _ in buckets_of(a_config())}


@pytest.mark.parametrize(
    ("have", "is_active", "defect"),
    [
        pytest.param(None, True, "is missing", id="missing"),
        pytest.param(WANT, False, "is inactive", id="inactive"),
        pytest.param(AllowanceTerms(1000, 0.0), True, "has no slot decay and would never refill", id="never refills"),
        pytest.param(WANT, True, None, id="as wanted"),
        pytest.param(AllowanceTerms(1000, 50.0), True, None, id="another rate"),
    ],
)
def test_no_run_can_use_a_bucket_that_is_missing_inactive_or_never_refills(
    have: AllowanceTerms | None, is_active: bool, defect: str | None
) -> None:
    bucket = BucketOnServer("adce-espn", WANT, have, is_active)
    assert bucket.defect == defect
    if defect:
        mending = "create the rate buckets" if have is None else "correct it"
        assert (
            bucket.trouble == f"rate bucket 'adce-espn' {defect}; run `adce setup` to {mending} from the configuration"
        )


def test_a_rate_that_was_set_by_hand_is_told_with_the_setting_that_it_differs_from() -> None:
    by_hand = BucketOnServer(bucket_for("espn"), WANT, AllowanceTerms(1000, 50.0)).trouble
    assert by_hand is not None
    assert "sources.espn.rates" in by_hand
    assert BucketOnServer(bucket_for("espn"), WANT, WANT).trouble is None


@pytest.mark.parametrize(
    ("slots", "told"),
    [
        pytest.param(1000, "", id="the limit is as wanted"),
        pytest.param(250, "", id="the limit fits the rate"),
        pytest.param(7, "; limit 7, should be 1000", id="both by hand"),
    ],
)
def test_a_limit_that_was_set_by_hand_is_told_beside_the_rate(slots: int, told: str) -> None:
    rate = "slot decay 50/s (0.5 requests/s), should be 200/s (2 requests/s)"
    assert AllowanceTerms(slots, 50.0).differs(AllowanceTerms(1000, 200.0)) == f"{rate}{told}"

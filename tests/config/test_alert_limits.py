"""Which limits of conditions, and which ports of those that are told, are refused? Those that could not be meant."""

from typing import get_args

import pytest
from pydantic import ValidationError

from config.models.alerts import SHARES, WITHOUT_LIMIT, Alerts, IncidentKind
from tasks.domain.incidents import CATALOGUE, Measure


def test_the_kinds_are_those_of_the_catalogue() -> None:
    assert set(get_args(IncidentKind)) == {one.kind for one in CATALOGUE}
    assert {one.kind for one in CATALOGUE if one.measure is Measure.YES_OR_NO} == WITHOUT_LIMIT
    assert {one.kind for one in CATALOGUE if one.measure is Measure.SHARE} == SHARES


@pytest.mark.parametrize(
    ("kind", "limit", "why"),
    [
        ("failures", 25, "failures must be a share from 0 to 1, as 0.25; it is 25"),
        ("failures", -1, "failures must be a share"),
        ("critical_gap", -1, "critical_gap must be a number that is not negative; it is -1"),
        ("ledger", 1, "ledger has no limit"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(kind: str, limit: float, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Alerts.model_validate({"limits": {kind: limit}})


@pytest.mark.parametrize(("kind", "limit"), [("failures", 0.5), ("failures", 0), ("missed_events", 1000)])
def test_other_limits_are_taken(kind: str, limit: float) -> None:
    assert Alerts.model_validate({"limits": {kind: limit}}).limits == {kind: limit}


@pytest.mark.parametrize("port", ["99999", "0", "1x"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ValidationError, match="its port must be a number from 1 to 65535"):
        Alerts.model_validate({"ping": f"http://127.0.0.1:{port}/"})

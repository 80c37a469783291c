"""Is a plan that another version of ADCE has kept one warning, and what can be read of it used?"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from tasks.domain.reasons import Limit, Reason
from tasks.ledger.plans import KeptPlan
from tests.builders import NOW

HOUR = timedelta(hours=1)
STOPPED = {"limit": "bucket", "of": "espn", "reason": "no bucket", "until": (NOW + HOUR).isoformat(), "keys": ["a"]}
FILL = {"id": "1", "keys": ["b"], "score": 1.5, "score_parts": {}, "starts": None, "eta": None}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"later": None, "fills": "none"},
        {"later": [None, 1, "a", [], {}], "fills": [None, 1, "a", [], {}]},
        {"later": [STOPPED | {"limit": "of the future"}], "fills": [{name: FILL[name] for name in ("id", "keys")}]},
        {"later": [STOPPED | {"until": "soon"}], "fills": [FILL | {"keys": "b"}], "verified_since": "yesterday"},
        {"later": [STOPPED | {"until": "2026-01-15T12:00:00"}], "fills": [FILL | {"keys": [1]}], "verified_since": 5},
        {"later": [STOPPED | {"keys": {"a": 1}}], "fills": {"a": FILL}, "verified_since": "2026-01-15T12:00:00"},
    ],
)
def test_a_plan_of_another_form_has_nothing_to_tell_and_is_told_of_once(
    document: Any, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    plan = KeptPlan(document, NOW, run=request.node.name)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert (plan.stopped(NOW), plan.reasons(["a", "b"]), plan.fills, plan.verified_since) == ({}, {}, [], None)
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == ["later", "fills"]


def test_what_can_be_read_of_a_plan_is_used(caplog: pytest.LogCaptureFixture) -> None:
    since = NOW - HOUR
    known = {"later": [None, STOPPED | {"more": 1}], "fills": [FILL | {"more": 1}, None]}
    plan = KeptPlan(known | {"verified_since": since.isoformat()}, NOW, "in part")
    reason = Reason(Limit.BUCKET, "no bucket", NOW + HOUR, "espn")
    assert plan.stopped(NOW) == {"espn": reason}
    assert plan.reasons(["a", "b"]) == {"a": reason}
    assert (plan.fills, plan.verified_since) == ([FILL], since)
    assert plan.stopped(NOW + HOUR) == {}
    assert [record.getMessage() for record in caplog.records] == [
        f"the plan that run in part has kept has '{name}' in another form, and is not used so far: another version of "
        "ADCE may have kept it; the next reconcile replaces it"
        for name in ("later", "fills")
    ]

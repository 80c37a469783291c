"""Are the documents for programs what their schema says?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tasks.domain.assess.coverage import Coverage, Row, Tally
from tasks.domain.assess.periods import By
from tasks.show.documents.configuration import ConfigDifference
from tasks.show.documents.coverage import CoverageAnswer
from tasks.show.documents.why import Why

AT = datetime(2026, 1, 15, 12, tzinfo=UTC)
COVERAGE = Coverage((Row("espn", "espn_summary", "2025-26", "2026-01-13", Tally(present=1)),))


@pytest.mark.parametrize(
    ("document", "times"),
    [
        (Why, {"WhyAnswer": ["until", "due_at", "first_seen"], "Attempt": ["at"], "StoredObject": ["modified"]}),
        (CoverageAnswer, {"": ["as_of"]}),
        (ConfigDifference, {"": ["as_of"], "Both_Union_datetime__NoneType__": ["old", "new"]}),
    ],
)
def test_a_schema_calls_every_time_a_time(document: type[BaseModel], times: dict[str, list[str]]) -> None:
    schema = document.model_json_schema(mode="serialization")
    for part, names in times.items():
        properties: dict[str, Any] = (schema["$defs"][part] if part else schema)["properties"]
        for name in names:
            kinds = properties[name].get("anyOf", [properties[name]])
            assert {"type": "string", "format": "date-time"}.items() <= kinds[0].items(), name


@pytest.mark.parametrize(
    ("by", "span"), [(By.SEASON, {}), (By.MONTH, {"month": "2026-01"}), (By.DATE, {"date": "2026-01-13"})]
)
def test_a_row_of_coverage_has_the_span_that_was_asked_for_and_no_other(by: By, span: dict[str, str]) -> None:
    document = CoverageAnswer.of(COVERAGE, by, AT, []).as_json()
    assert document["as_of"] == "2026-01-15T12:00:00+00:00"
    [row] = document["rows"]
    place = {"source": "espn", "dataset": "espn_summary", "season": "2025-26", **span}
    assert row == place | document["total"]
    assert (row["present"], row["percent"]) == (1, 100.0)


def test_a_field_that_is_not_promised_is_refused() -> None:
    with pytest.raises(ValidationError, match="surprise"):
        CoverageAnswer.model_validate(CoverageAnswer.of(COVERAGE, By.SEASON, AT, []).as_json() | {"surprise": 1})

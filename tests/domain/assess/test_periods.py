"""Which period does a row of a coverage stand for?"""

import pytest

from tasks.domain.assess.periods import By, period_of


@pytest.mark.parametrize(
    ("span", "by", "period"),
    [
        ("2024-01-05", By.DATE, "2024-01-05"),
        ("2024-01-05", By.MONTH, "2024-01"),
        ("2024-01-05", By.SEASON, ""),
        ("2024-01", By.DATE, ""),
        ("2024-01", By.MONTH, "2024-01"),
        ("2024-01", By.SEASON, ""),
        ("", By.DATE, ""),
        ("", By.MONTH, ""),
    ],
)
def test_a_span_is_counted_under_its_date_or_its_month_and_a_longer_one_under_none(
    span: str, by: By, period: str
) -> None:
    assert period_of(span, by) == period

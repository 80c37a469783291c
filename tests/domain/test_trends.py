"""Is every value counted in the span of its time, and none twice?"""

from datetime import UTC, datetime, timedelta

from tasks.domain.trends import DAY, HOUR, Trend, lows, medians, sums

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def test_a_value_counts_in_the_span_of_its_time_and_the_last_span_ends_now() -> None:
    points = [(ago(hours=3), 99.0), (ago(hours=2.5), 1.0), (ago(hours=1), 2.0), (ago(minutes=1), 3.0), (NOW, 4.0)]
    assert sums(points, NOW, HOUR, 3).values == [1.0, 0, 9.0]
    assert sums([(NOW + HOUR, 5.0)], NOW, HOUR, 2).values == [0, 0], "a wrong clock"


def test_where_there_is_nothing_a_sum_is_0_and_a_median_or_lowest_value_is_not_known() -> None:
    points = [(ago(days=1.9), 8.0), (ago(days=1.5), 2.0), (ago(days=1.1), 4.0)]
    assert sums([], NOW, DAY, 2).values == [0, 0]
    assert medians(points, NOW, DAY, 2).values == [4.0, None]
    assert lows(points, NOW, DAY, 3).values == [None, 2.0, None]
    assert Trend([None, 3.0]).known == [3.0]


def test_a_trend_keeps_all_points_of_its_spans_so_that_no_extreme_is_lost_in_a_median() -> None:
    points = [(ago(days=9), 99.0), (ago(minutes=50), 24.0), (ago(minutes=40), 9.0), (ago(minutes=9), 8.0)]
    trend = medians(points, NOW, HOUR, 2)
    assert (trend.values, trend.points) == ([None, 9.0], [24.0, 9.0, 8.0])

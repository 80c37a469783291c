"""What is said of switches that are not as usual?"""

from datetime import UTC, datetime

from config.models import Maintenance, Rollout
from tasks.domain.flags.switches import switches
from tests.builders import a_config

CONFIG = a_config()


def test_nothing_is_said_while_all_is_as_usual() -> None:
    assert switches(CONFIG, datetime(2026, 1, 13, 8, tzinfo=UTC)) == []


def test_every_switch_that_is_not_as_usual_is_named() -> None:
    off = {"enabled": False}
    config = a_config(
        enabled=False,
        dry_run=True,
        test_mode=True,
        scoring=CONFIG.scoring.model_copy(update={"weighting": False}),
        sources=CONFIG.sources | {"espn": CONFIG.sources["espn"].model_copy(update=off)},
        datasets=CONFIG.datasets
        | {"br_totals": CONFIG.datasets["br_totals"].model_copy(update=off)}
        | {"br_advanced": CONFIG.datasets["br_advanced"].model_copy(update={"rollout": 12.5})},
        maintenance=[
            Maintenance.model_validate({"of": of, "from": "03:00", "to": to})
            for of, to in (("nba_api", "05:00"), ("all", "04:00"))
        ],
    )
    usual = ["everything off", "dry run", "test mode, 3 fills", "weighting off", "espn off", "br_totals off"]
    usual += ["rollout of br_advanced 12.5 %"]
    assert switches(config, datetime(2026, 1, 13, 2, tzinfo=UTC)) == usual
    assert switches(config, datetime(2026, 1, 13, 3, tzinfo=UTC)) == [
        *usual,
        "maintenance of nba_api until 2026-01-13 05:00 UTC",
        "maintenance of all until 2026-01-13 04:00 UTC",
    ]


def test_windows_that_overlap_are_named_once_and_one_without_an_end_as_such() -> None:
    def windows(*spans: tuple[str, str, str]) -> list[Maintenance]:
        return [Maintenance.model_validate({"of": of, "from": begin, "to": end}) for of, begin, end in spans]

    now = datetime(2026, 1, 13, 3, 30, tzinfo=UTC)
    both = windows(("espn", "03:00", "04:00"), ("all", "03:00", "05:00"))
    assert switches(a_config(maintenance=both), now) == ["maintenance of all until 2026-01-13 05:00 UTC"]
    for_ever = windows(("espn", "00:00", "12:00"), ("espn", "12:00", "00:00"))
    assert switches(a_config(maintenance=for_ever), now) == ["maintenance of espn with no end"]


def test_a_success_factor_that_is_off_is_named_where_it_would_count() -> None:
    success = CONFIG.scoring.success.model_copy(update={"enabled": False})
    scoring = CONFIG.scoring.model_copy(update={"success": success})
    now = datetime(2026, 1, 13, 8, tzinfo=UTC)
    assert switches(a_config(scoring=scoring), now) == ["success factor off"]
    unweighted = scoring.model_copy(update={"weighting": False})
    assert switches(a_config(scoring=unweighted), now) == ["weighting off"]


def test_a_rollout_is_named_with_its_share_also_when_it_has_reached_all() -> None:
    text = {"datasets": ["espn_summary"], "changes": {"min_bytes": 99}}
    rollouts = {name: Rollout.model_validate(text | {"percent": share}) for name, share in (("x", 12.5), ("y", 100))}
    told = switches(a_config(rollout=rollouts), datetime(2026, 1, 13, 8, tzinfo=UTC))
    assert told == ["rollout x 12.5 %", "rollout y 100 %"]

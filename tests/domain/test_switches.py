"""What is said of switches that are not as usual?"""

from datetime import UTC, datetime

from config.models import Maintenance
from tasks.domain.switches import switches
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

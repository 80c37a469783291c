"""Which datasets are not fetched by the configuration, and why?"""

from __future__ import annotations

from typing import Any

import pytest

from config.models import Collect, Config
from tasks.answers.sources import why_not_fetched
from tests.builders import a_config


def _without(section: str, name: str) -> Config:
    config = a_config()
    switched = {**getattr(config, section)}
    switched[name] = switched[name].model_copy(update={"enabled": False})
    return config.model_copy(update={section: switched})


ESPN = {name for name, dataset in a_config().datasets.items() if dataset.source == "espn"}


def test_all_datasets_are_fetched_by_the_defaults() -> None:
    assert why_not_fetched(a_config()) == {}


@pytest.mark.parametrize(
    ("config", "names", "reason"),
    [
        pytest.param(a_config(enabled=False), set(a_config().datasets), "enabled is false", id="all"),
        pytest.param(_without("sources", "espn"), ESPN, "sources.espn.enabled is false", id="a source"),
        pytest.param(
            _without("datasets", "espn_summary"),
            {"espn_summary"},
            "datasets.espn_summary.enabled is false",
            id="a dataset",
        ),
        pytest.param(
            a_config(collect=Collect(sources=["espn"])),
            a_config().datasets.keys() - ESPN,
            "collect.sources is espn",
            id="a choice",
        ),
    ],
)
def test_the_setting_is_named_for_which_a_dataset_is_not_fetched(config: Config, names: Any, reason: str) -> None:
    assert why_not_fetched(config) == dict.fromkeys(names, reason)

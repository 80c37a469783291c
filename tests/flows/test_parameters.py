"""Which parameters are accepted, and what is said of the others?"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prefect.states import State
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate

from config.load import load_config
from config.models import Priority
from flows.fill import fill
from flows.parameters import priority_of
from flows.reconcile import reconcile
from tasks.domain.errors import SelectionError
from tasks.domain.times import moment_of
from tests.builders import NOW


@pytest.mark.parametrize(
    ("flow", "parameters"),
    [
        (fill, {"source": "espn", "season": "2023-24"}),
        (fill, {"source": "", "season": "", "since": "", "keys": [], "priority": "", "everything": True}),
        (fill, {"dataset": "one_of_my_own", "since": "2024-01-31", "priority": "HIGH", "keys": ["a.json"]}),
        (reconcile, {"sources": ["espn", "nba_api"], "seasons": ["2023-24"], "max_fills": 3}),
        (reconcile, {}),
    ],
)
def test_the_schema_accepts_what_can_be_meant_and_what_the_form_sends_for_fields_left_empty(
    flow: Any, parameters: dict[str, Any]
) -> None:
    validate(parameters, _schema(flow), raise_on_error=True)
    given = {name: field["default"] for name, field in _schema(flow)["properties"].items() if name != "max_fills"}
    validate(given, _schema(flow), raise_on_error=True)


@pytest.mark.parametrize(
    ("flow", "parameters", "reason"),
    [
        (fill, {"source": "esp"}, "'esp' is not one of ['', 'espn', 'nba_api', 'basketball_reference']"),
        (fill, {"priority": "high"}, "'high' is not one of ['', 'CRITICAL', 'HIGH', 'MEDIUM', 'LOW']"),
        (fill, {"season": "2023"}, "'2023' does not match"),
        (fill, {"since": "January"}, "'January' does not match"),
        (reconcile, {"sources": ["esp"]}, "'esp' is not one of ['espn', 'nba_api', 'basketball_reference']"),
        (reconcile, {"seasons": [""]}, "'' does not match"),
    ],
)
def test_the_schema_refuses_what_fits_no_field(flow: Any, parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate(parameters, _schema(flow), raise_on_error=True)
    assert reason in str(refused.value)


def test_a_priority_and_a_time_are_read_if_they_are_given() -> None:
    assert [priority_of(""), priority_of("HIGH")] == [None, Priority.HIGH]
    with pytest.raises(SelectionError, match="no priority 'high'; there are CRITICAL, HIGH, MEDIUM, LOW"):
        priority_of("high")
    assert [moment_of("as_of", None), moment_of("as_of", "2026-01-15T12:00:00")] == [None, NOW]
    with pytest.raises(SelectionError, match="as_of now: not a time; write it as 2024-01-31T12:00:00Z"):
        moment_of("as_of", "now")


def test_the_form_names_the_datasets() -> None:
    for field in (_schema(fill)["properties"]["dataset"], _schema(reconcile)["properties"]["datasets"]):
        assert field["description"].endswith(": " + ", ".join(load_config(env={}).datasets))


def _schema(flow: Any) -> dict[str, Any]:
    return parameter_schema(flow).dict()  # as `prefect deploy` takes it


def test_a_mistake_that_no_schema_can_tell_is_the_first_line_of_the_state(
    prefect_api: None, adce_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mistakes = {
        "nothing is given: give a source, dataset, season, day or key, or everything=true": {},
        "since 2024-02-31: not a day; write it as 2024-01-31": {"since": "2024-02-31"},
        "no dataset 'espn_sumary'; did you mean espn_summary?": {"dataset": "espn_sumary"},
        "no dataset has a key 'nonsense'; `adce why` shows the nearest one": {"keys": ["nonsense"]},
    }
    for line, parameters in mistakes.items():
        state = asyncio.run(_ended(parameters))
        assert (state.name, state.type.value) == ("Failed", "FAILED")
        assert (state.message or "").startswith(line)
    assert "Traceback" not in capsys.readouterr().err
    assert not (adce_home / "lake").exists()


async def _ended(parameters: dict[str, Any]) -> State[Any]:
    state: State[Any] = await fill(**parameters, return_state=True)
    return state

"""What do the help of the commands and the completion of a shell say, and which answers are JSON?"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer

from deployments.cli import app, completion
from tasks.ledger import Ledger
from tests.deployments.conftest import run_adce


def _commands(app: typer.Typer, *before: str) -> Iterator[tuple[str, ...]]:
    """All commands, by the words that are typed for them."""
    for one in app.registered_commands:
        assert one.callback
        yield (*before, one.name or one.callback.__name__.replace("_", "-"))
    for group in app.registered_groups:
        assert group.typer_instance
        assert group.name
        yield from _commands(group.typer_instance, *before, group.name)


@pytest.mark.parametrize("words", list(_commands(app)), ids=" ".join)
def test_the_help_of_each_command_ends_with_its_exit_statuses(words: tuple[str, ...]) -> None:
    shown = run_adce(*words, "-h").stdout
    assert " ".join(shown.split()).endswith("a line says what to do.")
    assert "Exit status 0: done." in shown


@pytest.mark.parametrize(
    ("complete", "begun", "found"),
    [
        (completion.sources, "e", ["espn"]),
        (completion.datasets, "br_b", ["br_boxscore"]),
        (completion.seasons, "1999", ["1999-00"]),
        (completion.seasons, "1899", []),
    ],
)
def test_the_shell_completes_what_the_configuration_has(
    complete: Callable[[str], list[str]], begun: str, found: list[str]
) -> None:
    assert complete(begun) == found


def test_the_shell_completes_nothing_where_the_configuration_has_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADCE_RECONCILE__MAX_FILS", "3")
    assert [complete("") for complete in (completion.sources, completion.datasets, completion.seasons)] == [[], [], []]


def test_a_ledger_is_checked_in_json(adce: Any, tmp_path: Path) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path}/my.db")):
        document = json.loads(adce("ledger", "check", "--json", "--ledger", f"{tmp_path}/my.db").stdout)
    assert document["ledger"] == f"sqlite:///{tmp_path}/my.db"
    assert document["rows"]["files"] == 0
    assert document["times_ahead"] == []

"""Are the commands of the README, the runbook and the other pages ones that there are?"""

import re
import shlex
from pathlib import Path

import click
import pytest
import typer.main
from prefect.cli import app as prefect_app

from config.load import load_config
from deployments.cli import app as adce_app

ROOT = Path(__file__).parents[2]
PROGRAMS = {"adce": typer.main.get_command(adce_app), "prefect": typer.main.get_command(prefect_app)}


def _commands(file: str) -> list[str]:
    """What stands as a command: lines of blocks, and code in a sentence."""
    text = (ROOT / file).read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))
    parts = [part.strip() for line in lines for part in re.split(r"&&|;", line.partition(" #")[0])]
    return [re.sub(r"^(?:\w+=\S+ )+", "", part) for part in parts if re.match(r"(?:\w+=\S+ )*(adce|prefect) ", part)]


@pytest.mark.parametrize(
    ("file", "at_least"),
    [
        ("README.md", 15),
        ("deployments/runbook.md", 50),
        ("deployments/cli/README.md", 12),
        ("config/README.md", 1),
        ("tasks/domain/assess/README.md", 2),
        ("tasks/domain/plan/README.md", 1),
        ("tasks/ledger/README.md", 1),
        ("tasks/upstream/README.md", 1),
    ],
)
def test_every_command_is_one_with_the_options_that_it_has(file: str, at_least: int) -> None:
    commands = _commands(file)
    assert len(commands) >= at_least
    for line in commands:
        program, *words = shlex.split(line)
        command: click.Command = PROGRAMS[program]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for word in words:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in options | {"--help"}, line
            elif isinstance(command, click.Group):
                assert word in command.commands, line
                command = command.commands[word]
                options |= {
                    option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
                }


def test_the_files_and_settings_that_the_runbook_names_are_there() -> None:
    text = (ROOT / "deployments/runbook.md").read_text()
    for name in set(re.findall(r"deployments/[\w./-]+\w", text)):
        assert (ROOT / name).exists(), name
    reconcile = load_config(env={}).reconcile
    for name in set(re.findall(r"`reconcile\.(\w+)`", text)):
        assert hasattr(reconcile, name)

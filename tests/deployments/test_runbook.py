"""Are the commands of the README, the runbook and the other pages ones that there are? Do those of the runbook work?"""

import asyncio
import json
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
import click
import pytest
import typer.main
from botocore import xform_name
from botocore.session import get_session
from click.testing import Result
from prefect.cli import app as prefect_app
from typer.testing import CliRunner

from config.load import load_config
from deployments.cli import app as adce_app
from deployments.setup.event_path import Checked, check_event_path
from tasks.domain.arrivals import EventType, parse
from tasks.domain.incidents import CATALOGUE, Kind
from tests import forks
from tests.builders import a_board
from tests.servers import postgresql_programs, use_s3

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "deployments/runbook.md"
RUNS = {"reconcile", "fill"}  # commands that run flows: in processes of their own
# Keys that are not in the lake, for the commands that are about such.
ABSENT = {"unavailable": "espn_schedules/20260112.json", "fill": "espn_schedules/20260111.json"}
SPAN = "--as-of 2026-01-15T12:00:00Z --since 2026-01-13 --until 2026-01-13"
# Commands of the AWS CLI that are no operation of a service
OF_THE_CLI = ("cloudformation deploy", "ecr get-login-password", "s3 sync")
PROGRAMS = {"adce": typer.main.get_command(adce_app), "prefect": typer.main.get_command(prefect_app)}


def _commands(file: str) -> list[str]:
    return _lines(file, "adce|prefect")


def _lines(file: str, programs: str) -> list[str]:
    """What stands as a command of some programs: lines of blocks, and code in a sentence."""
    text = (ROOT / file).read_text().replace("\\\n", " ")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.S | re.M)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))
    parts = [part.strip() for line in lines for part in re.split(r"&&|;| \| ", line.partition(" #")[0])]
    are_theirs = rf"(?:\w+=\S+ )*({programs}) "
    return [re.sub(r"^(?:\w+=\S+ )+", "", part) for part in parts if re.match(are_theirs, part)]


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
    text = RUNBOOK.read_text()
    for name in set(re.findall(r"deployments/[\w./-]+\w", text)):
        assert (ROOT / name).exists(), name
    reconcile = load_config(env={}).reconcile
    for name in set(re.findall(r"`reconcile\.(\w+)`", text)):
        assert hasattr(reconcile, name)


def test_the_runbook_says_of_each_message_what_to_do() -> None:
    text = RUNBOOK.read_text()
    for condition in CATALOGUE:
        [row] = re.findall(rf"^\| {re.escape(condition.title)} \| `{condition.kind}` \| (.*) \|$", text, re.M)
        _, command, _ = row.split(" | ")
        can_name_a_file = condition.kind in (Kind.CHECKS, Kind.CRITICAL_FAILURES)
        assert command.startswith("`adce why KEY`" if can_name_a_file else f"`{condition.command}`")


def test_every_command_of_the_aws_cli_is_one_with_the_options_that_it_needs() -> None:
    lines = _lines("deployments/runbook.md", "aws")
    assert len(lines) > 10
    for line in lines:
        words = shlex.split(line)[1:]
        if " ".join(words[:2]) not in OF_THE_CLI:
            _, shape, given = _operation(words)
            assert set(shape.required_members) <= {name for name, _ in given}, line


def test_the_commands_that_switch_events_on_bring_those_of_a_bucket_to_a_queue(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bash runs them with a stand-in for `aws`, which notes what it is given. That is then asked of a server."""
    use_s3(monkeypatch, s3)
    boto3.client("s3").create_bucket(Bucket="my-bucket")
    [script] = re.findall(r"^## Switch events on$.*?^```sh\n(.*?)^```", RUNBOOK.read_text(), re.S | re.M)
    noting = """aws() { printf '%s\\n' "$@" '' >> commands; }\n"""
    subprocess.run(["bash", "-e", "-c", noting + script], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    for command in Path("commands").read_text().strip().split("\n\n"):
        (service, operation), _, given = _operation(command.split("\n"))
        getattr(boto3.client(service), operation)(**{name: _value(text) for name, text in given})
    config = load_config(Path("adce.yaml"), env={"ADCE_LAKE": "s3://my-bucket/nba"})
    checked = asyncio.run(check_event_path(config))
    assert checked == Checked(in_order=f"queue {config.events.queue}: bucket my-bucket sends to it")
    [message] = boto3.client("sqs").receive_message(QueueUrl=f"{s3}/123456789012/adce-events")["Messages"]
    assert json.loads(message["Body"])["Event"] == "s3:TestEvent"


def test_the_message_that_is_shown_is_one_that_is_read() -> None:
    text = (ROOT / "deployments/cli/README.md").read_text()
    [message] = re.findall(r"^```json\n(.*?)^```", text, re.S | re.M)
    [event] = parse(message)
    assert (event.bucket, event.type) == ("my-bucket", EventType.CREATED)
    assert event.content


def _operation(words: Sequence[str]) -> tuple[tuple[str, str], Any, list[tuple[str, str]]]:
    """What words after `aws` ask for: service and operation, what it takes, and each argument with its text."""
    service, name, *options = words
    service = service.removesuffix("api")
    model = get_session().get_service_model(service)
    [operation] = [one for one in model.operation_names if xform_name(one, "-") == name]
    shape = model.operation_model(operation).input_shape
    arguments = {f"--{xform_name(member, '-')}": member for member in shape.members}
    pairs = zip(options[::2], options[1::2], strict=True)
    given = [(arguments[option], value) for option, value in pairs if option != "--query"]
    return (service, xform_name(operation)), shape, given


def _value(text: str) -> Any:
    if text.startswith("file://"):
        return json.loads(Path(text.removeprefix("file://")).read_text())
    return dict([text.split("=", 1)]) if "=" in text else text


def _marked() -> list[str]:
    """The commands of the runbook that are marked ✓, in the order of the page: lines of blocks, and code in sentences.

    A command of `adce` is there once, which saves time.
    """
    block, sentence = r"^```sh\n(?P<block>.*?)^```", r"`(?P<sentence>[^`\n]+)`\s+✓"
    found = []
    for match in re.finditer(rf"{block}|^```.*?^```|{sentence}", RUNBOOK.read_text(), re.S | re.M):
        lines = (match["block"] or "").splitlines()
        found += [line.partition(" #")[0].strip() for line in lines if "# ✓" in line]
        found += [match["sentence"]] if match["sentence"] else []
    again = {place for place, command in enumerate(found) if command.startswith("adce ") and command in found[:place]}
    return [command for place, command in enumerate(found) if place not in again]


class _Shell:
    """Runs commands of the runbook: `adce` and `prefect` in this process, others as they are."""

    def __init__(self, adce: Callable[..., Result], postgres: str, home: Path, monkeypatch: pytest.MonkeyPatch):
        self._adce = adce
        self._home = home
        self._monkeypatch = monkeypatch
        self._run_id = ""
        _, _, self._server = postgres.partition("@")

    def run(self, line: str) -> str:
        """Runs a line, and returns its output. It fails if a command of the line does."""
        return "".join(self._run(command.strip()) for command in line.split("&&") if command.strip())

    def _run(self, command: str) -> str:
        words = shlex.split(command)
        key = next((key for word, key in ABSENT.items() if word in words), a_board().key)
        words = [self._here(word, key) for word in words]
        with self._monkeypatch.context() as environment:
            while "=" in words[0]:
                environment.setenv(*words.pop(0).split("=", 1))
            program, *arguments = words
            if program not in PROGRAMS or arguments[0] in RUNS:
                return self._run_program(program, *arguments)
            if program == "prefect":
                environment.chdir(ROOT)  # where prefect.yaml is
            result = self._adce(*arguments) if program == "adce" else CliRunner().invoke(prefect_app, arguments)
        differs = 1 if "--check" in arguments else 0
        assert result.exit_code in (0, differs), (command, result.output, result.exception)
        if created := re.search(r"UUID: ([\w-]{36})", result.output):
            self._run_id = created[1]
        return result.output

    def _run_program(self, program: str, *arguments: str) -> str:
        host, _, port = self._server.partition(":")
        programs = postgresql_programs()
        assert programs
        if (programs / program).exists():
            # The first user of the tests' server is `adce`, so the runbook's role of that name has another one here.
            names = {"db": f"{host}", "postgres": "adce", "adce": "night", "prefect": "night_prefect"}
            arguments = ("-p", port, *(names.get(word, re.sub("=adce$", "=night", word)) for word in arguments))
            program = str(programs / program)
        if program == "adce":
            done, left = forks.run([forks.ADCE, *arguments], {}, check=False, folder=self._home), 1  # if files are left
        else:
            done, left = subprocess.run([program, *arguments], capture_output=True, text=True, cwd=self._home), 0
        assert done.returncode in (0, left), (program, arguments, done.stderr)
        return done.stdout

    def _here(self, word: str, key: str) -> str:
        places = {"KEY": key, "FILE": str(self._home / "data/lake" / key), "ID": self._run_id}
        folders = r"^(\.backup )?/(?=(data|new|backup)\b)"
        return places.get(word) or re.sub(folders, lambda match: f"{match[1] or ''}{self._home}/", word)


@pytest.mark.xdist_group("runbook")
def test_the_commands_of_the_runbook_that_are_marked_work_as_they_stand_there(
    adce: Callable[..., Result],
    server: dict[str, str],
    postgres: str,
    adce_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the order of the page, on one Prefect server and one ledger, with a lake of one file."""
    for name, value in {
        "ADCE_COLLECT__SEASONS": "[2023-24, 2025-26]",
        "ADCE_LAKE": str(adce_home / "data/lake"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(adce_home)
    for folder in ("data", "new", "backup"):
        (adce_home / folder).mkdir()
    for settings in ("deployed", "new", "OLD", "NEW"):
        (adce_home / f"{settings}.yaml").write_text("{}")
    sqlite3.connect(adce_home / "data/adce.db").close()
    shell = _Shell(adce, postgres, adce_home, monkeypatch)
    first = "adce setup && prefect --no-prompt deploy --all"  # the others need it
    commands = [command for command in _marked() if command != first]
    assert 30 < len(commands) < len(_marked())
    for command in (first, f"adce reconcile --dataset espn_scoreboard {SPAN}", *commands):
        shell.run(command)

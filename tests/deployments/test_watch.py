"""What does `adce watch` make of the messages that a real queue holds, and of those that are none?"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import Result

from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from tests.ecs import wait_until
from tests.servers import use_s3

Adce = Callable[..., Result]
STACK = (Path(__file__).parents[2] / "deployments/aws/stack.yaml").read_text()
DAY = {"yyyymmdd": "20260113", "date": "2026-01-13"}


class Lake:
    """A bucket that sends its events to a queue, and the sites whose files are put into it by somebody else."""

    def __init__(self, name: str, sites: SandboxProcess):
        self.s3, self.sqs, self.name, self.sites = boto3.client("s3"), boto3.client("sqs"), name, sites
        self.s3.create_bucket(Bucket=name)
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        events = {
            "QueueArn": self.attributes(self.queue)["QueueArn"],
            "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
        }
        self.s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"QueueConfigurations": [events]}
        )

    def through_eventbridge(self) -> str:
        """Has the events sent through EventBridge, to a queue that soon moves away what is not deleted.

        Returns the URL of the queue of dead letters.
        """
        dead = self.sqs.create_queue(QueueName=f"{self.name}-dead")["QueueUrl"]
        arns = {url: self.attributes(url)["QueueArn"] for url in (self.queue, dead)}
        redrive = json.dumps({"deadLetterTargetArn": arns[dead], "maxReceiveCount": 5})
        settings = {"VisibilityTimeout": "2", "RedrivePolicy": redrive}
        self.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes=settings)
        self.s3.put_bucket_notification_configuration(
            Bucket=self.name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        events = boto3.client("events")
        kinds = ["Object Created", "Object Deleted"]
        pattern = {"source": ["aws.s3"], "detail-type": kinds, "detail": {"bucket": {"name": [self.name]}}}
        events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": arns[self.queue]}])
        while self.left()["waiting"]:
            self.messages()
        return str(dead)

    def attributes(self, queue: str) -> dict[str, str]:
        found: dict[str, str] = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        return found

    def put(self, dataset: str, fields: dict[str, str]) -> tuple[str, Any]:
        """Puts the file that the sandbox serves into the lake. Returns its key and its content."""
        settings = load_config().datasets[dataset]
        with urllib.request.urlopen(self.sites.base_urls["espn"] + settings.request.format_map(fields)) as answer:
            body = answer.read()
        key = settings.keys[0].format_map(fields)
        self.s3.put_object(Bucket=self.name, Key=f"nba/{key}", Body=body)
        return key, json.loads(body)

    def left(self) -> dict[str, int]:
        """How many messages the queue has: those that wait, and those that it hides because they were received."""
        names = {"waiting": "ApproximateNumberOfMessages", "hidden": "ApproximateNumberOfMessagesNotVisible"}
        found = self.attributes(self.queue)
        return {name: int(found[attribute]) for name, attribute in names.items()}

    def messages(self) -> str:
        """The messages in the queue as the AWS command prints them, one a line. They are deleted there."""
        lines = []
        while found := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                lines.append(json.dumps(message))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return "\n".join(lines)


@pytest.fixture
def lake(adce_home: Path, s3: str, sites: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> Lake:
    use_s3(monkeypatch, s3)
    monkeypatch.setenv("ADCE_LAKE", "s3://watched/nba")
    return Lake("watched", sites)


def test_what_a_queue_tells_changes_the_states_of_files_and_of_those_that_follow_from_them(
    adce: Adce, lake: Lake, adce_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board, body = lake.put("espn_scoreboard", DAY)
    first = watch(adce, lake.messages())
    assert (first["received"], first["applied"]) == (2, 1)  # the other one is S3's test event
    assert why(adce, board)["state"] == "present"
    assert why(adce, board)["learnt"]["by"] == "event"

    game = {"id": body["events"][0]["id"]}
    summary = load_config().datasets["espn_summary"].keys[0].format_map(game)
    assert (why(adce, summary)["state"], why(adce, summary)["first_seen"] is None) == ("gap", False)
    assert lake.put("espn_summary", game)[0] == summary
    lake.s3.put_object(Bucket="watched", Key="nba/notes.txt", Body=b"x")
    lake.s3.put_object(Bucket="watched", Key=f"elsewhere/{summary}", Body=b"x")
    lake.s3.delete_object(Bucket="watched", Key=f"nba/{board}")
    messages = lake.messages()
    second = watch(adce, messages)
    counts = {"received": 4, "applied": 2, "already_known": 0, "own": 0, "foreign": 2, "unreadable": 0}
    assert {name: second[name] for name in counts} == counts
    assert 0 <= second["latency"]["p50"] <= second["latency"]["p99"] <= second["seconds"]
    assert (why(adce, summary)["state"], why(adce, board)["kind"]) == ("present", "vanished")
    assert "learnt" in adce("why", summary).stdout
    assert why(adce, board)["learnt"]["by"] == "event"
    assert "that it is gone: by an event of the lake" in adce("why", board).stdout

    assert json.loads(adce("sources", "--json").stdout)["events"] is None, "a file of messages is no watch"
    again = watch(adce, messages)
    assert (again["applied"], again["already_known"], again["foreign"]) == (0, 2, 2)


def test_what_cannot_be_read_is_counted_and_named_and_the_rest_is_taken_in(adce: Adce, lake: Lake) -> None:
    board, _ = lake.put("espn_scoreboard", DAY)
    lines = ["not JSON", *lake.messages().splitlines(), "", '{"Body": "{}"}', "\ufffd" * 5]
    result = adce("watch", "--from", "-", given="\n".join(lines))
    assert result.exit_code == 1
    assert result.stdout.startswith("5 messages: 1 applied, 1 already known, 3 unreadable\n")
    unreadable = [line for line in result.stderr.splitlines() if "unreadable" in line]
    assert unreadable[0] == "adce: unreadable: line 1: not JSON"
    assert unreadable[1].startswith("adce: unreadable: line 5: neither an S3 notification")
    assert "from receipt to state: half" in result.stdout
    assert why(adce, board)["state"] == "present"
    result = adce("watch", "--from", "-", "--json", given="x\n" * 30)
    assert json.loads(result.stdout)["errors"] == {f"line {number}": "not JSON" for number in range(1, 21)}
    assert json.loads(result.stdout)["latency"] == {"p50": None, "p99": None}, "no state follows from them"
    assert result.stderr.endswith("adce: unreadable: line 20: not JSON\nadce: unreadable: and 10 more\n")


def test_one_message_has_one_latency_and_another_bucket_is_named(adce: Adce, lake: Lake) -> None:
    lake.put("espn_scoreboard", DAY)
    [_, message] = lake.messages().splitlines()
    result = adce("watch", "--from", "-", given=message)
    assert result.stdout.startswith("1 message: 1 applied\nfrom receipt to state: within ")
    assert result.stderr == ""
    result = adce("watch", "--from", "-", given=message.replace("watched", "another") + "\n" + message)
    assert result.stdout.startswith("2 messages: 1 already known, 1 foreign\n")
    told = "messages of other buckets have come, as of another; the lake is s3://watched/nba"
    assert result.stderr == f"adce: warning: {told}\n"


def test_a_queue_that_is_not_there_is_to_be_named_where_it_was_named(
    adce: Adce, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"{lake.queue}-nowhere"
    for named, options in (("with --queue", ["--queue", nowhere]), ("in events.queue", [])):
        result = adce("watch", *options)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
        assert result.stderr.endswith(f"; name another {named}, or create it\n")
        monkeypatch.setenv("ADCE_EVENTS__QUEUE", nowhere)


def test_a_lake_in_a_folder_is_refused_before_anything_is_made(adce: Adce, adce_home: Path) -> None:
    result = adce("watch", "--from", "-", given="")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "a folder sends no events" in result.stderr
    assert not (adce_home / "ledger.db").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--from", "away.jsonl"], "--from away.jsonl: cannot be read: No such file or directory"),
        (["--from", "-"], "--from -: standard input is closed; name a file, or pass messages with a pipe"),
        (["--from", "x", "--until-empty", "--queue", "y"], "and --queue and --until-empty from a queue: leave one out"),
        (["--queue", ""], "--queue: not the address of a standard queue of SQS"),
        (["--queue", "x", "--progress-file", "."], "--progress-file: . is a folder; name a file in a folder"),
        (["--queue", "x", "--progress-file", ""], "--progress-file: . is a folder; name a file in a folder"),
        (["--queue", "x", "--progress-file", "away/x"], "--progress-file: away is no folder; name a file in a folder"),
    ],
)
def test_a_mistake_in_the_options_is_one_line(
    adce: Adce, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADCE_LAKE", "s3://lake")
    monkeypatch.setenv("ADCE_EVENTS__QUEUE", "arn:aws:sqs:us-east-1:123456789012:other")
    monkeypatch.setattr("deployments.cli.watch._standard_input", lambda: None)
    result = adce("watch", *options)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert line in result.stderr


def test_a_signal_before_the_watch_has_begun_is_answered_with_a_line(
    adce: Adce, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opening(*_: Any, **__: Any) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setenv("ADCE_LAKE", "s3://lake")
    monkeypatch.setattr("flows.watch.watch", opening)
    monkeypatch.setattr(os, "_exit", sys.exit)
    before = signal.getsignal(signal.SIGTERM)
    result = adce("watch", "--queue", "arn:aws:sqs:us-east-1:123456789012:other")
    line = "adce: stopped (SIGTERM) before the watch began: nothing is received\n"
    assert (result.exit_code, result.stderr) == (143, line)
    assert signal.getsignal(signal.SIGTERM) == before


def watch(adce: Adce, messages: str) -> dict[str, Any]:
    result = adce("watch", "--from", "-", "--json", given=messages)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def why(adce: Adce, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(adce("why", key, "--json").stdout)["answers"][0]
    return found


def test_what_eventbridge_sends_becomes_states_and_what_cannot_be_read_ends_as_a_dead_letter(
    adce: Adce, lake: Lake, adce_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dead, progress = lake.through_eventbridge(), adce_home / "progress"
    board, body = lake.put("espn_scoreboard", DAY)
    [dies] = lake.sqs.receive_message(QueueUrl=lake.queue)["Messages"]  # by a watch that was killed
    game = {"id": body["events"][0]["id"]}
    summary, _ = lake.put("espn_summary", game)
    lake.sqs.send_message(QueueUrl=lake.queue, MessageBody="no JSON")
    result = adce("watch", "--queue", lake.queue, "--until-empty", "--json", "--progress-file", str(progress))
    assert result.exit_code == 1, result.stderr
    found = json.loads(result.stdout)
    assert (found["applied"], found["unreadable"] > 0) == (2, True), "the queue has shown again what it hid"
    assert {why(adce, key)["state"] for key in (board, summary)} == {"present"}
    first, *rest = result.stderr.splitlines()  # without warnings, which the whole command shows
    assert first.startswith(
        "adce: info: receives what S3 tells of lake s3://watched/nba from queue arn:aws:sqs:us-east-1:"
    )
    assert "cannot be read: not JSON" in caplog.text
    [told] = [line for line in rest if " applied" in line]  # at most once a minute
    assert told.startswith("adce: info: ")
    assert json.loads(dies["Body"])["detail-type"] == "Object Created"
    assert json.loads(adce("sources", "--json").stdout)["events"] is None, "no queue is that of the lake"

    receive = {"QueueUrl": lake.queue, "VisibilityTimeout": 0}
    wait_until(lambda: lake.sqs.receive_message(**receive) and not any(lake.left().values()), "it is a dead letter")
    assert is_healthy(progress)
    os.utime(progress, (time.time() - 125,) * 2)  # as of a watch that hangs
    assert not is_healthy(progress)
    monkeypatch.setenv("ADCE_EVENTS__QUEUE", dead)
    result = adce("watch", "--until-empty", "--progress-file", str(progress))
    assert result.stdout.startswith("1 message: 1 unreadable\n")
    assert is_healthy(progress)
    told = adce("sources").stdout
    assert "; the queue was last read at " in told
    assert "the path of events is unproved: ADCE has stored nothing for a day" in told
    assert "of the queue could not be read in the last 180d; the last, received " in told


def is_healthy(progress: Path) -> bool:
    """What the health check of the service on ECS says."""
    [check] = [line.strip() for line in STACK.splitlines() if "os.path.getmtime" in line]
    code = check.removeprefix("- ").replace("/tmp/progress", str(progress))
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

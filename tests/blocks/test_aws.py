"""What do errors of AWS say, and from where are the credentials and the region?"""

import io
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoRegionError, ReadTimeoutError

from blocks.aws import Aws
from blocks.aws_errors import why_failed
from blocks.aws_session import session_of_environment
from tasks.domain.errors import LakeError
from tasks.observe.queue import Queue, QueueError
from tests.servers import use_s3

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/changes"
ARN = "arn:aws:sqs:us-east-1:123456789012:changes"


class Body(io.BytesIO):
    """The body of an answer, as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.read()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    use_s3(monkeypatch, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NoRegionError(), "NoRegionError: You must specify a region; name it in AWS_REGION"),
        (
            EndpointConnectionError(endpoint_url="http://a"),
            'EndpointConnectionError: Could not connect to the endpoint URL: "http://a"; see AWS_ENDPOINT_URL_SQS',
        ),
        (
            ReadTimeoutError(endpoint_url="http://a"),
            'ReadTimeoutError: Read timeout on endpoint URL: "http://a"',
        ),
        (ClientError({"Error": {"Code": "500", "Message": "one\ntwo."}}, "x"), "500: one two"),
        (
            ClientError({"Error": {"Code": "503", "Message": ""}}, "x"),
            "503: An error occurred (503)",
        ),
        (ClientError({"Error": {"Code": "Long", "Message": "x" * 9999}}, "x"), f"Long: {'x' * 300}"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_one_line_that_says_what_to_do(error: ClientError | BotoCoreError, line: str) -> None:
    assert why_failed(error, "sqs").startswith(line)
    assert len(why_failed(error, "sqs")) < 400


@pytest.mark.parametrize(
    ("status", "kind", "line"),
    [
        (
            200,
            "text/html; charset=utf-8",
            "HTTP 200, and a page of HTML, which is no answer of AWS; see AWS_",
        ),
        (501, "text/html", "HTTP 501, and a page of HTML, which is no answer of AWS; see AWS_ENDPOINT_URL_SQS"),
        (200, "application/json", "the answer lacks "),
    ],
)
@pytest.mark.parametrize(
    "use",
    [lambda aws: Queue(ARN, aws, 1, 1), lambda aws: Queue(URL, aws, 1, 1).facts()],
    ids=["found", "looked_at"],
)
def test_an_answer_of_another_program_is_one_line(status: int, kind: str, line: str, use: Callable[[Aws], Any]) -> None:
    session = boto3.Session()
    answer = AWSResponse(URL, status, {"Content-Type": kind}, Body(b"<html>\nPlease log in\n</html>"))
    session.events.register("before-send", lambda **_: answer)
    with pytest.raises(QueueError, match="cannot be") as raised:
        use(Aws(session))
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_receives_from_another_program_is_not_told_that_the_queue_is_empty() -> None:
    session = boto3.Session()
    answer = AWSResponse(URL, 200, {"Content-Type": "text/html"}, Body(b"<html>"))
    session.events.register("before-send", lambda **_: answer)
    with pytest.raises(QueueError, match="cannot be received from"):
        Queue(URL, Aws(session), 1, 1).receive()


def test_the_region_may_be_named_as_for_other_programs_and_a_profile_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert session_of_environment().region_name == "eu-west-3"
    monkeypatch.setenv("AWS_PROFILE", "nope")
    with pytest.raises(LakeError, match=r"profile \(nope\) could not be found; correct AWS_PROFILE, or unset it$"):
        session_of_environment()

"""What can go wrong outside ADCE, and can it heal?"""

from datetime import timedelta

import pytest

from tasks.domain.errors import (
    AbsentError,
    AdceError,
    BucketError,
    FetchError,
    HealingError,
    LakeError,
    NoObjectError,
    PausedError,
    Reach,
    RefusedError,
    UnfinishedError,
    UnreadableError,
)
from tasks.domain.limits.pauses import FOR_EVER
from tasks.domain.outcomes import Failure
from tasks.domain.reasons import Limit, Reason
from tests.builders import NOW


def test_a_password_in_a_message_is_masked() -> None:
    assert str(AdceError("no answer from https://me:hunter22@host/x")) == "no answer from https://***@host/x"
    assert str(AdceError()) == ""


def test_an_error_says_of_no_request_unless_somebody_has_counted() -> None:
    assert AdceError().requests == 0
    paused = PausedError(Reason(Limit.BACKOFF, "source paused"), NOW)
    assert (paused.refusal, paused.refusals) == (None, 0)


def test_an_error_of_the_lake_says_how_much_of_it_is_concerned() -> None:
    assert LakeError("the disk is full").reach is Reach.LAKE, "when nobody knows better"
    assert LakeError("no such folder", Reach.FOLDER).reach is Reach.FOLDER
    assert NoObjectError("nothing there").reach is Reach.KEY
    assert UnreadableError("it is archived", "InvalidObjectState").reach is Reach.KEY
    assert str(NoObjectError("nothing there")) == "nothing there"


def test_an_object_that_cannot_be_read_says_why() -> None:
    error = UnreadableError("s3://bucket/key: it is archived", "it is archived")
    assert (str(error), error.cause) == ("s3://bucket/key: it is archived", "it is archived")


def test_a_refusal_may_heal_and_an_absence_does_not() -> None:
    assert issubclass(RefusedError, HealingError)
    assert issubclass(UnfinishedError, AbsentError)
    assert not issubclass(AbsentError, HealingError)
    assert issubclass(AbsentError, FetchError)


def test_a_failed_answer_tells_what_the_source_asks_for_and_nothing_by_itself() -> None:
    plain, asked = HealingError("HTTP 500"), HealingError("HTTP 503", timedelta(seconds=9), unreachable=True)
    assert (str(plain), plain.wait, plain.unreachable) == ("HTTP 500", None, False)
    assert (str(asked), asked.wait, asked.unreachable) == ("HTTP 503", timedelta(seconds=9), True)
    plain = RefusedError("HTTP 429")
    assert (str(plain), plain.wait, plain.shut_out, plain.too_fast) == ("HTTP 429", None, False, False)
    asked = RefusedError("HTTP 429", timedelta(seconds=9), shut_out=True, too_fast=True)
    assert (asked.wait, asked.shut_out, asked.too_fast) == (timedelta(seconds=9), True, True)


def test_an_unfinished_document_comes_with_its_error() -> None:
    error = UnfinishedError("no plays", b"{}")
    assert (str(error), error.body) == ("no plays", b"{}")


def test_what_is_held_says_by_which_limit_and_until_when() -> None:
    reason = Reason(Limit.BACKOFF, "source paused", NOW, "espn")
    error = PausedError(reason, NOW)
    assert (str(error), error.reason, error.until) == ("source paused", reason, NOW)
    assert error.known_end == NOW


def test_of_a_pause_with_no_end_none_is_known() -> None:
    """Its end is the last moment that Python knows, which no ledger can keep."""
    assert PausedError(Reason(Limit.OPERATOR_PAUSE, "paused with no end"), FOR_EVER).known_end is None


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (AdceError(), Failure.OTHER),
        (BucketError(), Failure.OTHER),
        (LakeError("the disk is full"), Failure.LAKE),
        (UnreadableError("it is archived", "it is archived"), Failure.LAKE),
        (FetchError("HTTP 400"), Failure.UNFIT),
        (AbsentError("HTTP 404"), Failure.ABSENT),
        (UnfinishedError("3 of 9 plays", b"{}"), Failure.UNFINISHED),
        (HealingError("HTTP 500"), Failure.BROKEN),
        (HealingError("no connection", unreachable=True), Failure.UNREACHABLE),
        (RefusedError("HTTP 429"), Failure.REFUSED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AdceError) else value.value,
)
def test_an_error_says_why_the_attempt_at_a_file_failed(error: AdceError, failure: Failure) -> None:
    assert error.failure is failure

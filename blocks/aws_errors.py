"""What does an error of AWS say, and what is to be done?"""

from __future__ import annotations

import os
from typing import Any

from tasks.domain.wording import one_line

_LONGEST_TEXT = 300  # characters of what a service says
# What to do about errors of the settings, by their code
_REMEDIES = {
    "NoRegionError": "name it in AWS_REGION",
    "InvalidRegionError": "correct AWS_REGION",
    "ProfileNotFound": "correct AWS_PROFILE, or unset it",
}
_IS_AWAY = ("EndpointConnectionError", "ConnectTimeoutError", "SSLError", "NoAnswerError")
# Errors before a request was sent, by their code
_UNSENT = (
    *_REMEDIES,
    *("EndpointConnectionError", "ConnectTimeoutError", "ParamValidationError", "ValueError"),
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
    *("TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
)


class NoAnswerError(Exception):
    """A page of HTML was the answer, which no service of AWS gives."""


def code_of(error: Exception) -> str:
    """The code of an error of a service of AWS or of boto3, such as AccessDenied or NoRegionError."""
    return str(_answer(error).get("Code") or type(error).__name__)


def why_failed(error: Exception, service: str) -> str:
    """The code of an error of a service of AWS or of boto3, what it says, and what to do, in one line."""
    code, remedy = code_of(error), _REMEDIES.get(code_of(error))
    said = _answer(error).get("Message") or str(error)
    line = f"{code}: {one_line(said)[:_LONGEST_TEXT]}".strip().rstrip(".:")
    if code in _IS_AWAY:
        names = (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL")
        remedy = next((f"see {name}" for name in names if os.environ.get(name)), None)
    return f"{line}; {remedy}" if remedy else line


def is_without_effect(error: Exception) -> bool:
    """Does this error of a request prove that the service has done nothing of what was asked?

    It does if no request was sent, or if the service refuses the request by a code of its own.
    """
    response = getattr(error, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    is_refused = 400 <= status < 500 and not code_of(error).isdigit()  # a proxy's answer has its status for a code
    return is_refused or code_of(error) in _UNSENT


def _answer(error: Exception) -> dict[str, Any]:
    """What the service has answered of the error; nothing if it did not answer, as with a ReadTimeoutError."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return response.get("Error") or {}

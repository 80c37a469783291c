"""With which credentials, and at which address, are the services of AWS beside S3 asked?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blocks.aws_errors import NoAnswerError
from blocks.aws_session import session_of_environment
from config.models import Config

if TYPE_CHECKING:  # importing boto3 takes half a second, and only some commands need it
    import boto3

_CONNECT_SECONDS = 5


@dataclass(frozen=True)
class Aws:
    """The credentials of the lake. `endpoint` is the address of services that are not Amazon's."""

    session: boto3.Session
    endpoint: str | None = None

    def client(
        self,
        service: str,
        region: str | None = None,
        *,
        read_seconds: float = 10,
        connections: int = 4,
        attempts: int = 3,
    ) -> Any:
        """A client of a service, whose answers may take some seconds, and that asks up to so many times.

        Raises BotoCoreError or ValueError for a wrong region or address. A request raises BotoCoreError, ClientError or
        NoAnswerError.
        """
        from botocore.config import Config as Settings

        settings = Settings(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=connections,
        )
        client = self.session.client(service, region, endpoint_url=self.endpoint, config=settings)
        client.meta.events.register("after-call", _check_answer)
        return client


async def aws_of(config: Config) -> Aws:
    """The credentials that the configuration names for the lake.

    Raises LakeError if their block or their profile does not exist.
    """
    if config.aws_credentials is None:
        return Aws(session_of_environment())
    from blocks.lake import credentials_of  # not at the top: it imports Prefect, which takes seconds

    credentials = await credentials_of(config.aws_credentials)
    return Aws(credentials.get_boto3_session(), credentials.aws_client_parameters.endpoint_url)


def _check_answer(http_response: Any, **_: Any) -> None:
    """Raises NoAnswerError if a proxy or another program has answered, and not AWS."""
    is_text = http_response.headers.get("Content-Type", "").startswith("text/html")
    if is_text and http_response.content.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise NoAnswerError(f"HTTP {http_response.status_code}, and a page of HTML, which is no answer of AWS")

"""Does a Prefect server answer at the address that Prefect's settings name?"""

from __future__ import annotations

import asyncio

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from deployments.prefect_api.unusable import REFUSALS
from tasks.domain.errors import AdceError

_WITHIN = 10  # seconds in which a server has to answer; a healthy one takes a few milliseconds


async def check_api() -> None:
    """Raises AdceError if no Prefect server answers there in time. Without an address there is nothing to check.

    An error of the connection, a refusal of the credentials and an error of the server are raised as they are.
    """
    url = PREFECT_API_URL.value()
    if not url:
        return
    try:
        async with asyncio.timeout(_WITHIN), get_client() as client:
            answer = await client._client.get("/health")
    except (TimeoutError, httpx.TimeoutException):
        raise AdceError(
            f"the Prefect API at {url} has not answered within {_WITHIN} s: its process hangs, or the network loses "
            "what is sent; restart the server, or unset PREFECT_API_URL"
        ) from None
    except httpx.HTTPStatusError as error:
        if error.response.status_code in REFUSALS or error.response.status_code >= 500:
            raise
        answer = error.response
    except httpx.RemoteProtocolError:
        raise _not_prefect(url, "no HTTP") from None
    if answer.text.strip() != "true":
        raise _not_prefect(url, f"HTTP {answer.status_code}")


def _not_prefect(url: str, answers: str) -> AdceError:
    return AdceError(
        f"what answers at {url} is not a Prefect API ({answers}); PREFECT_API_URL is an address such as "
        "http://127.0.0.1:4200/api"
    )

"""How is a Prefect server's REST API asked? Each answer is checked, and everything odd is one error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from deployments.prefect_api.settings import api_key, tls
from tasks.domain.errors import AdceError
from tasks.upstream.prefect_api import trouble
from tasks.upstream.retry_after import retry_after

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

T = TypeVar("T")
Json = Mapping[str, Any]

PAGE = 200  # the most objects that Prefect returns at once
MOST = 10_000  # the most objects that one filter returns here, over all pages
_HEALING = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)
_WITHIN = 5.0  # seconds in which the API has to answer

_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


class PrefectApiError(AdceError):
    """The API did not give a proper answer.

    `trouble` says what it did instead, such as "answers HTTP 503". `refused` is the answer with an HTTP error, if there
    was one.
    """

    def __init__(self, server: str, trouble: str, refused: httpx.Response | None = None):
        super().__init__(f"the Prefect API at {server} {trouble}")
        self.trouble = trouble
        self.refused = refused

    @property
    def is_not_found(self) -> bool:
        """Does the API not have the object?"""
        return self.refused is not None and self.refused.status_code == httpx.codes.NOT_FOUND

    @property
    def can_heal(self) -> bool:
        """May the same request succeed later? A refusal, such as HTTP 404, stays one; HTTP 408 and 429 do not."""
        return self.refused is None or self.refused.is_server_error or self.refused.status_code in _HEALING

    @property
    def wait(self) -> timedelta:
        """How long the API asks to wait before the next request; zero if it does not say."""
        asked = retry_after(self.refused, datetime.now(UTC)) if self.refused is not None else None
        return asked or timedelta()


class PrefectApi:
    """The API of one Prefect server. Each method raises PrefectApiError."""

    def __init__(self, http: httpx.AsyncClient):
        self._http = http
        self.server = str(http.base_url).rstrip("/")

    @classmethod
    def of_client(cls, client: PrefectClient) -> PrefectApi:
        """The API of the server with which a client of Prefect's is connected."""
        return cls(client._client)

    async def get(self, path: str, form: type[T]) -> T:
        """What is at a path, which has to have a form: a model of pydantic, or a list of them."""
        return await self._asked("GET", path, form, None)

    async def post(self, path: str, body: Json, form: type[T]) -> T:
        """The answer to a body, which has to have a form."""
        return await self._asked("POST", path, form, body)

    async def all(self, path: str, wanted: Json, form: type[T], most: int = MOST) -> list[T]:
        """The objects that a filter finds, page by page, at most so many.

        If the filter names no order, they come in that of Prefect's: by name, priority, id or time, as the path has it.
        """
        found: list[T] = []
        while len(found) < most:
            limit = min(PAGE, most - len(found))
            page = await self.post(path, {**wanted, "limit": limit, "offset": len(found)}, list[form])  # type: ignore[valid-type]
            found += page
            if len(page) < limit:
                break
        return found

    async def _asked(self, method: str, path: str, form: type[T], body: Json | None) -> T:
        try:
            answer = await self._http.request(method, path, json=body)
            if answer.status_code == httpx.codes.FORBIDDEN and "CSRF" in answer.text:
                await self._get_csrf_token()
                answer = await self._http.request(method, path, json=body)
            answer.raise_for_status()
            checked: T = _adapter(form).validate_json(answer.content)
            return checked
        except httpx.HTTPStatusError as error:
            raise PrefectApiError(self.server, trouble(error), error.response) from None
        except httpx.HTTPError as error:
            raise PrefectApiError(self.server, trouble(error)) from None
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            odd = f"gives no answer of Prefect's to {path} ({f'{where}: ' if where else ''}{first['msg']})"
            raise PrefectApiError(self.server, odd) from None

    async def _get_csrf_token(self) -> None:
        """Has the client send the token that a server with PREFECT_SERVER_CSRF_PROTECTION_ENABLED asks for."""
        client = str(uuid4())
        answer = (await self._http.get("/csrf-token", params={"client": client})).raise_for_status()
        token = _adapter(_CsrfToken).validate_json(answer.content).token
        self._http.headers.update({"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": token})


class _CsrfToken(BaseModel):
    token: str


@asynccontextmanager
async def api_of(server: str) -> AsyncIterator[PrefectApi]:
    """The API of a Prefect server, which has to give each answer within 5 seconds.

    The key PREFECT_API_KEY is sent to no other server than the one that PREFECT_API_URL names. Raises PrefectApiError.
    """
    key = api_key(server)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        client = httpx.AsyncClient(base_url=server, headers=headers, timeout=_WITHIN, verify=tls())
    except httpx.InvalidURL as error:
        raise PrefectApiError(server, f"has no valid address ({error})") from None
    async with client as http:
        yield PrefectApi(http)

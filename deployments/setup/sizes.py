"""How large have the ledger and Prefect's database grown?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_API_URL, PREFECT_HOME
from pydantic import BaseModel

from config.models import Config
from config.secrets import masked
from deployments.prefect_api.client import PrefectApi, PrefectApiError
from deployments.prefect_api.flow_runs import in_states
from deployments.setup.exposure import is_loopback
from tasks.domain.flow_states import AT_WORK, FINAL
from tasks.domain.wording import duration, plural, size

_CONNECT_SECONDS = 5
# Of the runs of ADCE, those that are not to come.
_BEGUN = {"tags": {"all_": ["adce"]}} | in_states("PENDING", *AT_WORK, *FINAL)


async def sizes(config: Config) -> list[str]:
    """A line for each size that can be found out: of the ledger, of Prefect's database, and how many runs it keeps.

    The database of a Prefect server is found by the settings here, if that server is on this machine and has the same
    PREFECT_HOME. No API tells where it is.
    """
    lines = [*_size_of("ledger", config.ledger)]
    try:
        async with get_client() as client:
            api = PrefectApi.of_client(client)
            settings = await api.get("/admin/settings", _Settings)
            runs = await api.post("/flow_runs/count", {"flow_runs": _BEGUN}, int)
    except PrefectApiError:  # another server, such as Prefect Cloud, tells less
        return lines
    url = PREFECT_API_URL.value()
    is_here = settings.PREFECT_HOME.expanduser() == PREFECT_HOME.value() and is_loopback(
        httpx.URL(url or "http://localhost").host
    )
    if is_here or not url:
        lines += _size_of("Prefect's database", PREFECT_API_DATABASE_CONNECTION_URL.value())
    return [*lines, f"{plural(runs, 'run')} of ADCE in Prefect, kept for {duration(config.keep.runs)}"]


class _Settings(BaseModel):
    PREFECT_HOME: Path


def _size_of(what: str, database: str) -> Iterator[str]:
    with suppress(sa.exc.SQLAlchemyError, OSError, ValueError):  # ValueError: the port of a URL is not a number
        url = sa.make_url(database)
        if url.get_backend_name() == "sqlite":
            yield f"{what} {url.database}: {size(_file_size(Path(url.database or '')))}"
        else:
            yield f"{what} {masked(url.render_as_string())}: {size(_server_size(url))}"


def _file_size(file: Path) -> int:
    """The size of a SQLite database, with what was written last. Raises OSError if there is none."""
    log = file.with_name(f"{file.name}-wal")
    return file.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _server_size(url: sa.URL) -> int:
    address = url.set(drivername="postgresql+psycopg", query={})
    engine = sa.create_engine(address, connect_args={"connect_timeout": _CONNECT_SECONDS})
    try:
        with engine.connect() as connection:
            return int(connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one())
    finally:
        engine.dispose()

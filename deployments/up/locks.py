"""Is another `adce up` using this folder, ledger or database? It holds a lock, which ends with its process."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_fixed

from deployments.up.children import GivenUp
from deployments.up.databases import ledger_engine, prefect_engine
from deployments.up.prefect_database import cause
from tasks.domain.errors import AdceError
from tasks.ledger.database import LASTING, address_of, failure, file_of, name_of

log = logging.getLogger(__name__)

_OPENS_WITHIN = 30.0  # seconds
_KEY = 0x61646365  # "adce"; the key of an advisory lock of PostgreSQL, on Prefect's database
_KEY_OF_LEDGER = _KEY + 1
_HOLDER = sa.text(
    "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory' "
    "AND datname = current_database() AND classid = 0 AND objid = :key AND granted"
)


@contextmanager
def exclusive_lock(lock: Path, advice: str, what: str | None = None) -> Iterator[None]:
    """Holds the lock on the file `lock` during the block. Processes that are started meanwhile do not inherit it.

    Raises AdceError if another process holds the lock. The error names that process and what is locked, which is the
    folder unless `what` says otherwise, and ends with `advice`.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+")
    except OSError as error:
        raise AdceError(f"{lock}: cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AdceError(_in_use(what or f"{lock.parent}", f"process {file.read()}", advice)) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def advisory_lock(address: str, advice: str) -> AbstractContextManager[None]:
    """Holds a lock on Prefect's database, which is one of PostgreSQL, during the block.

    Raises AdceError as exclusive_lock does, and GivenUp if the database cannot be reached within half a minute.
    """
    database, engine = prefect_engine(address, _this_process())
    return _database_lock(engine, database, _KEY, advice, lambda error: GivenUp(f"{database}: {cause(error)}"))


def ledger_lock(ledger: str, advice: str) -> AbstractContextManager[None]:
    """Holds a lock on the ledger at this URL during the block. A ledger in memory is nobody else's.

    Raises AdceError as exclusive_lock does, and GivenUp if its database cannot be reached within half a minute.
    """
    address = address_of(ledger)
    if address.get_backend_name() == "postgresql":
        what, engine = ledger_engine(address, _this_process())
        return _database_lock(
            engine, what, _KEY_OF_LEDGER, advice, lambda error: GivenUp(str(failure(address, "opened", error)))
        )
    file = file_of(address)
    if file is None or not file.parent.is_dir():  # whoever opens the ledger says that there is no folder
        return nullcontext()
    file = file.resolve()
    return exclusive_lock(file.with_name(f"{file.name}.up.lock"), advice, f"ledger {name_of(address)}")


@contextmanager
def _database_lock(
    engine: sa.Engine, what: str, key: int, advice: str, away: Callable[[SQLAlchemyError], AdceError]
) -> Iterator[None]:
    """Holds a lock on a database of PostgreSQL during the block, for as long as its connection lasts.

    It is the lock of a session: a transaction that stays open would hold up migrations and keep dead rows.
    """
    try:
        connection = _patiently(engine.connect, what).execution_options(isolation_level="AUTOCOMMIT")
        is_ours = connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key)))
        holder = None if is_ours else connection.scalar(_HOLDER, {"key": key})
    except SQLAlchemyError as error:
        raise away(error) from None
    try:
        if not is_ours:
            raise AdceError(_in_use(what, holder or "which has just ended", advice))
        yield
    finally:
        connection.invalidate()  # it may be broken, so that nothing can be asked of it
        engine.dispose()


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _patiently(connect: Callable[[], sa.Connection], database: str) -> sa.Connection:
    """A connection to a database whose server may be starting. Raises SQLAlchemyError."""

    def note(state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        if state.attempt_number == 1 and isinstance(error, SQLAlchemyError):
            log.warning("%s: %s; trying again every second, for at most %g s", database, cause(error), _OPENS_WITHIN)

    trying = Retrying(
        retry=retry_if_exception(lambda error: not any(word in str(error) for word in LASTING)),
        stop=stop_after_delay(_OPENS_WITHIN),
        wait=wait_fixed(1),
        before_sleep=note,
        reraise=True,
    )
    return trying(connect)


def _in_use(what: str, holder: str, advice: str) -> str:
    return f"{what} is in use by another `adce up`, {holder}; {advice}"

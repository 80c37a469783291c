"""Does `adce up` run the whole system, keep it running, and leave nothing behind? With real processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_API_URL, temporary_settings

from config.load import load_config
from config.models import Serve
from deployments.up.children import Children
from deployments.up.lines import LogFormat, Printer
from deployments.up.locks import advisory_lock, exclusive_lock, ledger_lock
from deployments.up.system import System, prepare_ledger
from tasks.domain.errors import AdceError
from tasks.ledger.database import address_of, name_of
from tasks.log_lines import LOG_FORMAT
from tests.builders import a_config
from tests.old_ledger import make_old_ledger
from tests.servers import free_port, http_server, new_database

ROOT = Path(__file__).parents[2]
ADCE = str(Path(sys.executable).with_name("adce"))


def test_one_system_a_folder(adce: Callable[..., Any], tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "up.lock", "stop it"):
        result = adce("up", "--sandbox", "--home", str(tmp_path), "--port", "1")
    assert result.exit_code == 2
    assert result.stderr == (
        f"adce: {tmp_path} is in use by another `adce up`, process {os.getpid()}; stop it, or name another folder with "
        "--home\n"
    )
    assert not (tmp_path / "lake").exists()


def test_one_server_a_database(adce: Callable[..., Any], tmp_path: Path) -> None:
    database = {
        PREFECT_API_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{tmp_path}/prefect.db",
        PREFECT_API_URL: None,
    }
    with temporary_settings(database), exclusive_lock(tmp_path / "prefect.db.up.lock", "stop it"):
        result = adce("up", "--port", "1")
    assert result.exit_code == 2
    assert result.stderr == (
        f"adce: {tmp_path} is in use by another `adce up`, process {os.getpid()}; stop it, or let PREFECT_HOME name "
        "another folder\n"
    )


def test_one_server_a_database_of_postgresql(adce: Callable[..., Any], postgres: str) -> None:
    address = f"postgresql+asyncpg://{new_database(postgres, 'one_server')}"
    used = {PREFECT_API_DATABASE_CONNECTION_URL: address, PREFECT_API_URL: None}
    with temporary_settings(used):
        with advisory_lock(address, "stop it"):
            result = adce("up", "--port", "1")
        assert result.exit_code == 2
        assert result.stderr == (
            "adce: Prefect's database one_server at 127.0.0.1 is in use by another `adce up`, "
            f"process {os.getpid()} on {socket.gethostname()}; "
            "stop it, or let PREFECT_API_DATABASE_CONNECTION_URL name another database\n"
        )
        with advisory_lock(address, "stop it"):
            pass


def test_a_ledger_whose_server_is_away_may_be_there_when_systemd_starts_it_again(
    adce: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.up.locks._OPENS_WITHIN", 0.0)
    monkeypatch.setenv("ADCE_LEDGER", f"postgresql://adce@127.0.0.1:{free_port()}/adce")
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        result = adce("up")
    assert result.exit_code == 1, "with 2, it would not be started again"
    assert "given up: ledger postgresql" in result.stdout
    assert "Connection refused" in result.stdout


def test_one_system_a_ledger_whichever_server_it_uses(
    adce: Callable[..., Any], adce_home: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_server = f"postgresql://{new_database(postgres, 'one_ledger')}"
    here, there = f"process {os.getpid()}", f"process {os.getpid()} on {socket.gethostname()}"
    named = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    for ledger, holder in ((os.environ["ADCE_LEDGER"], here), (on_server, there)):
        monkeypatch.setenv("ADCE_LEDGER", ledger)
        with temporary_settings(named), ledger_lock(ledger, "stop it"):
            result = adce("up")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == (
            f"adce: ledger {name_of(address_of(ledger))} is in use by another `adce up`, {holder}; stop it, or start "
            "only one more worker: prefect worker start --pool adce\n"
        )
        with ledger_lock(ledger, "stop it"):
            pass
    engine = sa.create_engine(address_of(on_server))
    open_transactions = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'one_ledger' AND backend_xmin IS NOT NULL"
    )
    with ledger_lock(on_server, ""), engine.connect() as connection:
        others = connection.scalar(sa.text(f"{open_transactions} AND pid <> pg_backend_pid()"))
    engine.dispose()
    assert others == 0, "the lock would hold up migrations and vacuum"
    [lock] = adce_home.rglob("*.up.lock")
    link = adce_home / "link.db"
    link.symlink_to(lock.with_name(lock.name.removesuffix(".up.lock")))
    with ledger_lock(f"sqlite:///{link}", ""), pytest.raises(AdceError), exclusive_lock(lock, ""):
        pass


def test_a_database_of_postgresql_that_is_away_may_be_tried_again(
    adce: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("deployments.up.locks._OPENS_WITHIN", 0.5)
    address = f"postgresql+asyncpg://me:secret@127.0.0.1:{free_port()}/prefect"
    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: address, PREFECT_API_URL: None}):
        result = adce("up")
    assert result.exit_code == 1
    assert " error    given up: Prefect's database prefect at 127.0.0.1: connection failed: " in result.stdout
    assert "secret" not in result.stdout
    [waiting] = [record.getMessage() for record in caplog.records if record.name == "deployments.up.locks"]
    assert waiting.endswith("; trying again every second, for at most 0.5 s")


def test_the_death_of_who_holds_a_lock_frees_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    pauses = (
        "import pathlib, sys, time; from deployments.up.locks import exclusive_lock\n"
        "with exclusive_lock(pathlib.Path(sys.argv[1]), ''): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", pauses, lock], stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(AdceError, match=f"process {holder.pid}; wait"), exclusive_lock(lock, "wait"):
            pass
        holder.kill()
        holder.wait()
        with exclusive_lock(lock, "wait"):
            pass


def test_the_ui_of_the_demonstration_tells_nobody_and_writes_nothing() -> None:
    told = subprocess.run(["make", "--dry-run", "ui"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for setting in ("SERVER_ANALYTICS", "API_SERVICES_FLOW_RUN_NOTIFICATIONS"):
        assert f"PREFECT_{setting}_ENABLED=false" in told


def test_a_port_that_is_in_use_is_one_line(adce: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = adce("up", "--port", str(port))
    assert result.exit_code == 2
    assert result.stderr == (
        f"adce: port {port} is in use; take another with --port, or, if a Prefect server is there, "
        f"use it: export PREFECT_API_URL=http://127.0.0.1:{port}/api\n"
    )


def test_a_server_that_is_named_and_does_not_answer_is_one_line_and_may_be_tried_again(
    adce: Callable[..., Any],
) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        result = adce("up")
    assert result.exit_code == 1
    assert f"given up: the Prefect API at {url} cannot be reached; start it, or unset PREFECT_API_URL" in result.stdout


def test_a_server_that_is_named_and_is_no_prefect_hangs_or_refuses_access_is_one_line(
    adce: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, document, closed = http_server(200, b"<html>"), http_server(200, b"{}"), http_server(401, b"")
    fails = http_server(500, b"")
    silent = socket.create_server(("127.0.0.1", 0))
    with page as html, document as json, closed as private, fails as broken, silent:
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for address, line in (
            (html, "what answers at {} is not a Prefect API (HTTP 200); "),
            (json, "what answers at {} is not a Prefect API (HTTP 200); "),
            (private, "the Prefect API at {} refuses access with HTTP 401; is PREFECT_API_KEY right?"),
            (broken, "the Prefect API at {} answers HTTP 500; look at its log, and whether its disk is full"),
            (hanging, "the Prefect API at {} has not answered within 0.5 s: "),
        ):
            if address == hanging:
                monkeypatch.setattr("deployments.setup.api._WITHIN", 0.5)
            with temporary_settings({PREFECT_API_URL: f"{address}/api"}):
                result = adce("up")
            assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
            assert f"given up: {line.format(f'{address}/api')}" in result.stdout.splitlines()[-1]


def test_the_sandbox_is_never_laid_over_somebody_s_lake(adce: Callable[..., Any]) -> None:
    result = adce("up", "--sandbox", "--lake", "s3://real")
    assert (result.exit_code, result.stderr) == (2, "adce: --sandbox has a lake of its own: leave out --lake\n")


def test_what_the_first_runs_collect_is_told_by_a_process_that_may_fail_and_whose_time_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADCE_LAKE", f"{tmp_path / 'lake'}")
    monkeypatch.setenv("ADCE_LEDGER", f"{tmp_path / 'ledger.db'}")
    system = System(load_config(), 1, None, Printer(LogFormat.TEXT))

    async def story() -> None:
        children = Children(print)
        await system.announce_first_runs(children)
        for program in ("pass", "print('no JSON')"):
            monkeypatch.setattr("deployments.up.system._FIRST_RUN", [sys.executable, "-S", "-c", program])
            await system.announce_first_runs(children)
        sleeps = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
        monkeypatch.setattr("deployments.up.system._FIRST_RUN", sleeps)
        monkeypatch.setattr("deployments.up.system._LISTS_WITHIN", timedelta(seconds=0.1))
        await system.announce_first_runs(children)
        await children.stop()

    asyncio.run(story())
    first, *_, how, silent, unreadable, late = capsys.readouterr().out.splitlines()
    assert " UTC  info     the first run of this lake; it is to hold " in first
    assert "to collect less, set `collect` in the configuration" in how
    for line in (silent, unreadable):
        assert line.endswith(
            "UTC  warning  what the first runs will collect is not known: the process that looks has printed nothing "
            "of it; `adce plan` tells it"
        )
    assert late.endswith(
        "UTC  warning  what the first runs will collect is not known: the lake has not been listed within 0.1s; `adce "
        "plan` tells it"
    )


@pytest.mark.parametrize("format", LogFormat)
def test_the_log_of_the_service_has_the_form_of_that_of_the_system(format: LogFormat) -> None:
    config = a_config(serve=Serve(port=free_port()))
    service = System(config, 1, None, Printer(format)).service()
    assert service
    assert (service.env.get(LOG_FORMAT) == "json") is (format is LogFormat.JSON)


def test_the_unit_of_systemd_is_right(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    unit = (ROOT / "deployments/up/adce.service").read_text()
    copy = tmp_path / "adce.service"
    copy.write_text(unit.replace("/opt/adce/.venv/bin/adce", ADCE))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_ledger_of_an_older_version_is_migrated_before_anything_starts(tmp_path: Path) -> None:
    config = a_config(ledger=f"sqlite:///{tmp_path / 'ledger.db'}")
    said: list[str] = []
    prepare_ledger(a_config(ledger=f"sqlite:///{tmp_path / 'new.db'}"), said.append)
    assert said == []
    make_old_ledger(config.ledger, "0018")
    for _ in range(2):
        prepare_ledger(config, said.append)
        [line] = said
        assert line.startswith(f"ledger {config.ledger} is migrated from schema 0018 to ")

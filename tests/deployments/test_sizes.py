"""What does `adce setup --check` tell of sizes, by what a server answers?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from deployments.setup import sizes as module
from deployments.setup.sizes import sizes
from tests.builders import a_config


def said(
    answer: Callable[[httpx.Request], httpx.Response], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    class Client:
        async def __aenter__(self) -> Any:
            transport = httpx.MockTransport(answer)
            return SimpleNamespace(_client=httpx.AsyncClient(base_url="http://server/api", transport=transport))

        async def __aexit__(self, *_: object) -> None: ...

    monkeypatch.setattr(module, "get_client", Client)
    (tmp_path / "adce.db").write_bytes(b"0" * 2000)
    config = a_config().model_copy(update={"ledger": f"sqlite:///{tmp_path}/adce.db"})
    return asyncio.run(sizes(config))


@pytest.mark.parametrize("answer", [httpx.Response(404, json={"detail": "no"}), httpx.Response(200, text="<html>")])
def test_the_ledger_is_told_also_if_a_server_tells_less_than_prefects_own(
    answer: httpx.Response, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(lambda _: answer, tmp_path, monkeypatch) == [f"ledger {tmp_path}/adce.db: 2 kB"]


def test_runs_that_are_to_come_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = ["SCHEDULED"] * 76 + ["PENDING", "RUNNING", "COMPLETED"]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/settings"):
            return httpx.Response(200, json={"PREFECT_HOME": "/elsewhere"})
        wanted = json.loads(request.content)["flow_runs"].get("state", {"type": {"any_": states}})
        return httpx.Response(200, json=sum(state in wanted["type"]["any_"] for state in states))

    assert said(answer, tmp_path, monkeypatch)[-1] == "3 runs of ADCE in Prefect, kept for 90d"

"""What does `adce setup --check` tell of sizes if a server tells less than Prefect's own?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from deployments.setup import sizes as module
from deployments.setup.sizes import sizes
from tests.builders import a_config


@pytest.mark.parametrize("answer", [httpx.Response(404, json={"detail": "no"}), httpx.Response(200, text="<html>")])
def test_the_ledger_is_told_in_any_case(
    answer: httpx.Response, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        async def __aenter__(self) -> Any:
            transport = httpx.MockTransport(lambda request: answer)
            return SimpleNamespace(_client=httpx.AsyncClient(base_url="http://server/api", transport=transport))

        async def __aexit__(self, *_: object) -> None: ...

    monkeypatch.setattr(module, "get_client", Client)
    (tmp_path / "adce.db").write_bytes(b"0" * 2000)
    config = a_config().model_copy(update={"ledger": f"sqlite:///{tmp_path}/adce.db"})
    assert asyncio.run(sizes(config)) == [f"ledger {tmp_path}/adce.db: 2 kB"]

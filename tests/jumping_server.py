"""Prefect server on SQLite whose clock can jump: a file has the offset of its clock, as "+3600 seconds"."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.models import concurrency_limits_v2
from prefect.server.utilities.database import now
from sqlalchemy.ext.compiler import compiles

_CLOCK = Path(os.environ["CLOCK"])
_set_up = AioSqliteConfiguration.setup_sqlite


def _set_up_with_offset(self: Any, connection: Any, record: Any) -> None:
    _set_up(self, connection, record)
    connection.create_function("off", 0, _CLOCK.read_text)


@compiles(now, "sqlite")
def _now(element: object, compiler: object, **_: object) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now', off())"


def _seconds_ago(db: object, field: Any) -> Any:
    return (sa.func.julianday("now", sa.func.off()) - sa.func.julianday(field)) * 86400.0


if __name__ == "__main__":
    AioSqliteConfiguration.setup_sqlite = _set_up_with_offset  # type: ignore[method-assign]
    concurrency_limits_v2.seconds_ago = _seconds_ago
    uvicorn.run(create_app, factory=True, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")

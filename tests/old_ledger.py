"""A ledger as an older version of ADCE has left it."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from tasks.ledger import database


def make_old_ledger(url: str, schema: str, fill: Callable[[sa.Connection], Any] = lambda _: None) -> None:
    """Makes a ledger with an older version of the schema by its migrations, and writes what `fill` has for it."""
    engine = sa.create_engine(database.address_of(url))
    with engine.begin() as connection:
        database._upgrade(connection, schema)
        fill(connection)
    engine.dispose()

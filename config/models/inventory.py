"""Which S3 Inventory may stand in for the first listing of the lake?"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from config.models.base import Duration, Model, matching, without_ends

InventoryAddress = Annotated[
    str,
    BeforeValidator(without_ends),
    matching(
        r"s3://[^/\s@?#]+(/[^/\s?#]+)+",
        "not the place of an S3 Inventory; write the prefix below which AWS delivers its dated folders, as "
        "s3://inventories/lake-bucket/daily, or the address of one manifest.json",
    ),
]


class Inventory(Model):
    """An S3 Inventory that is read instead of listing a large lake for the first time."""

    manifest: InventoryAddress | None = Field(
        default=None,
        description="prefix of the dated folders of an S3 Inventory, or one manifest.json; null: the lake is listed",
    )
    max_age: Duration = Field(
        default=timedelta(hours=48), ge=timedelta(hours=1), description="age from which on an inventory is not used"
    )

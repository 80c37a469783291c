"""What is a document that is printed as JSON?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

# A time such as "2026-01-15T12:00:00+00:00". Pydantic writes all other times in UTC with a "Z" at the end.
WithOffset = Annotated[
    datetime, PlainSerializer(datetime.isoformat), WithJsonSchema({"type": "string", "format": "date-time"})
]


class Document(BaseModel):
    """A part of a JSON document."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)

    def as_json(self) -> dict[str, Any]:
        """The document as values that `json` can write. Fields that were not given are left out."""
        return self.model_dump(mode="json", exclude_unset=True)

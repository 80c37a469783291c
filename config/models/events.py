"""How does ADCE hear of changes of the lake?"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from config.models.base import Model, matching

_NAME = r"[A-Za-z0-9_-]{1,80}"


def _without_ends(text: Any) -> Any:
    """An address without the spaces around it, and without a slash at its end."""
    return text.strip().rstrip("/") if isinstance(text, str) else text


QueueAddress = Annotated[
    str,
    BeforeValidator(_without_ends),
    matching(
        rf"https?://[^\s/@?#]+/[0-9]{{12}}/{_NAME}|arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{{12}}:{_NAME}",
        "not the address of a standard queue of SQS; write its URL or its ARN, as "
        "arn:aws:sqs:us-east-1:123456789012:changes",
    ),
]


class Events(Model):
    """What is received of the changes of the lake, by `adce watch` and `adce up`, and what follows from it."""

    queue: QueueAddress | None = Field(default=None, description="URL or ARN of the queue; null: nothing is received")
    fill: bool = Field(
        default=False, description="fill the gaps that events show within seconds, and not in the next reconcile"
    )

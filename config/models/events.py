"""How does ADCE hear of changes of the lake?"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from config.models.base import Model, matching, without_ends

_NAME = r"[A-Za-z0-9_-]{1,80}"

QueueAddress = Annotated[
    str,
    BeforeValidator(without_ends),
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

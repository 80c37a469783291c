"""Which objects does the lake have under some keys, and which of these keys alone does it refuse to tell of?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

from blocks.store import Store
from tasks.domain.assess.states import LakeObject
from tasks.domain.errors import HeadRefusedError, NoObjectError
from tasks.domain.lakes import MARK_KEY


class Heads(NamedTuple):
    """What the lake has answered about some keys, each of which was asked for with a HEAD request."""

    objects: dict[str, LakeObject]  # by key
    refused: Mapping[str, str]  # by key, why the lake refuses to tell of it


async def ask(lake: Store, keys: Collection[str]) -> Heads:
    """What the lake has under these keys, and which of them it refuses although it answers otherwise.

    Raises LakeError if the lake is away or refuses everything, as it does when the credentials have expired. Its answer
    to a HEAD request does not tell that from the refusal of one key. So if it refuses all keys, its mark is read too.
    """
    try:
        return Heads(await lake.find_all(keys), {})
    except HeadRefusedError:
        found, refused = await lake.find_each(keys)
    if len(refused) == len(keys):
        with suppress(NoObjectError):  # that is an answer too
            await lake.get(MARK_KEY)
    return Heads(found, {key: error.alone for key, error in refused.items()})

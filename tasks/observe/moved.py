"""Is there a file under each name that S3 lists? One that was moved to its own name and a slash is listed as before."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice

from blocks.listing import Listing
from tasks.domain.wording import and_more
from tasks.observe.session import Session

log = logging.getLogger(__name__)

_AT_ONCE = 50_000  # files of which the ledger is asked together


async def drop_moved(session: Session, objects: Listing, keys: Iterable[str], *, if_unknown: bool) -> None:
    """Drops those of some files from a listing of the lake that are not under their names any more.

    The listing shows `a/1.json/` as `a/1.json`, in the version that was read under that name, but with another time.
    Of a file with another time, the lake is asked once, and `if_unknown` also of one whose former time is not known.
    """
    if session.lake.folder is not None:
        return
    rest = iter(keys)
    while some := list(islice(rest, _AT_ONCE)):
        listed = {key: have for key in some if (have := objects.get(key))}
        before = session.ledger.objects.listed_anew(listed)
        doubtful = [key for key, at in before.items() if at is not None or if_unknown]
        if not doubtful:
            continue
        there, requests = await session.lake.files_among(doubtful)
        objects.requests += requests
        moved = [key for key in doubtful if key not in there]
        for key in moved:
            del objects[key]
        if moved:
            text = "%s%s is listed, but not there: it was removed just now, or moved to its own name and a slash"
            log.warning(text, moved[0], and_more(len(moved)))
        if not session.ledger.only_reads:
            session.ledger.objects.keep_times(listed[key] for key in doubtful if key in there)

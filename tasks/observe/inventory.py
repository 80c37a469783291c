"""What does the lake hold by its S3 Inventory, and what is true where the inventory may be wrong?"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from blocks.listing import Listing
from blocks.store import Store
from tasks.domain.assess.doubts import Doubt, FromInventory, above, complete_until, doubt_of, folder_of, settlement
from tasks.domain.assess.states import Examination, Status
from tasks.domain.expected.cells import Cell
from tasks.domain.expected.keys import folders
from tasks.domain.inventories import InventoryError
from tasks.domain.wording import one_line, plural
from tasks.observe.heads import ask
from tasks.observe.session import Session, listed_datasets
from tasks.progress import PROGRESS

log = logging.getLogger(__name__)


class InventoryUse:
    """The objects of a lake by an inventory. Where that may be wrong, the lake is asked, and its answers count."""

    def __init__(self, lake: Store, objects: Listing, as_of: datetime, learnt: Iterable[str]):
        """The inventory was begun at `as_of`.

        `learnt` are the keys of which the ledger has learnt since the time from which the inventory may lack changes.
        """
        self.objects = objects
        self.as_of = as_of
        self._lake = lake
        self._learnt = frozenset(learnt)
        self._keys: dict[str, datetime] = {}  # that were looked up, and when
        self._folders: dict[str, datetime] = {}  # that were listed, and when
        self._doubts: Counter[Doubt] = Counter()  # the files of which the lake was asked, by why it was

    @property
    def from_inventory(self) -> FromInventory:
        """What to tell people of this use of an inventory."""
        return FromInventory(self.as_of, len(self._keys), len(self._folders), dict(self._doubts))

    def settled_at(self, key: str) -> datetime | None:
        """When the lake was asked for this file; None if it was not."""
        if at := self._keys.get(key):
            return at
        return next((self._folders[folder] for folder in above(key) if folder in self._folders), None)

    async def settle(
        self,
        cells: Mapping[str, Cell],
        examinations: Mapping[str, Examination],
        now: datetime,
        at: datetime,
        statuses: Mapping[str, Status] | None = None,
    ) -> bool:
        """Asks the lake for those of the cells whose states may not rest on the inventory. Returns whether it did.

        The `statuses` follow from the inventory, if the cells have been judged. What the lake answers counts from the
        time `at`.
        """
        statuses = statuses or {}
        doubts = {
            key: doubt
            for key, cell in cells.items()
            if (
                doubt := doubt_of(
                    cell,
                    self.objects.get(key),
                    examinations.get(key),
                    statuses.get(key),
                    key in self._learnt,
                    self.as_of,
                    now,
                )
            )
            and self.settled_at(key) is None
        }
        requests = settlement(doubts, cells, self.objects.count_within)
        if not requests:
            return False
        PROGRESS.get()("Looking up what the inventory lacks", 0, 1)
        before = {key: self.objects.get(key) for key in requests.keys}
        heads = await ask(self._lake, requests.keys)
        truth = dict(heads.objects)
        listed = {*requests.folders, *map(folder_of, heads.refused)}
        if listed:
            before |= {key: self.objects.get(key) for folder in listed for key in self.objects.within(folder)}
            listing = await self._lake.list(listed)
            self.objects.requests += listing.requests
            truth.update(listing)
        for key in before.keys() | truth:
            have = self.objects.get(key)
            if have != before.get(key):
                continue  # this run has stored the file since it asked
            if key in truth:
                self.objects[key] = truth[key]
            elif have is not None:
                del self.objects[key]
        self._keys |= dict.fromkeys(requests.keys, at)
        self._folders |= dict.fromkeys(listed, at)
        self._doubts.update(doubts.values())
        PROGRESS.get()("Looking up what the inventory lacks", 1, 1)
        return True


async def inventory_of_first_look(session: Session) -> InventoryUse | None:
    """The files of the selected datasets by the S3 Inventory of the configuration, for a first look at a lake.

    None if there is none in the configuration, if the ledger remembers a look at everything or a run, or if the
    inventory cannot be used. The log says why it cannot.
    """
    settings, ledger = session.config.inventory, session.ledger
    # Migrations may delete the judgements of looks, but not runs.
    if settings.manifest is None or ledger.judgements.has_recorded_a_look() or ledger.runs.any_has_looked():
        return None
    from blocks.inventory import read_inventory  # not at the top, because few need arro3's readers

    PROGRESS.get()("Reading the inventory", 0, 1)
    wanted = folders(listed_datasets(session).values())
    try:
        found = await read_inventory(session.lake, settings.manifest, wanted, datetime.now(UTC), settings.max_age)
    except InventoryError as error:
        log.warning("inventory %s: %s. The lake is listed instead", settings.manifest, error)
        return None
    except Exception as error:  # whatever is in an inventory, the lake can be listed
        text = "inventory %s: ADCE fails at it: %s. The lake is listed instead"
        log.warning(text, settings.manifest, one_line(repr(error)))
        return None
    PROGRESS.get()("Reading the inventory", 1, 1)
    log.info("inventory %s: %s of the lake", settings.manifest, plural(len(found.objects), "file"))
    learnt = ledger.objects.learnt_since(complete_until(found.as_of))
    return InventoryUse(session.lake, found.objects, found.as_of, learnt)

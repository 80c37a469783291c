"""With which settings did a run work, and which of them had another value in the run before?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.domain.wording import utc


@dataclass(frozen=True, slots=True)
class SettingsUsed:
    """The settings of a run: a digest of them, and what has changed since the run before.

    Secrets are masked before, so that they are in neither, and a change of a secret alone is not seen.
    """

    digest: str
    changes: tuple[tuple[str, Any, Any], ...] = ()  # name, old value, new value; None stands for no such setting
    before: datetime | None = None  # when the run before worked; None if none is known

    @property
    def line(self) -> str:
        """The digest, and since when the settings have been the same, in a sentence."""
        if self.before is None:
            return f"Settings {self.digest}; no earlier run is known."
        changed = f"{len(self.changes)} changed" if self.changes else "none changed"
        return f"Settings {self.digest}; {changed} since the run of {utc(self.before)}."


def settings_used(
    values: Mapping[str, Any], former: Mapping[str, Any] | None = None, before: datetime | None = None
) -> SettingsUsed:
    """The settings with these values, by name. `former` are those of the run before."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
    if former is None:
        return SettingsUsed(digest)
    names = sorted(values.keys() | former.keys())
    changes = ((name, former.get(name), values.get(name)) for name in names)
    return SettingsUsed(digest, tuple(change for change in changes if change[1] != change[2]), before)

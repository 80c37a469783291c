"""Are incidents told as an oracle says, over 1,000 simulated days?"""

from __future__ import annotations

import os
import time

from rich.table import Table

from tasks.domain.incidents import What
from tests.faults import DAY, Message, expected, faults_of, simulated

_PART = 50  # days that are simulated together
_AFTER = 5  # days after which the last faults of a part are over


def told() -> Table:
    """Precision and recall of the messages, and how many there are. DAYS is how many days are simulated."""
    days, begun = int(os.environ.get("DAYS", "1000")), time.perf_counter()
    faults = opened = absorbed = right = wrong = 0
    said: list[Message] = []
    due: list[Message] = []
    for seed in range(max(days // _PART, 1)):
        part, end = faults_of(_PART, seed), (_PART + _AFTER) * DAY
        rule, oracle = simulated(part, end), expected(part, end)
        said, due = [*said, *rule.messages], [*due, *oracle.messages]
        right += len(set(rule.messages) & set(oracle.messages))
        wrong += sum(list(spans) != list(oracle.opened[place]) for place, spans in rule.opened.items())
        faults += sum(map(len, part.values()))
        opened += sum(map(len, rule.opened.values()))
        absorbed += rule.absorbed
    whats = [message.what for message in said]
    roots, reminders = whats.count(What.OPENED), whats.count(What.REMINDED)
    by_rule = 2 * roots - absorbed + reminders
    table = Table(title=f"Incidents of {max(days // _PART, 1) * _PART:,} simulated days", show_header=False)
    for name, figure in (
        ("faults, with those that flap", f"{faults:,}"),
        ("incidents that they open", f"{opened:,}"),
        ("conditions and scopes with an incident that is not open exactly when it should be", f"{wrong:,}"),
        ("messages", f"{len(said):,}"),
        ("twice the told incidents - those that the message of their cause ends + reminders", f"{by_rule:,}"),
        ("precision of the messages", f"{right / len(said):.3f}"),
        ("recall of the messages", f"{right / len(due):.3f}"),
        ("seconds", f"{time.perf_counter() - begun:.0f}"),
    ):
        table.add_row(name, figure)
    return table

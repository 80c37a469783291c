"""What does it cost that a fill is measured? Its end is recorded with and without the running totals, in turn."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from tasks.domain.metrics import Amounts
from tasks.domain.outcomes import FileOutcome, Outcome
from tasks.ledger import Ledger
from tasks.ledger import fills as module
from tasks.ledger.attempts import FillRecord
from tasks.ledger.fills import FillEnd
from tests.benchmarks import cost
from tests.builders import NOW, a_fill

_FILES = 20  # of a fill
_ROUNDS, _FILLS = 20, 25
_FILL = FillRecord("f", "run", "espn", "espn_summary", "missing", "HIGH", 1.0, NOW)


def cost_of_totals(folder: Path) -> Table:
    """CPU of the totals, as a share of that of a fill. The environment must point to the sandbox and an empty lake."""
    files, seconds = cost.fills_of_a_reconcile()
    of_a_fill = seconds / files * _FILES
    with closing(Ledger(f"sqlite:///{folder / 'totals.db'}")) as ledger:
        spent = {True: 0.0, False: 0.0}
        for number in range(_ROUNDS * 2):
            spent[number % 2 == 0] += _recorded(ledger, number, measured=number % 2 == 0)
    with_totals, without = (spent[measured] / (_ROUNDS * _FILLS) for measured in (True, False))
    table = Table(title=f"Measuring a fill of {_FILES} files, CPU of one process", show_header=False)
    for name, figure in (
        ("a fill, with all that belongs to it", f"{of_a_fill * 1e3:.0f} ms"),
        ("of which the ledger records its end", f"{with_totals * 1e3:.2f} ms"),
        ("the same without the totals", f"{without * 1e3:.2f} ms"),
        ("what the totals add to a fill", f"{(with_totals - without) / of_a_fill:.2%}"),
    ):
        table.add_row(name, figure)
    return table


def _recorded(ledger: Ledger, number: int, *, measured: bool) -> float:
    """The CPU seconds in which the ends of some fills are recorded."""
    ends = []
    for n in range(_FILLS):
        fill = a_fill(number * _FILLS + n, requests=_FILES)
        outcomes = [
            FileOutcome(key, Outcome.STORED, 1, 100, seconds=0.1, waited=0.5, asked=NOW, stored=NOW)
            for key in fill.keys
        ]
        ends.append(FillEnd(replace(_FILL, fill=fill.id), NOW, outcomes, gaps=fill.gaps))
    counted = module.amounts_of
    if not measured:
        module.amounts_of = lambda end, since: Amounts()  # type: ignore[assignment]
    begun = time.process_time()
    try:
        for end in ends:
            ledger.fills.record(end)
    finally:
        module.amounts_of = counted
    return time.process_time() - begun

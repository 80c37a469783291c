"""Does a running system come back to where it was after faults? `make soak` tries that for some ten minutes.

`adce up --sandbox` fills a lake. Then faults strike one after another: sites refuse and files vanish, the ledger is
locked, the lake is away or read-only, Prefect's server hangs, and processes are killed. Each lasts until it has opened
its incidents. Then all of that ends, every incident has to close, and the system is measured again.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from rich.console import Console

from tests.soak import hastened
from tests.soak.faults import FAULTS
from tests.soak.incidents import Strikes
from tests.soak.measured import Measurement, compared
from tests.up_process import UpProcess

_WHOLE = 600.0  # seconds from which on every fault is tried, however long that takes
_COMPLETE = ": Completed: Complete: "
_PATIENCE = 600.0  # seconds in which a system without faults has to complete its lake, and to close its incidents
_OPENS_LATE = 60.0  # seconds after a fault in which the ledger has to know of its incidents
# A system in which minutes are enough: runs follow soon, pauses are short, and incidents open at lower limits. A
# circuit breaker does not open, since openings count for a day.
SETTINGS = {
    "ADCE_RECONCILE__INTERVAL": "30s",
    "ADCE_RECONCILE__TIME_BUDGET": "25s",
    "ADCE_RECONCILE__BREAKER__FAILURES": "1000",
    "ADCE_SOURCES__ESPN__BACKOFF__SHUT_OUT": "10s",
    "ADCE_SOURCES__ESPN__BACKOFF__LONGEST": "20s",
    "ADCE_ALERTS__SETTLE": "5s",
    "ADCE_ALERTS__LIMITS": "{source_paused: 5, failed_checks: 1, critical_failures: 1, no_reconcile: 150}",
    "PYTHONPATH": str(Path(hastened.__path__[0])),
}


def main(seconds: float) -> int:
    """Runs the soak. Faults begin one after another until the seconds are over, each once at least if they are not few.

    Returns the exit status: 1 if anything is not back where it was, or if incidents are not those of the faults.
    """
    console = Console(width=120)
    os.environ |= SETTINGS
    # Not below the folder for temporary files of whoever starts it, which the names of processes may contain.
    with tempfile.TemporaryDirectory(prefix="adce-soak-") as folder:
        system = UpProcess(Path(folder))
        strikes, skipped = Strikes(system), dict[str, str]()
        try:
            if recovery(system) is None or strikes.wait_for_closed(_PATIENCE) is None:
                console.print("the lake was not filled in time:", *system.lines, sep="\n")
                return 1
            before, begun = Measurement.of(system), time.monotonic()
            for name in cycle(FAULTS):
                strikes.wait_for_closed(_PATIENCE)
                untried = FAULTS.keys() - {one.fault for one in strikes.all} - skipped.keys()
                if time.monotonic() - begun >= seconds and (seconds < _WHOLE or not untried):
                    break
                if why_not := strike(name, strikes):
                    skipped[name] = why_not
            recovered, closed = recovery(system), strikes.wait_for_closed(_PATIENCE)
            took = time.monotonic() - begun
            after = Measurement.of(system)
            incidents, is_expected = strikes.table()
        finally:
            system.process.send_signal(signal.SIGTERM)
            system.process.wait(120)
        left = system.processes()
    table, is_back = compared(before, after)
    console.print(table, incidents)
    for name in untried | skipped.keys():
        console.print(f"{name}: not tried: {skipped.get(name, 'there was no time')}")
    console.print(f"complete again after {recovered:.0f} s" if recovered else "not complete again")
    console.print(f"{len(strikes.all)} faults and the end of all their incidents took {took:.0f} s")
    console.print(f"processes that are left: {len(left)}")
    is_well = is_back and is_expected and recovered is not None and closed is not None
    return 0 if is_well and not left else 1


def strike(name: str, strikes: Strikes) -> str | None:
    """Has a fault strike until its incidents are open. Returns why it cannot; None if it has."""
    fault, begun = FAULTS[name], time.monotonic()
    with fault.strikes(strikes.system) as why_not:
        if why_not:
            return why_not
        one = strikes.begin(name, fault.opens)
        if fault.opens:
            strikes.wait_for_opened(one, fault.at_most)
        else:
            time.sleep(fault.at_most)
    strikes.wait_for_opened(one, _OPENS_LATE)
    print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
    return None


def recovery(system: UpProcess) -> float | None:
    """How many seconds it takes until two runs in a row have left nothing to do; None if they do not within a time."""
    begun, seen = time.monotonic(), len(system.lines)
    while time.monotonic() - begun < _PATIENCE and system.process.poll() is None:
        ends = [line for line in system.lines[seen:] if " reconcile " in line and ": Completed" in line]
        if len(ends) >= 2 and all(_COMPLETE in line for line in ends[-2:]):
            return time.monotonic() - begun
        time.sleep(1)
    return None


if __name__ == "__main__":
    sys.exit(main(float(os.environ.get("SECONDS") or 600)))

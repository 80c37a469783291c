"""Which broken rules of the core does no test notice? Evaluates the results of `mutmut run`.

A mutant is the core with one small change. It is killed when a test of the core fails. A mutant in
tests/domain/equivalent_mutants.toml behaves like the original, for the reason given there, and does not count. The file
names mutants by function and changed lines, because mutmut's numbers change with every edit.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

LISTED = Path(__file__).parent / "domain/equivalent_mutants.toml"
AT_LEAST = 95.0  # percentage of the mutants, without the equivalent ones, that must be killed
_KILLED = ("killed", "timeout", "segfault")
_NAME = re.compile(r"(\w+)\.x(?:_|ǁ(\w+)ǁ)(\w+)__mutmut_\d+")


class Mutant(NamedTuple):
    """A mutant, identified by its change. The lines have no indentation."""

    function: str  # plan.make_plan, or lanes.Capacity.lanes
    was: str
    became: str


def main() -> int:
    """Prints the mutants that survived and a table of counts. Returns 0 if enough of them were killed, or 1."""
    listed = set(_listed())
    tallies: dict[str, Counter[str]] = defaultdict(Counter)
    not_listed: list[str] = []
    used: set[Mutant] = set()
    for line in _mutmut("results", "--all", "true"):
        name, _, status = line.strip().rpartition(": ")
        function = _function_of(name)
        mutant = None if status in _KILLED else Mutant(function, *_changed(_mutmut("show", name)))
        outcome = "killed" if mutant is None else "equivalent" if mutant in listed else "survived"
        tallies[function.partition(".")[0]][outcome] += 1
        if mutant in listed:
            used.add(mutant)
        elif mutant:
            not_listed.append(f"{status}: {name}\n  - {mutant.was}\n  + {mutant.became}")
    print(*not_listed, sep="\n")
    for mutant in sorted(listed - used):
        print(f"listed as equivalent, but killed, or no longer generated: {mutant}")
    for module in sorted(tallies):
        print(_row(module, tallies[module]))
    total = sum(tallies.values(), Counter())
    print(_row("in all", total))
    return 0 if _percent(total) >= AT_LEAST and listed == used else 1


def _mutmut(*arguments: str) -> list[str]:
    command = [Path(sys.executable).with_name("mutmut"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _listed() -> Iterable[Mutant]:
    for entry in tomllib.loads(LISTED.read_text())["equivalent"]:
        assert entry["reason"], entry
        yield Mutant(entry["in"], entry["was"], entry["became"])


def _function_of(name: str) -> str:
    match = _NAME.search(name)
    assert match, name
    return ".".join(part for part in match.groups() if part)


def _changed(diff: list[str]) -> tuple[str, str]:
    """The changed lines of a diff, before and after."""
    lines = [line for line in diff if not line.startswith(("---", "+++"))]
    was, became = ([line[1:].strip() for line in lines if line.startswith(sign)] for sign in "-+")
    return " ".join(was), " ".join(became)


def _percent(tally: Counter[str]) -> float:
    """The percentage of mutants that were killed, without the equivalent ones."""
    return 100 * tally["killed"] / max(tally["killed"] + tally["survived"], 1)


def _row(name: str, tally: Counter[str]) -> str:
    counts = ", ".join(f"{tally[outcome]:5,} {outcome}" for outcome in ("killed", "survived", "equivalent"))
    return f"{name:12} {tally.total():5,} mutants: {counts}; {_percent(tally):5.1f} %"


if __name__ == "__main__":
    sys.exit(main())

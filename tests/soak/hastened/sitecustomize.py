"""In the processes of the soak, incidents open and close sooner than usual. Python imports this by itself.

A condition holds for a sixtieth of the time in the catalogue before it opens an incident, and it is over for a
sixtieth before it closes it. Nothing else is changed: no clock, no limit, and not how often anything is asked.
"""

from dataclasses import replace

from tasks.domain import incidents

TIMES = 60

for _kind, _usual in incidents.BY_KIND.items():
    incidents.BY_KIND[_kind] = replace(  # type: ignore[index]  # a dict, which is not to be changed elsewhere
        _usual, holds_for=_usual.holds_for / TIMES, keep_for=_usual.keep_for / TIMES
    )

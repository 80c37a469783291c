"""What can the lake hold? The command `adce datasets`."""

from __future__ import annotations

import asyncio
from itertools import groupby

from deployments.cli.layout import say
from deployments.cli.options import JsonOption, Places, Scope
from deployments.cli.output import print_json
from deployments.cli.terminal import progress


def datasets(places: Places, scope: Scope, as_json: JsonOption = False) -> None:
    """Shows the datasets: their keys, schedules, body checks, and how many of their files are known. Fetches nothing.

    It also lists the body checks that a dataset of your own can use.
    """
    from tasks.answers.datasets import checks, datasets_of
    from tasks.answers.plan import plan_lake

    config = places.load()
    selection, clock = scope.checked(config)
    with progress():
        report = asyncio.run(plan_lake(config, selection, as_of=clock))
    found = [one for one in datasets_of(report) if not selection.datasets or one.name in selection.datasets]
    if as_json:
        from tasks.show.documents.datasets import Datasets

        print_json(Datasets.of(found, checks(), report.looked_at.taken_at).as_json())
        return
    for source, group in groupby(found, key=lambda one: one.dataset.source):
        say(f"Datasets of {source}")
        for one in group:
            for line in one.lines():
                say(f"  {line}")
        say("")
    say("Body checks, which any dataset can name (check: {name: …})")
    for check in checks():
        say(f"  {check.line()}")

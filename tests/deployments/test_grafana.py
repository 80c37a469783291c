"""Are dashboards and rules up to date, and does what they ask for exist?"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.grafana.for_prometheus import expressions
from deployments.grafana.made import ALERTMANAGER, ALERTS, FOLDER, RULES, made
from deployments.grafana.rules import rules
from tasks.domain.metrics import CATALOGUE, CLOUDWATCH

DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))


@pytest.mark.parametrize("path", made())
def test_a_made_file_is_as_the_catalogue_and_the_panels_make_it(path: str) -> None:
    assert (FOLDER / path).read_text() == made()[path], "run: python -m deployments.grafana"


def test_no_made_file_is_left_over() -> None:
    found = [*DASHBOARDS, FOLDER / "metrics.md", *(FOLDER / name for name in (RULES, ALERTS, ALERTMANAGER))]
    assert {file.relative_to(FOLDER).as_posix() for file in found} == set(made())


def test_every_metric_is_shown_in_the_dashboard_by_itself_or_by_a_rule() -> None:
    asked = "\n".join(expressions(json.loads((FOLDER / "dashboards/adce-prometheus.json").read_text())))
    recorded = {rule.record: rule.expr for rule in rules()}
    seen = set(re.findall(r"adce_[a-z_]+", asked + "\n".join(recorded[name] for name in recorded if name in asked)))
    seen |= {name.removesuffix("_bucket") for name in seen}
    assert [metric.name for metric in CATALOGUE if metric.name not in seen] == []
    assert [name for name in re.findall(r"\b[a-z_]+:adce_[a-z_]+:\w+", asked) if name not in recorded] == []


def test_every_metric_that_cloudwatch_gets_is_shown() -> None:
    panels = json.loads((FOLDER / "dashboards/adce-cloudwatch.json").read_text())["panels"]
    targets = [target for panel in panels for target in panel.get("targets", ())]
    assert {target["metricName"] for target in targets} == {one.name for one in CLOUDWATCH}
    dimensions = {one.name: {label.name for label in one.dimensions} for one in CLOUDWATCH}
    assert all(target["dimensions"].keys() == dimensions[target["metricName"]] for target in targets)


def test_cloudwatch_computes_only_out_of_queries_of_the_same_panel() -> None:
    panels = json.loads((FOLDER / "dashboards/adce-cloudwatch.json").read_text())["panels"]
    computed = 0
    for targets in (panel["targets"] for panel in panels if panel["type"] != "row"):
        ids = {target["id"] for target in targets if target.get("hide")}
        for named in (set(re.findall(r"\b[a-z]\w*", target["expression"])) for target in targets):
            computed += bool(named)
            assert named in (set(), ids)
    assert computed == 3


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_grafana_knows_every_field_of_a_dashboard(file: Path) -> None:
    """Grafana's own types keep what they know, and add defaults."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    document = json.loads(file.read_text())
    known = json.loads(json.dumps(Dashboard.from_json(document), cls=JSONEncoder))
    assert [*_differences(document, known)] == []


def _differences(written: Any, known: Any, path: str = "") -> Iterator[str]:
    if isinstance(written, dict) and isinstance(known, dict):
        for name, value in written.items():
            yield from _differences(value, known.get(name, "not known"), f"{path}.{name}")
    elif isinstance(written, list) and isinstance(known, list) and len(written) == len(known):
        for at, pair in enumerate(zip(written, known, strict=True)):
            yield from _differences(*pair, f"{path}[{at}]")
    elif written != known:
        yield f"{path}: {written} is {known}"


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_panels_say_which_question_they_answer_and_do_not_overlap(file: Path) -> None:
    panels = json.loads(file.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["targets"] and "?" in panel["description"] for panel in panels if panel["type"] != "row")
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_the_provisioning_names_what_there_is() -> None:
    sources = yaml.safe_load((FOLDER / "provisioning/datasources/adce.yaml").read_text())["datasources"]
    assert [source["type"] for source in sources] == ["prometheus", "cloudwatch"]
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/adce.yaml").read_text())["providers"]
    assert provider["type"] == "file"

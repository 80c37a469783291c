"""How does Grafana's JSON model describe a dashboard? Written for version 38 of it, which Grafana 10 and 11 load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

Json = dict[str, Any]

COLUMNS = 24  # of Grafana's grid
_SCHEMA = 38
_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_LINES = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}}
_TOOLTIP = {"tooltip": {"mode": "multi", "sort": "desc"}}
# The options that each kind of panel begins with
_OPTIONS: dict[str, Json] = {
    "stat": {
        "reduceOptions": _LAST,
        "orientation": "auto",
        "textMode": "auto",
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
    },
    "gauge": {
        "reduceOptions": _LAST,
        "orientation": "auto",
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
    },
    "bargauge": {
        "reduceOptions": _LAST,
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "showUnfilled": True,
        "minVizWidth": 8,
        "minVizHeight": 10,
    },
    "piechart": {
        "reduceOptions": _LAST,
        "pieType": "pie",
        "displayLabels": ["percent"],
        "legend": {"displayMode": "table", "placement": "right", "showLegend": True, "calcs": [], "values": ["value"]},
        **_TOOLTIP,
    },
    "timeseries": {**_LINES, **_TOOLTIP},
    "histogram": {**_LINES, "bucketOffset": 0},
    "state-timeline": {**_LINES, **_TOOLTIP, "mergeValues": True, "showValue": "auto", "rowHeight": 0.9},
    "table": {"showHeader": True, "cellHeight": "sm"},
}
_DRAWN: dict[str, Json] = {
    "timeseries": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": False},
    "histogram": {"lineWidth": 1, "fillOpacity": 80},
    "state-timeline": {"lineWidth": 0, "fillOpacity": 70},
}
BARS: Json = {"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}}
STACKED: Json = {"fillOpacity": 30, "stacking": {"mode": "normal", "group": "A"}}

GOOD, FAIR, BAD = "green", "orange", "red"
# Colours, each with the value from which on it is used
SHARE = ((None, BAD), (0.9, FAIR), (0.99, GOOD))
NONE_IS_GOOD = ((None, GOOD), (1.0, FAIR))
UTILIZED = ((None, GOOD), (0.8, FAIR), (0.95, BAD))
UNJUDGED = ((None, "text"),)  # the colour of text: whether such a value is good depends on the configuration
DAYS = ((None, GOOD), (86400.0, FAIR), (7 * 86400.0, BAD))


@dataclass(frozen=True)
class Panel:
    """A panel of a dashboard, and the question that it answers. `width` is in columns of the grid.

    `bounds` are the least and the greatest value; `steps` the colours, each with the value from which on it is used.
    """

    kind: str
    title: str
    question: str
    targets: Sequence[Json]
    width: int = 8
    unit: str = "short"
    decimals: int | None = None
    bounds: tuple[float, float | None] | None = None
    steps: Sequence[tuple[float | None, str]] = ()
    mappings: Mapping[int, tuple[str, str]] = field(default_factory=dict)  # the text and colour of a value
    options: Json = field(default_factory=dict)
    drawn: Json = field(default_factory=dict)  # how lines or bars are drawn
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # of a table: name and unit by query

    def json(self, number: int, place: Json, datasource: Json) -> Json:
        """The panel in Grafana's JSON model."""
        found: Json = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.question,
            "datasource": datasource,
            "gridPos": place,
            "targets": [
                {"refId": chr(ord("A") + at), "datasource": datasource, **target}
                for at, target in enumerate(self.targets)
            ],
            "options": {**_OPTIONS[self.kind], **self.options},
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
        }
        if self.columns:
            names = {f"Value #{query}": name for query, (name, _) in self.columns.items()}
            organize = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}
            found["transformations"] = [
                {"id": "merge", "options": {}},
                {"id": "organize", "options": organize},
            ]
        return found

    def _defaults(self) -> Json:
        colour = "thresholds" if self.steps or self.mappings else "palette-classic"
        found: Json = {"unit": self.unit, "color": {"mode": colour}}
        if drawn := {**_DRAWN.get(self.kind, {}), **self.drawn}:
            found["custom"] = drawn
        if self.decimals is not None:
            found["decimals"] = self.decimals
        if self.bounds:
            found |= {name: value for name, value in zip(("min", "max"), self.bounds, strict=True) if value is not None}
        if self.steps:
            steps = [{"color": colour, "value": value} for value, colour in self.steps]
            found["thresholds"] = {"mode": "absolute", "steps": steps}
        if self.mappings:
            texts = {
                str(value): {"text": text, "color": colour, "index": at}
                for at, (value, (text, colour)) in enumerate(self.mappings.items())
            }
            found["mappings"] = [{"type": "value", "options": texts}]
        return found

    def _overrides(self) -> list[Json]:
        return [
            {
                "matcher": {"id": "byName", "options": name},
                "properties": [{"id": "unit", "value": unit}],
            }
            for name, unit in self.columns.values()
        ]


@dataclass(frozen=True)
class Row:
    """Panels under one title. A row whose panels are wider than the grid goes on below."""

    title: str
    panels: Sequence[Panel]
    height: int = 8


def dashboard(
    uid: str, title: str, describes: str, rows: Sequence[Row], variables: Sequence[Json], source: str
) -> Json:
    """A dashboard of these rows. `source` is the kind of its data source, which the variable `datasource` chooses."""
    return {
        "uid": uid,
        "title": title,
        "description": describes,
        "tags": ["adce"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timepicker": {},
        "timezone": "utc",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_choice_of_datasource(source), *variables]},
        "panels": _placed(rows, {"type": source, "uid": "${datasource}"}),
    }


def _placed(rows: Sequence[Row], datasource: Json) -> list[Json]:
    """The panels from the top to the bottom and from the left to the right."""
    found: list[Json] = []
    numbers, y = count(1), 0
    for row in rows:
        place: Json = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        found.append(
            {"id": next(numbers), "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        )
        x, y = 0, y + 1
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + row.height
            place = {"h": row.height, "w": panel.width, "x": x, "y": y}
            found.append(panel.json(next(numbers), place, datasource))
            x += panel.width
        y += row.height
    return found


def _choice_of_datasource(kind: str) -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": kind,
        "regex": "",
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
    }

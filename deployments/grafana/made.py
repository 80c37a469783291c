"""Which files are made from the catalogue of metrics, and what is in them?"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from config.models import Alerts
from deployments.grafana.alerts import alerting_rules, inhibitions
from deployments.grafana.for_cloudwatch import cloudwatch_dashboard
from deployments.grafana.for_prometheus import prometheus_dashboard
from deployments.grafana.panels import Json
from deployments.grafana.rules import rules
from deployments.grafana.tables import page
from tasks.domain.wording import duration

FOLDER = Path(__file__).parent
RULES = "prometheus/adce.rules.yml"
ALERTS = "prometheus/adce.alerts.yml"
ALERTMANAGER = "prometheus/alertmanager.yml"
_EVERY = "1m"


def made() -> dict[str, str]:
    """The text of each file, by its path in this folder."""
    return {
        "dashboards/adce-prometheus.json": _json(prometheus_dashboard()),
        "dashboards/adce-cloudwatch.json": _json(cloudwatch_dashboard()),
        "metrics.md": page(),
        RULES: _made_yaml(_rules()),
        ALERTS: _made_yaml(_group("adce-alerts", [rule.document for rule in alerting_rules()])),
        ALERTMANAGER: _made_yaml(_alertmanager()),
    }


def _rules() -> Json:
    found = [
        {"record": rule.record, "expr": rule.expr, **({"labels": dict(rule.labels)} if rule.labels else {})}
        for rule in rules()
    ]
    return _group("adce", found)


def _group(name: str, found: list[Json]) -> Json:
    return {"groups": [{"name": name, "interval": _EVERY, "rules": found}]}


def _alertmanager() -> Json:
    """An example that tells nobody: the receiver is yours."""
    settle = Alerts().settle
    return {
        "route": {
            "receiver": "operators",
            "group_by": ["job", "instance"],
            "group_wait": duration(settle),
            "group_interval": "1m",
            "repeat_interval": "30d",
        },
        "receivers": [{"name": "operators"}],
        "inhibit_rules": inhibitions(),
    }


def _json(document: Json) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _made_yaml(document: Json) -> str:
    return "# Made by `python -m deployments.grafana`.\n" + yaml.safe_dump(document, sort_keys=False, width=1000)

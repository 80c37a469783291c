"""Of what does Prometheus tell, if `alerts.owner` says that it does? Its alerting rules, made from the conditions.

Each rule is the condition of an incident: it fires once the condition has held for `for`, and until it has not held
for `keep_firing_for`. A condition that no other metric tells is that of ADCE's own open incidents.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from deployments.grafana.panels import Json
from tasks.domain.incidents import BY_KIND, CATALOGUE, STOPS_WORK, Condition, Kind, Measure, ancestors
from tasks.domain.metrics import ALERTS_LIMIT, ALERTS_OWNER, CHECKS, INCIDENTS
from tasks.domain.wording import duration

_TARGET = "job, instance"
_TELLS = f'{ALERTS_OWNER.name}{{owner="prometheus"}}'
_VALUES = {
    Measure.SECONDS: "{{ $value | humanizeDuration }}",
    Measure.SHARE: "{{ $value | humanizePercentage }}",
    Measure.COUNT: '{{ $value | printf "%.0f" }}',
    Measure.YES_OR_NO: "",
}
AWAY = "AdceAway"  # the rule for which there is no condition: whoever evaluates conditions is away
_AWAY_FOR = timedelta(minutes=5)
_OWNER_KNOWN_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """An alerting rule. Besides `job` and `instance`, its alerts have these labels of the metric."""

    alert: str
    expr: str
    holds_for: timedelta
    keep_for: timedelta
    severity: str
    kind: str
    title: str
    value: str  # a template
    command: str
    labels: tuple[str, ...] = ()

    @property
    def document(self) -> Json:
        """The rule as Prometheus reads it."""
        said = {"summary": self.title, "value": self.value, "command": self.command}
        return {
            "alert": self.alert,
            "expr": self.expr,
            **({"for": _prometheus(self.holds_for)} if self.holds_for else {}),
            **({"keep_firing_for": _prometheus(self.keep_for)} if self.keep_for else {}),
            "labels": {"severity": self.severity, "kind": self.kind},
            "annotations": {name: text for name, text in said.items() if text},
        }


def alerting_rules() -> list[AlertingRule]:
    """All alerting rules."""
    return [*map(_rule, CATALOGUE), _away()]


def inhibitions() -> list[Json]:
    """Which alerts Alertmanager does not tell of while another one fires that explains them.

    An alert without the labels of its scope explains none, since it may be about another source.
    """
    found = [_inhibition(parent) for parent in CATALOGUE if parent.promql or not parent.labels]
    return [*filter(None, found), _inhibit(BY_KIND[Kind.LEDGER].name, AWAY, ())]


def _rule(condition: Condition) -> AlertingRule:
    by_metric = bool(condition.promql)
    return AlertingRule(
        condition.name,
        f"({_holds(condition)}) and on ({_TARGET}) ({_TELLS} == 1)",
        condition.holds_for if by_metric else timedelta(0),  # an incident has held for this time when it opens
        condition.keep_for if by_metric else timedelta(0),
        "critical" if condition.kind in STOPS_WORK else "warning",
        condition.kind.value,
        condition.title,
        _VALUES[condition.measure] if by_metric else "",
        f"`{condition.command}`",
        condition.labels if by_metric else (),
    )


def _holds(condition: Condition) -> str:
    """The query that has a value while the condition holds."""
    if not condition.promql:
        return f'sum by ({_TARGET}) ({INCIDENTS.name}{{kind="{condition.kind}"}}) > 0'
    limit = f'{ALERTS_LIMIT.name}{{kind="{condition.kind}"}}'
    one_for_all = f"on ({_TARGET}) max by ({_TARGET}) ({limit})"
    of_source = f"on ({_TARGET}, source) group_left () {limit}"
    return condition.promql.replace("{limit}", of_source if condition.labels else one_for_all)


def _away() -> AlertingRule:
    """What fires if ADCE is away or its values are old. Then the metrics that all other rules read are away, too."""
    told = f"last_over_time({_TELLS}[{_prometheus(_OWNER_KNOWN_FOR)}])"
    answers = f'{CHECKS.name}{{check="answers", verdict="fail"}} == 0'
    return AlertingRule(
        AWAY,
        f"({told} == 1) unless on ({_TARGET}) ({answers})",
        _AWAY_FOR,
        timedelta(0),
        "critical",
        "away",
        "`adce serve` does not answer, or its values are old",
        "",
        "`curl http://127.0.0.1:8710/health`",
    )


def _inhibition(parent: Condition) -> Json | None:
    children = [one for one in CATALOGUE if parent.kind in ancestors(one.kind)]
    named = [one for one in children if one.promql or not parent.labels]
    if not named:
        return None
    return _inhibit(parent.name, "|".join(one.name for one in named), parent.labels)


def _inhibit(source: str, targets: str, labels: tuple[str, ...]) -> Json:
    return {
        "source_matchers": [f'alertname = "{source}"'],
        "target_matchers": [f'alertname =~ "{targets}"'],
        "equal": ["job", "instance", *labels],
    }


def _prometheus(span: timedelta) -> str:
    """A duration as Prometheus writes it, which is how people read it too."""
    return duration(span).replace(" ", "")

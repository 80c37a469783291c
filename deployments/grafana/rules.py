"""What does Prometheus compute from ADCE's metrics at regular times? Its recording rules, made from the catalogue.

The names have the form level:metric:operation, as https://prometheus.io/docs/practices/rules/ recommends. The level
names the labels that a series keeps besides `job` and `instance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tasks.domain.assess.states import State
from tasks.domain.metrics import (
    CATALOGUE,
    CELLS,
    FAILURES,
    FILES,
    REFUSALS,
    REQUESTS,
    UTILIZATION,
    Histogram,
)
from tasks.domain.outcomes import IN_LAKE, NO_FAULT, Outcome

QUANTILES = (0.5, 0.95, 0.99)
THERE = f'state=~"{State.PRESENT}|{State.UNAVAILABLE}"'
DUE = f'state!="{State.NOT_DUE}"'
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording rule, and what its series say."""

    record: str
    expr: str
    says: str
    labels: Mapping[str, str] = field(default_factory=dict)


def quantiles_of(histogram: Histogram, *, by_labels: bool) -> str:
    """The name of the series that have the quantiles of a histogram: for each of its labels, or over all of them."""
    level = "_".join(label.name for label in histogram.labels) if by_labels else "instance"
    return f"{level or 'instance'}:{histogram.name}:quantile_rate{_window_of(histogram)}"


SUCCESS = f"source_dataset:{FILES.name.removesuffix('_total')}:success_ratio_increase1d"
REFUSED = f"source:{REFUSALS.name.removesuffix('_total')}:ratio_rate1h"
BUSY = f"source:{UTILIZATION.name}:avg_over_time1h"
COMPLETE = f"source_dataset:{CELLS.name}:complete_ratio"
ALL_COMPLETE = f"instance:{CELLS.name}:complete_ratio"


def rules() -> list[Rule]:
    """All recording rules."""
    tried = f'sum without (outcome) (increase({FILES.name}{{outcome!="{Outcome.DEFERRED}"}}[1d]))'
    none_there = f'sum without (failure) (increase({FAILURES.name}{{failure=~"{"|".join(NO_FAULT)}"}}[1d]))'
    stored = _ratio(
        f'sum without (outcome) (increase({FILES.name}{{outcome=~"{"|".join(IN_LAKE)}"}}[1d]))',
        f"({tried} - {none_there})",
    )
    cells = CELLS.name
    complete = _ratio(f"sum without (state) ({cells}{{{THERE}}})", f"sum without (state) ({cells}{{{DUE}}})")
    everywhere = "sum without (state, source, dataset)"
    all_complete = _ratio(f"{everywhere} ({cells}{{{THERE}}})", f"{everywhere} ({cells}{{{DUE}}})")
    refused = _ratio(f"rate({REFUSALS.name}[1h])", f"sum without (dataset) (rate({REQUESTS.name}[1h]))")
    return [
        *(rule for metric in CATALOGUE if isinstance(metric, Histogram) for rule in _quantiles(metric)),
        Rule(
            SUCCESS,
            stored,
            "Files of the last day's attempts that the lake has, as a share of those that the source has.",
        ),
        Rule(REFUSED, refused, "Requests of the last hour that the source has refused, as a share of all requests."),
        Rule(
            BUSY, f"avg_over_time({UTILIZATION.name}[1h])", "How much of the source's rate was used in the last hour."
        ),
        Rule(COMPLETE, complete, "Due files that are in the lake or unavailable, as a share of all due files."),
        Rule(ALL_COMPLETE, all_complete, "The same for all datasets together."),
    ]


def _quantiles(histogram: Histogram) -> Iterator[Rule]:
    window = _window_of(histogram)
    buckets = f"rate({histogram.name}_bucket[{window}])"
    names = [label.name for label in histogram.labels]
    when = "day" if window == "1d" else "hour"
    means = f"{histogram.help[0].lower()}{histogram.help[1:]}"
    for by_labels in (True, False) if names else (False,):
        of = buckets if by_labels or not names else f"sum without ({', '.join(names)}) ({buckets})"
        each = f" for each {' and '.join(names)}" if by_labels else ""
        for quantile in QUANTILES:
            # The comparison leaves out what has no quantile, because nothing was measured in this time.
            expr = f"histogram_quantile({quantile}, {of}) >= 0"
            says = f"P50, P95 and P99 of the last {when}{each}: {means}"
            yield Rule(quantiles_of(histogram, by_labels=by_labels), expr, says, {"quantile": str(quantile)})


def _window_of(histogram: Histogram) -> str:
    """From how long a time quantiles are computed: of what can take days there are few in an hour."""
    return "1d" if histogram.bounds[-1] > _DAY else "1h"


def _ratio(part: str, whole: str) -> str:
    """A share, which is 0 if there is a whole but no series of the part, and left out if the whole is 0."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"

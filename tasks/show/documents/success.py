"""The JSON document of `adce report`."""

from __future__ import annotations

from typing import Self

from tasks.domain.success import Figure, Kept, Longest, Success
from tasks.show.documents.document import Document, WithOffset


class FigureAnswer(Document):
    """A figure beside its baseline and its target, which are ranges. Unknown values are null, and `basis` says why."""

    name: str
    title: str
    unit: str
    value: float | None
    median: float | None
    worst: float | None
    count: int
    baseline: tuple[float, float] | None
    target: tuple[float, float]
    met: bool | None
    basis: str

    @classmethod
    def of(cls, figure: Figure) -> Self:
        aim = figure.aim
        return cls(
            name=aim.name,
            title=aim.title,
            unit=aim.unit.value,
            value=figure.value,
            median=figure.median,
            worst=figure.worst,
            count=figure.count,
            baseline=aim.baseline,
            target=aim.target,
            met=figure.is_met,
            basis=figure.basis,
        )


class KeptAnswer(Document):
    """How a dataset has kept its promise. The budget is the number of files that may be late or not there."""

    dataset: str
    promise_seconds: float
    objective_percent: float
    due: int
    in_time: int
    late: int
    not_there: int
    not_counted: int
    percent: float | None
    budget: int
    budget_left: int
    met: bool | None

    @classmethod
    def of(cls, kept: Kept) -> Self:
        return cls(
            dataset=kept.dataset,
            promise_seconds=kept.promise.total_seconds(),
            objective_percent=kept.objective,
            due=kept.due,
            in_time=kept.in_time,
            late=kept.late,
            not_there=kept.lacking,
            not_counted=kept.not_counted,
            percent=kept.percent,
            budget=kept.budget,
            budget_left=kept.budget_left,
            met=kept.is_met,
        )


class LongestAnswer(Document):
    """The file of a dataset that was not there for the longest time. `files` is how many are not there now."""

    dataset: str
    key: str
    detected: WithOffset
    stored: WithOffset | None
    files: int
    why: str

    @classmethod
    def of(cls, one: Longest) -> Self:
        return cls.model_validate(one)


class SuccessAnswer(Document):
    """How well the lake was kept between `since` and `until`. The ledger has nothing from before `since`, if later."""

    asked: WithOffset
    since: WithOffset
    until: WithOffset
    figures: list[FigureAnswer]
    promises: list[KeptAnswer]
    longest: list[LongestAnswer]
    gaps_without_due: int

    @classmethod
    def of(cls, success: Success) -> Self:
        return cls(
            asked=success.asked,
            since=success.since,
            until=success.until,
            figures=[FigureAnswer.of(figure) for figure in success.figures],
            promises=[KeptAnswer.of(kept) for kept in success.kept],
            longest=[LongestAnswer.of(one) for one in success.longest],
            gaps_without_due=success.gaps_without_due,
        )

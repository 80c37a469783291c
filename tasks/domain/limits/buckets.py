"""What are the rate buckets called, and how can a bucket in Prefect differ from the configuration?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from config.models import Config, Rate
from tasks.domain.limits.rates import AllowanceTerms

ALL_SOURCES = "all-sources"
MISSING = "is missing"


def bucket_for(source: str) -> str:
    """The name of a source's bucket, which is the name of a global concurrency limit in Prefect."""
    return f"adce-{source}"


def buckets_of(config: Config) -> Iterator[tuple[str, Sequence[Rate]]]:
    """The name and rates of every bucket: one per source, and one for all sources if `rates` is set at the top."""
    for source, settings in config.sources.items():
        yield bucket_for(source), settings.rates
    if config.rates:
        yield bucket_for(ALL_SOURCES), config.rates


def setting_of(bucket: str) -> str:
    """The setting that has the rate of the bucket of this name."""
    source = bucket.removeprefix(bucket_for(""))
    return "rates" if source == ALL_SOURCES else f"sources.{source}.rates"


def defect_of(have: AllowanceTerms, *, is_active: bool) -> str | None:
    """Why a limit cannot serve as a bucket, or None."""
    if not is_active:
        return "is inactive"
    return "has no slot decay and would never refill" if have.decay <= 0 else None


def unusable(bucket: str, defect: str) -> str:
    """The error about a bucket that no run can use, with what mends it."""
    mending = "create the rate buckets" if defect == MISSING else "correct it"
    return f"rate bucket {bucket!r} {defect}; run `adce setup` to {mending} from the configuration"


def set_by_hand(bucket: str, have: AllowanceTerms, want: AllowanceTerms, follows: str) -> str:
    """The warning about a bucket whose rate somebody has set in Prefect. `follows` says what becomes of that."""
    return (
        f"bucket {bucket} in Prefect has {have.differs(want)}: {follows}. For another rate, change "
        f"{setting_of(bucket)} in the configuration"
    )


@dataclass(frozen=True, slots=True)
class BucketOnServer:
    """A rate bucket as a Prefect server has it, beside what the configuration wants."""

    name: str
    want: AllowanceTerms
    have: AllowanceTerms | None = None  # None: it is missing
    is_active: bool = True

    @property
    def defect(self) -> str | None:
        """Why no run can use it, or None."""
        return defect_of(self.have, is_active=self.is_active) if self.have else MISSING

    @property
    def trouble(self) -> str | None:
        """What a person has to know of it; None if it is as the configuration wants it."""
        if self.have is None or self.defect:
            return unusable(self.name, self.defect or MISSING)
        if self.want.same_as(self.have):
            return None
        return set_by_hand(self.name, self.have, self.want, "the next run sets it so")

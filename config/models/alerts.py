"""What is told when something goes wrong: by whom, with which limits, how often, and to whom."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from config.models.base import Duration, Model, Number, matching, without_ends

IncidentKind = Literal[
    "configuration",
    "disk",
    "ledger",
    "lake",
    "prefect",
    "schedule_paused",
    "two_servers",
    "bucket",
    "no_reconcile",
    "slow_cycle",
    "source_paused",
    "failures",
    "failed_checks",
    "breaker",
    "critical_failures",
    "critical_gap",
    "lost_files",
    "unreadable_files",
    "event_path",
    "missed_events",
    "dead_letters",
]

# The kinds whose condition only holds or does not, and those whose limit is a share of 1.
WITHOUT_LIMIT = frozenset(
    {"configuration", "disk", "ledger", "lake", "prefect", "schedule_paused", "two_servers", "bucket", "event_path"}
)
SHARES = frozenset({"failures"})

AlertsOwner = Literal["adce", "prometheus", "none"]


def _check_safe(url: str) -> str:
    """The URL, if what is sent to it can be read by nobody on the way."""
    parts = urlsplit(url)
    try:
        has_port = parts.port != 0
    except ValueError:
        has_port = False
    if not has_port:
        raise ValueError("its port must be a number from 1 to 65535")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("must begin with https://; http:// is for addresses of this machine, as http://127.0.0.1:8080")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


SecretUrl = Annotated[
    str,
    BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value),
    matching(r"https?://[^\s/?#]+([/?#]\S*)?", "not a URL; write it as https://host/path"),
    AfterValidator(_check_safe),
]
AppriseUrl = Annotated[
    str,
    BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value),
    matching(
        r"[a-z][a-z0-9+.-]*://\S+", "not a URL of Apprise; write it as its documentation does, as in ntfys://host/topic"
    ),
]
TopicArn = Annotated[
    str,
    BeforeValidator(without_ends),
    matching(
        r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?",
        "not the ARN of a topic of SNS; write it as arn:aws:sns:us-east-1:123456789012:alerts",
    ),
]
HeaderName = Annotated[
    str, matching(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", "not the name of a header; write it as Authorization")
]
HeaderValue = Annotated[str, matching(r"[!-~]([ -~]*[!-~])?", "not the value of a header; it has characters of ASCII")]
TargetName = Annotated[
    str, matching(r"[a-z0-9_]{1,40}", "not a target's name; use small letters, digits and _ only, as in on_call")
]


class _AtUrl(Model):
    """A target whose URL is a secret: it is in the environment, in the file of settings, or in a block of Prefect."""

    url_block: str | None = Field(
        default=None, description="name of a Secret block in Prefect that has the URL, instead of `url`"
    )

    @model_validator(mode="after")
    def _has_one_url(self) -> _AtUrl:
        if (getattr(self, "url", None) is None) == (self.url_block is None):
            raise ValueError(
                "needs url or url_block, and not both; the URL may be in ADCE_ALERTS__TARGETS__<NAME>__URL"
            )
        return self


class SlackTarget(_AtUrl):
    """A channel of Slack, or of another service that takes the messages of an incoming webhook of Slack."""

    type: Literal["slack"]
    url: SecretUrl | None = Field(default=None, description="URL of the incoming webhook")


class WebhookTarget(_AtUrl):
    """A service of one's own, which gets JSON."""

    type: Literal["webhook"]
    url: SecretUrl | None = Field(default=None, description="where the messages are posted to")
    headers: dict[HeaderName, HeaderValue] = Field(default={}, description="further headers, as Authorization")


class SnsTarget(Model):
    """A topic of Amazon SNS, which is asked with the credentials of the lake, in the topic's region."""

    type: Literal["sns"]
    topic: TopicArn

    @property
    def region(self) -> str:
        """The region of the topic."""
        return self.topic.split(":")[3]

    @property
    def is_fifo(self) -> bool:
        """Does the topic keep the order of its messages, and drop those that are repeated?"""
        return self.topic.endswith(".fifo")


class AppriseTarget(_AtUrl):
    """Any service that Apprise knows, such as ntfy, PagerDuty, Telegram or mail."""

    type: Literal["apprise"]
    url: AppriseUrl | None = Field(default=None, description="URL of Apprise")


Target = Annotated[SlackTarget | WebhookTarget | SnsTarget | AppriseTarget, Field(discriminator="type")]


class Alerts(Model):
    """Messages about incidents."""

    owner: AlertsOwner = Field(
        default="adce",
        description="who tells of incidents; with prometheus, the alerting rules of deployments/grafana do",
    )
    settle: Duration = Field(
        default=timedelta(minutes=2),
        le=timedelta(hours=1),
        description="time for which an incident that another one may explain stands alone before it is told",
    )
    remind_every: Duration | None = Field(
        default=None, ge=timedelta(minutes=15), description="time between two reminders of an incident; null: none"
    )
    limits: dict[IncidentKind, Number] = Field(
        default={}, description="limits of conditions in place of the usual ones, in seconds, shares of 1 or counts"
    )

    @field_validator("limits")
    @classmethod
    def _check_limits(cls, limits: dict[IncidentKind, float]) -> dict[IncidentKind, float]:
        for kind, limit in limits.items():
            if kind in WITHOUT_LIMIT:
                raise ValueError(
                    f"{kind} has no limit, since it only holds or does not; adce alerts silence holds it back"
                )
            if kind in SHARES and not 0 <= limit <= 1:
                raise ValueError(f"{kind} must be a share from 0 to 1, as 0.25; it is {limit:g}")
            if limit < 0:
                raise ValueError(f"{kind} must be a number that is not negative; it is {limit:g}")
        return limits

    targets: dict[TargetName, Target] = Field(default={}, description="who is told, each by a name of your choice")
    link: (
        Annotated[
            str,
            BeforeValidator(without_ends),
            matching(
                r"https?://[^\s/?#@]+(/[^\s?#]*)?",
                "not the address of the service; write it as https://adce.example.org",
            ),
        ]
        | None
    ) = Field(default=None, description="address of the service (adce serve) for a link in messages; null: no link")
    ping: SecretUrl | None = Field(
        default=None,
        description="URL of a dead man's switch, which hears of each reconcile; give it as ADCE_ALERTS__PING",
    )

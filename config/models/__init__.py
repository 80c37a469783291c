"""What a valid configuration looks like: one module a subject, and here the names that the rest of ADCE uses.

Files and the environment are read in config/load.py, where settings are also checked against each other.
"""

from config.models.alerts import (
    Alerts,
    AlertsOwner,
    AppriseTarget,
    IncidentKind,
    SlackTarget,
    SnsTarget,
    Target,
    WebhookTarget,
)
from config.models.alerts import SecretUrl as SecretUrl
from config.models.base import YEARS, Duration, Model, Season, SeasonType, TimeZone, written
from config.models.checks import CHECK_OPTIONS, Check
from config.models.cloudwatch import METRICS_OWN, CloudWatch
from config.models.collect import Collect
from config.models.commands import COMMAND_FIELDS, Command, Parameter, Scripts
from config.models.config import Config
from config.models.datasets import Dataset, Typical
from config.models.events import Events, QueueAddress
from config.models.inventory import Inventory
from config.models.keep import Keep
from config.models.maintenance import Day, Maintenance, Moment
from config.models.reconcile import BreakerRules, Reconcile, Unavailability
from config.models.rollouts import Changes, Rollout
from config.models.scoring import Priority, Scoring, SmallFill, Success
from config.models.serve import Serve
from config.models.sources import Backoff, Rate, Retries, Source, Timeouts
from config.models.storage import (
    OWN_FOLDER,
    TEST_FOLDER,
    LakeAddress,
    LedgerAddress,
    are_one_place,
    lake_address,
    ledger_address,
)
from config.models.templates import (
    FIELD_PATTERNS,
    FIELDS,
    IDENTIFYING,
    Partition,
    example_fields,
    pattern_of,
    template_fields,
)

__all__ = [
    "CHECK_OPTIONS",
    "COMMAND_FIELDS",
    "FIELDS",
    "FIELD_PATTERNS",
    "IDENTIFYING",
    "METRICS_OWN",
    "OWN_FOLDER",
    "TEST_FOLDER",
    "YEARS",
    "Alerts",
    "AlertsOwner",
    "AppriseTarget",
    "Backoff",
    "BreakerRules",
    "Changes",
    "Check",
    "CloudWatch",
    "Collect",
    "Command",
    "Config",
    "Dataset",
    "Day",
    "Duration",
    "Events",
    "IncidentKind",
    "Inventory",
    "Keep",
    "LakeAddress",
    "LedgerAddress",
    "Maintenance",
    "Model",
    "Moment",
    "Parameter",
    "Partition",
    "Priority",
    "QueueAddress",
    "Rate",
    "Reconcile",
    "Retries",
    "Rollout",
    "Scoring",
    "Scripts",
    "Season",
    "SeasonType",
    "Serve",
    "SlackTarget",
    "SmallFill",
    "SnsTarget",
    "Source",
    "Success",
    "Target",
    "TimeZone",
    "Timeouts",
    "Typical",
    "Unavailability",
    "WebhookTarget",
    "are_one_place",
    "example_fields",
    "lake_address",
    "ledger_address",
    "pattern_of",
    "template_fields",
    "written",
]

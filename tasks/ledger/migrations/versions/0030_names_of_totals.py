"""The running totals have the names and labels of the metrics that they are published as."""

import json
from collections import Counter

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"

_COLUMNS = ("name", "labels", "bucket", "value")
_NAMES = {
    "fills": "adce_fills_total",
    "files": "adce_files_total",
    "bytes": "adce_stored_bytes_total",
    "requests": "adce_requests_total",
    "refusals": "adce_refusals_total",
    "pauses": "adce_pauses_total",
    "runs": "adce_runs_total",
    "fill_seconds": "adce_fill_duration_seconds",
    "file_seconds": "adce_file_duration_seconds",
    "waited_seconds": "adce_bucket_wait_seconds",
    "due_to_detected_seconds": "adce_gap_detection_seconds",
    "detected_to_stored_seconds": "adce_gap_closing_seconds",
    "run_seconds": "adce_run_part_seconds",
}
_BY_DATASET = ("fill_seconds", "file_seconds", "detected_to_stored_seconds")
_BY_FLOW = ("runs", "run_seconds")


def upgrade() -> None:
    table = sa.table("totals", *map(sa.column, _COLUMNS))
    connection = op.get_bind()
    values: Counter[tuple[str, str, str]] = Counter()
    for name, text, bucket, value in connection.execute(sa.select(*table.c)):
        labels = json.loads(text)
        if name == "files" and (limit := labels.pop("limit")):
            values["adce_deferrals_total", _text({"source": labels["source"], "limit": limit}), bucket] += value
        if name in _BY_DATASET:
            del labels["source"]
        if name in _BY_FLOW:
            labels["flow"] = labels.pop("kind")
        if name in _NAMES:
            values[_NAMES[name], _text(labels), bucket] += value
    connection.execute(table.delete())
    for series, value in values.items():
        connection.execute(table.insert().values(dict(zip(_COLUMNS, (*series, value), strict=True))))


def _text(labels: dict[str, str]) -> str:
    return json.dumps(dict(sorted(labels.items())), separators=(",", ":"))

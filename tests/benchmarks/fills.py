"""How soon does the fill of what an event has shown to be lacking ask its source? In process, with an idle rate bucket.

The lake is a bucket of moto's server, which tells a queue of its objects. Each message is that of a scoreboard that
somebody has stored, so that the files of its games are lacking.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import boto3
import httpx
from rich.table import Table

from blocks.aws import aws_of
from config.load import load_config
from deployments.sandbox.process import SandboxProcess
from deployments.setup.prefect_server import set_up_buckets
from deployments.up.ports import free_port
from flows.event_fills import GATHERED
from flows.watch import Watch
from tasks.domain.access import Access
from tasks.domain.expected.cells import Selection
from tasks.observe.queue import open_queue
from tasks.observe.receivers import receiving
from tasks.observe.session import open_session
from tasks.observe.watcher import Watcher

_FILLS = 30
_BUCKET = "bench"
_LAST = date(2026, 1, 13)
_POLL = 0.1  # seconds
_PATIENCE = 120.0  # seconds for a fill


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """A server of S3 and SQS in a process of its own. Yields the environment in which its bucket is the lake."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-p", str(port)]
    quiet = subprocess.DEVNULL
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "ADCE_LAKE": f"s3://{_BUCKET}",
        "ADCE_EVENTS__FILL": "true",
    }
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as server:
        try:
            _wait_for(environment["AWS_ENDPOINT_URL"])
            yield environment
        finally:
            server.kill()


def _wait_for(url: str) -> None:
    for _ in range(300):
        try:
            httpx.get(url, trust_env=False)
            return
        except httpx.HTTPError:
            time.sleep(_POLL)
    raise RuntimeError(f"{url} does not answer")


def first_requests(sites: SandboxProcess) -> Table:
    """Seconds from an object to the first request of the fill that its event leads to."""
    first, *seconds, shown = asyncio.run(_measure(sites))
    seconds.sort()
    table = Table(
        title=f"From an object to the first request of its fill, {len(seconds)} times, one after another",
        caption=f"the gaps are gathered for {GATHERED:.0f} s of it; aim: P99 5 s",
    )
    for name in ("the first, with the start of Prefect", "P50", "P99", "slowest", "receipt to state: P50"):
        table.add_column(name, justify="right")
    p99 = seconds[min(int(0.99 * len(seconds)), len(seconds) - 1)]
    table.add_row(*(f"{one:.2f} s" for one in (first, seconds[len(seconds) // 2], p99, seconds[-1], shown)))
    return table


async def _measure(sites: SandboxProcess) -> list[float]:
    """The seconds of each fill, and at last the median from receipt to state."""
    config = load_config()
    boards = await asyncio.to_thread(_boards, sites)
    await set_up_buckets(config)
    store, url = boto3.client("s3"), _queue()
    async with open_session(config, Selection(), access=Access.RUN) as session:
        queue = await open_queue(await aws_of(config), url, waits=1)
        watch = Watch(session, Watcher(session), await asyncio.to_thread(queue.facts), None)
        async with watch.recording(), watch.filling(), receiving(queue, 300) as receivers, watch.deleting():
            running = asyncio.create_task(watch.run(receivers))
            found = []
            for key, body in boards.items():
                sites.clear_requests()
                put = time.monotonic()
                await asyncio.to_thread(store.put_object, Bucket=_BUCKET, Key=key, Body=body)
                found.append(await _first_request(sites, running) - put)
                while not (watch.fills and watch.fills.is_idle):
                    await asyncio.sleep(_POLL)
            watch.stopping.set()
            await running
    return [*found, watch.watched.latency(0.5) or 0.0]


async def _first_request(sites: SandboxProcess, running: asyncio.Task[Any]) -> float:
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends and not running.done():
        if requests := await asyncio.to_thread(sites.requests):
            return float(requests[0]["monotonic"])
        await asyncio.sleep(_POLL)
    raise RuntimeError("no fill has asked its source")


def _queue() -> str:
    """Makes the bucket and a queue of its events. Returns the queue's URL."""
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.create_bucket(Bucket=_BUCKET)
    url: str = sqs.create_queue(QueueName=_BUCKET)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=_BUCKET, NotificationConfiguration=events)
    return url


def _boards(sites: SandboxProcess) -> dict[str, bytes]:
    """The scoreboards of days that have games, by key."""
    settings, found, day = load_config().datasets["espn_scoreboard"], {}, _LAST
    while len(found) <= _FILLS:
        fields = {"yyyymmdd": f"{day:%Y%m%d}", "date": day.isoformat()}
        answer = httpx.get(sites.base_urls["espn"] + settings.request.format_map(fields), trust_env=False)
        if answer.raise_for_status().json()["events"]:
            found[settings.keys[0].format_map(fields)] = answer.content
        day -= timedelta(days=1)
    return found

"""ECS on this machine: moto's API, and an agent that runs each task as a local process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ecs import models
from moto.moto_api import state_manager
from moto.secretsmanager.models import secretsmanager_backends

T = TypeVar("T")
REGION = "us-east-1"  # the region that use_s3 sets


class _Task(models.Task):
    """A task whose status its agent changes. In moto's own task the status advances with each query."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.status = "PROVISIONING"
        self.stop_code: str | None = None
        self.definition = named["task_definition"]

    @property
    def last_status(self) -> str:
        return str(self.status)

    @last_status.setter
    def last_status(self, value: str) -> None:
        """StopTask sets STOPPED, which becomes STOPPING until the process has ended."""
        self.status = "STOPPING" if value == "STOPPED" else value


class Agent:
    """Starts tasks as processes. The image `unpullable` fails to start, and `unplaceable` waits for ever."""

    def __init__(self, endpoint: str, folder: Path):
        self.folder = folder
        self._role = {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": REGION}
        self._role |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.over = threading.Event()

    def tasks(self) -> list[_Task]:
        clusters = models.ecs_backends[DEFAULT_ACCOUNT_ID][REGION].tasks
        return [task for tasks in list(clusters.values()) for task in list(tasks.values())]

    def start(self, task: _Task) -> None:
        """Runs the container's command with its environment in an empty folder."""
        (container,) = task.definition.container_definitions
        (override,) = task.overrides["containerOverrides"]
        environment = {item["name"]: item["value"] for item in container["environment"] + override["environment"]}
        for secret in container["secrets"]:
            assert secret["name"] not in environment, "ECS refuses a secret and a variable of one name"
            environment[secret["name"]] = _value(secret["valueFrom"])
        home = self.folder / task.id
        home.mkdir()
        with (home / "log").open("wb") as log:
            self._processes[task.id] = subprocess.Popen(
                override["command"],
                cwd=home,
                env={"PATH": _path(), "HOME": str(home), **self._role, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        task.status = "RUNNING"

    def log(self, task: _Task) -> str:
        """What the task's process has printed; nothing if it never had one."""
        log = self.folder / task.id / "log"
        return log.read_text() if log.exists() else ""

    def work(self) -> None:
        while not self.over.wait(0.05):
            for task in self.tasks():
                self._look_at(task)

    def kill(self) -> None:
        for process in self._processes.values():
            _end(process)

    def _look_at(self, task: _Task) -> None:
        image = task.containers[0].image
        process = self._processes.get(task.id)
        if task.status == "PROVISIONING" and image.endswith(":unpullable"):
            task.stop_code, task.stopped_reason = "TaskFailedToStart", "CannotPullContainerError: not found"
            task.status = "STOPPED"
        elif task.status == "PROVISIONING" and not image.endswith(":unplaceable"):
            self.start(task)
        elif task.status == "STOPPING" and process and task.stop_code is None:
            task.stop_code = "UserInitiated"
            process.terminate()
        elif task.status in ("RUNNING", "STOPPING") and process and process.poll() is not None:
            code = process.returncode
            _end(process)
            task.containers[0].exitCode = code if code >= 0 else 128 - code
            task.stop_code = task.stop_code or "EssentialContainerExited"
            task.status = "STOPPED"


@contextmanager
def ecs(endpoint: str, folder: Path) -> Iterator[Agent]:
    """Runs an agent for the ECS of the moto server at `endpoint`, which must run in this process."""
    agent = Agent(endpoint, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "Task", _Task)
        state_manager.set_transition("ecs::task", {"progression": "manual", "times": sys.maxsize})
        thread = threading.Thread(target=agent.work, daemon=True)
        thread.start()
        try:
            yield agent
        finally:
            agent.over.set()
            thread.join()
            agent.kill()
            state_manager.unset_transition("ecs::task")


def wait_until(true: Callable[[], T], what: str, patience: float = 120) -> T:
    """The first true result of the function. Fails, naming `what` was awaited, after `patience` seconds."""
    end = time.monotonic() + patience
    while not (answer := true()):
        assert time.monotonic() < end, f"{what}: not within {patience:.0f} s"
        time.sleep(0.1)
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and all that it has started, as the end of a container does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _value(arn: str) -> str:
    secrets = secretsmanager_backends[DEFAULT_ACCOUNT_ID][REGION]
    return str(secrets.get_secret_value(secret_id=arn, version_id=None, version_stage=None)["SecretString"])


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
